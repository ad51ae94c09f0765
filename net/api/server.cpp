#include "net/api/server.hpp"

#include <utility>

#include "net/api/compression.hpp"
#include "net/api/cpu_rates.hpp"
#include "net/api/request_meter.hpp"
#include "net/api/rest_routes.hpp"
#include "net/api/routes.hpp"

namespace moored::net {
namespace {

// What the transport and the requests through it come to.
class ServerMeter final : public MetricSource {
 public:
  api::RequestMeter requests;
  const api::Transport* transport = nullptr;

  void measure(std::vector<MetricFamily>& out) override {
    requests.measure(out);
    const auto counters = transport->counters();
    const auto number = [](std::int64_t value) { return static_cast<double>(value); };
    auto open = make_gauge("moored_api_connections",
                           "Open connections; idle ones have no request under way.");
    open.add({{"state", "busy"}}, number(counters.open - counters.waiting));
    open.add({{"state", "idle"}}, number(counters.waiting));
    auto accepts =
        make_counter("moored_api_accepts_total",
                     "Connections by what became of them; evicted ones made room for another.");
    accepts.add({{"result", "accepted"}}, number(counters.accepted - counters.refused));
    accepts.add({{"result", "refused"}}, number(counters.refused));
    accepts.add({{"result", "evicted"}}, number(counters.evicted));
    out.push_back(std::move(open));
    out.push_back(std::move(accepts));
  }
};

}  // namespace

struct ApiServer::State {
  State(const StateSource& source, RevisionSignal& signal_, const Reports& reports,
        const Clock& clock, std::size_t most_streams)
      : signal(signal_),
        streams(static_cast<int>(most_streams)),
        feed(source),
        context{source, reports, clock, cache, streams, feed, {}, {}, {}} {}

  RevisionSignal& signal;
  api::EncodingCache cache;
  api::StreamCount streams;
  api::ChangeFeed feed;
  api::ApiContext context;
  ServerMeter meter;
  api::CpuRates rates;
  std::unique_ptr<api::RestRoutes> routes;
  std::unique_ptr<api::Transport> transport;  // dies first: its connections use all the others
  int token = -1;
};

ApiServer::ApiServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

ApiServer::~ApiServer() {
  stop();
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(ApiOptions options, const StateSource& state,
                                                    RevisionSignal& signal, const Reports& reports,
                                                    const Clock& clock) {
  auto made = std::make_unique<State>(state, signal, reports, clock, options.limits.streams);
  api::TransportOptions transport;
  transport.listener = std::move(options.listener);
  if (!transport.listener) {
    MOORED_TRY(transport.listener, api::open_listener(options.listen_address, options.port));
  }
  transport.threads = options.threads;
  transport.allowed_hosts = std::move(options.allowed_hosts);
  transport.limits = options.limits;
  transport.tls = std::move(options.tls);
  if (options.access) {
    const auto* time = &clock;
    transport.admit = [access = options.access, time](const api::Request& request,
                                                      const std::string& peer) {
      return access->find_user(request, peer, time->now());
    };
    transport.admit_version = [access = options.access, time] {
      return access->version(time->now());
    };
  }
  MOORED_TRY(made->transport, api::Transport::create(std::move(transport), clock));
  const bool six = options.listen_address.find(':') != std::string::npos;
  made->context.address = (six ? "[" + options.listen_address + "]" : options.listen_address) +
                          ":" + std::to_string(made->transport->port());
  made->context.log_dir = std::move(options.log_dir);
  const auto* context = &made->context;
  MOORED_TRY(made->routes,
             api::RestRoutes::open(made->context.address, [context](const api::Request& request) {
               return api::compress(api::answer(request, *context), request);
             }));
  auto* routes = made->routes.get();
  auto* meter = &made->meter;
  meter->transport = made->transport.get();
  made->context.meters = {meter};
  made->context.rates = &made->rates;
  made->context.usage = options.usage;
  made->context.preview = options.preview;
  for (auto* other : options.meters)
    made->context.meters.push_back(other);
  const auto* watch = &clock;
  made->transport->serve(
      [routes, meter, watch](api::Request request, api::Transport::Done done) {
        const auto began = watch->now().mono;
        api::Request asked;  // the body is gone when the answer comes, and not wanted
        asked.method = request.method;
        asked.path = request.path;
        asked.query = request.query;
        routes->carry(std::move(request), [=, done = std::move(done)](api::Response response) {
          meter->requests.count(asked, response.status, watch->now().mono - began);
          done(std::move(response));
        });
      },
      [meter](int status) { meter->requests.count_refused(status); });
  made->token = signal.subscribe(
      [](void* listener, std::int64_t) { static_cast<api::Transport*>(listener)->wake(); },
      made->transport.get());
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(made)));
}

void ApiServer::drop_caches() {
  state_->cache.drop();
  state_->feed.drop();
}

int ApiServer::port() const {
  return state_->transport->port();
}

void ApiServer::stop() {
  if (state_->token >= 0) state_->signal.unsubscribe(std::exchange(state_->token, -1));
  state_->transport->stop();
}

api::TransportCounters ApiServer::counters() const {
  return state_->transport->counters();
}

int ApiServer::open_streams() const {
  return state_->streams.open();
}

}  // namespace moored::net
