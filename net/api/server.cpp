#include "net/api/server.hpp"

#include <utility>

#include "net/api/rest_routes.hpp"
#include "net/api/routes.hpp"

namespace moored::net {

struct ApiServer::State {
  State(const StateSource& source, RevisionSignal& signal_, const Reports& reports,
        const Clock& clock)
      : signal(signal_), feed(source), context{source,  reports, clock, cache,
                                               streams, feed,    {},    {}} {}

  RevisionSignal& signal;
  api::EncodingCache cache;
  api::StreamCount streams;
  api::ChangeFeed feed;
  api::ApiContext context;
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
  auto made = std::make_unique<State>(state, signal, reports, clock);
  api::TransportOptions transport;
  transport.listen_address = options.listen_address;
  transport.port = options.port;
  transport.threads = options.threads;
  transport.allowed_hosts = std::move(options.allowed_hosts);
  transport.limits = options.limits;
  MOORED_TRY(made->transport, api::Transport::listen(std::move(transport), clock));
  const bool six = options.listen_address.find(':') != std::string::npos;
  made->context.address = (six ? "[" + options.listen_address + "]" : options.listen_address) +
                          ":" + std::to_string(made->transport->port());
  made->context.log_dir = std::move(options.log_dir);
  const auto* context = &made->context;
  MOORED_TRY(made->routes,
             api::RestRoutes::open(made->context.address, [context](const api::Request& request) {
               return api::answer(request, *context);
             }));
  auto* routes = made->routes.get();
  made->transport->serve([routes](api::Request request, api::Transport::Done done) {
    routes->carry(std::move(request), std::move(done));
  });
  made->token = signal.subscribe(
      [](void* listener, std::int64_t) { static_cast<api::Transport*>(listener)->wake(); },
      made->transport.get());
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(made)));
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
