#include "net/api/transport.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <thread>
#include <utility>  // before Asio, which forgets it

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "net/api/connection.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::net::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// Out of descriptors: how long to leave the door closed.
constexpr std::chrono::milliseconds kAcceptPause{100};
// How many clients one readiness of the listener takes in before others get their turn.
constexpr int kAcceptBatch = 64;
// How often the rights behind open streams are looked at.
constexpr std::chrono::seconds kRightsEvery{1};
// How long stop() lets answers finish.
constexpr std::chrono::seconds kStopTime{2};

// A port in use is a conflict, which people can mend, not a fault of the system.
Error listen_error(const std::string& where, int number) {
  auto failure = system_error("listen on " + where, number);
  if (number == EADDRINUSE) failure.code = Code::conflict;
  return failure;
}

// Asked of the socket: a listener on 0.0.0.0 has another address for each client.
std::string local_address(int socket) {
  tcp::endpoint local;
  auto size = static_cast<socklen_t>(local.capacity());
  if (::getsockname(socket, local.data(), &size) != 0) return {};
  local.resize(size);
  return local.address().to_string();
}

// The open connections by age, and how many each address has.
struct Registry {
  std::map<std::uint64_t, std::weak_ptr<Connection>> connections;
  std::map<std::string, std::size_t> per_address;
  std::map<std::uint64_t, std::string> addresses;
  TransportCounters counters;
  std::uint64_t next_id = 1;
};

}  // namespace

struct Transport::State : std::enable_shared_from_this<Transport::State> {
  explicit State(const Clock& clock_)
      : control(asio::make_strand(io)),
        acceptor(control),
        pause(control),
        grace(control),
        rights(control),
        wakes(control) {
    shared.clock = &clock_;
  }

  void accept();
  void take_clients();
  void pause_accepting();
  void admit(UniqueFd socket, const tcp::endpoint& remote);
  bool make_room(const std::string& address);
  void forget(std::uint64_t id);
  void wait_for_wake();
  void watch_rights();
  std::vector<std::shared_ptr<Connection>> snapshot();
  void begin_stop();
  TransportCounters counters();

  asio::io_context io;
  asio::strand<asio::io_context::executor_type> control;  // of everything below but connections
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  asio::steady_timer grace;
  asio::steady_timer rights;
  asio::posix::stream_descriptor wakes;
  UniqueFd wake_fd;
  ConnectionShared shared;
  Guarded<Registry> registry;
  std::vector<std::thread> threads;
  int bound_port = 0;
  bool rights_watched = false;
  bool starved = false;  // said once until a connection is accepted again
};

// Waits for readiness only; the accepting itself is done in a batch.
void Transport::State::accept() {
  acceptor.async_wait(tcp::acceptor::wait_read, [this](error_code error) {
    if (!error && !shared.stopping) take_clients();
  });
}

// accept4 instead of Asio's accept: the descriptor must be CLOEXEC at birth.
void Transport::State::take_clients() {
  for (int i = 0; i < kAcceptBatch; ++i) {
    tcp::endpoint remote;
    auto size = static_cast<socklen_t>(remote.capacity());
    UniqueFd socket(
        ::accept4(acceptor.native_handle(), remote.data(), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        return pause_accepting();
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      continue;  // that one client went before it was accepted
    }
    starved = false;
    remote.resize(size);
    admit(std::move(socket), remote);
  }
  accept();
}

// The listener stays readable without descriptors: trying at once again would spin.
void Transport::State::pause_accepting() {
  if (!starved) {
    log(LogLevel::warning, "the API takes no new connections for now: out of file descriptors");
  }
  starved = true;
  pause.expires_after(kAcceptPause);
  pause.async_wait([this](error_code cancelled) {
    if (!cancelled) accept();
  });
}

std::vector<std::shared_ptr<Connection>> Transport::State::snapshot() {
  std::vector<std::shared_ptr<Connection>> alive;
  registry.with([&](Registry& all) {
    for (auto& [id, weak] : all.connections) {
      if (auto connection = weak.lock()) alive.push_back(std::move(connection));
    }
  });
  return alive;  // a last owner must let go outside the lock, which forget() takes
}

// Closes a connection that waits for a request, of that address or of any: the youngest that never
// sent a byte (a flood closes itself), else the one that has been idle longest after a request.
bool Transport::State::make_room(const std::string& address) {
  std::shared_ptr<Connection> chosen;
  for (const auto& connection : snapshot()) {
    if (!address.empty() && connection->remote() != address) continue;
    if (connection->silent() || (chosen == nullptr && connection->waiting())) chosen = connection;
  }
  if (chosen == nullptr) return false;
  forget(chosen->id());
  registry.with([](Registry& all) { ++all.counters.evicted; });
  chosen->shut(true);
  return true;
}

// One address may not take all places, so its own limit is looked at before the common one.
void Transport::State::admit(UniqueFd socket, const tcp::endpoint& remote) {
  const auto address = remote.address().to_string();
  const auto& limits = shared.options.limits;
  const auto counted = registry.with([&](Registry& all) {
    ++all.counters.accepted;
    const auto own = all.per_address.find(address);
    return std::pair(all.connections.size(),
                     own != all.per_address.end() ? own->second : std::size_t{0});
  });
  bool room = true;
  if (counted.second >= limits.per_address) {
    room = make_room(address);
  } else if (counted.first >= limits.connections) {
    room = make_room({});
  }
  if (!room) {
    registry.with([](Registry& all) { ++all.counters.refused; });
    return;  // the socket closes itself
  }
  Accepted accepted;
  accepted.id = registry.with([](Registry& all) { return all.next_id++; });
  accepted.local = local_address(socket.get());
  accepted.socket = std::move(socket);
  accepted.six = remote.protocol() == tcp::v6();
  accepted.remote = address;
  const auto id = accepted.id;
  auto connection = make_connection(io, std::move(accepted), shared,
                                    [weak = weak_from_this()](std::uint64_t gone) {
                                      if (const auto self = weak.lock()) self->forget(gone);
                                    });
  if (!connection) return;
  registry.with([&](Registry& all) {
    all.connections[id] = connection;
    all.addresses[id] = address;
    ++all.per_address[address];
    ++all.counters.open;
  });
  connection->start();
}

// May be called twice for a connection (evicted, then closed): only the first one counts.
void Transport::State::forget(std::uint64_t id) {
  const auto left = registry.with([&](Registry& all) {
    if (all.connections.erase(id) == 0) return all.counters.open;
    const auto address = all.addresses[id];
    all.addresses.erase(id);
    if (--all.per_address[address] == 0) all.per_address.erase(address);
    return --all.counters.open;
  });
  if (shared.stopping && left == 0) {
    asio::post(control, [self = shared_from_this()] { self->grace.cancel(); });
  }
}

// One descriptor for all streams: many changes at once fall together into one wake.
void Transport::State::wait_for_wake() {
  wakes.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error || shared.stopping) return;
    std::uint64_t count = 0;
    if (::read(wake_fd.get(), &count, sizeof count) < 0) count = 0;  // somebody else took it
    for (const auto& connection : snapshot()) {
      if (connection->streaming()) connection->wake();
    }
    wait_for_wake();
  });
}

// Streams last for up to an hour, rights may not: while there is one, it is looked at every second
// whether they changed. Each connection remembers what it was admitted by, so none is missed.
void Transport::State::watch_rights() {
  if (rights_watched || shared.stopping) return;
  rights_watched = true;
  rights.expires_after(kRightsEvery);
  rights.async_wait([this](error_code cancelled) {
    rights_watched = false;
    if (cancelled || shared.stopping) return;
    const auto version = shared.options.admit_version();
    bool streaming = false;
    for (const auto& connection : snapshot()) {
      if (!connection->streaming()) continue;
      streaming = true;
      connection->judge_again(version);
    }
    if (streaming) watch_rights();
  });
}

// First no new clients, then idle ones go; answers on their way have until kStopTime.
void Transport::State::begin_stop() {
  shared.stopping = true;
  error_code ignored;
  acceptor.close(ignored);
  pause.cancel();
  rights.cancel();
  wakes.cancel(ignored);
  for (const auto& connection : snapshot())
    connection->shut(false);
  if (counters().open == 0) return;
  grace.expires_after(kStopTime);
  grace.async_wait([this](error_code cancelled) {
    if (cancelled) return;
    for (const auto& connection : snapshot())
      connection->shut(true);
  });
}

TransportCounters Transport::State::counters() {
  return registry.with([](const Registry& all) { return all.counters; });
}

Transport::Transport(std::shared_ptr<State> state) : state_(std::move(state)) {}

Transport::~Transport() {
  stop();
}

Result<UniqueFd> open_listener(const std::string& address, int port) {
  error_code error;
  const auto parsed = asio::ip::make_address(address, error);
  if (error) return fail(Code::invalid, "not an address to listen on: " + address);
  const tcp::endpoint endpoint(parsed, static_cast<std::uint16_t>(port));
  UniqueFd listener(
      ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  // A restart must not wait for connections of the daemon before in TIME_WAIT.
  const bool open =
      listener && ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      ::bind(listener.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 &&
      ::listen(listener.get(), SOMAXCONN) == 0;
  if (!open) return Unexpected(listen_error(address + ":" + std::to_string(port), errno));
  return listener;
}

int port_of(const UniqueFd& listener) {
  tcp::endpoint local;
  auto size = static_cast<socklen_t>(local.capacity());
  if (::getsockname(listener.get(), local.data(), &size) != 0) return 0;
  local.resize(size);
  return local.port();
}

Result<std::unique_ptr<Transport>> Transport::create(TransportOptions options, const Clock& clock) {
  auto state = std::make_shared<State>(clock);
  sockaddr_storage local{};
  auto size = static_cast<socklen_t>(sizeof local);
  if (::getsockname(options.listener.get(), reinterpret_cast<sockaddr*>(&local), &size) != 0) {
    return Unexpected(system_error("the API's socket", errno));
  }
  error_code error;
  state->bound_port = port_of(options.listener);
  state->acceptor.assign(local.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(),
                         options.listener.get(), error);
  if (error) return Unexpected(system_error("the API's socket", error.value()));
  options.listener.release();
  state->acceptor.non_blocking(true, error);
  state->wake_fd.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->wake_fd) return Unexpected(system_error("eventfd", errno));
  state->shared.options = std::move(options);
  return std::unique_ptr<Transport>(new Transport(std::move(state)));
}

int Transport::port() const {
  return state_->bound_port;
}

void Transport::serve(Carry carry, Refused refused) {
  auto& state = *state_;
  state.shared.carry = std::move(carry);
  state.shared.refused = std::move(refused);
  state.shared.stream_started = [&state] {
    asio::post(state.control, [&state] { state.watch_rights(); });
  };
  error_code ignored;
  // A copy, because Asio closes what it is given and wake() may be called after that.
  state.wakes.assign(::fcntl(state.wake_fd.get(), F_DUPFD_CLOEXEC, 0), ignored);
  state.wait_for_wake();
  state.accept();
  for (int i = 0; i < std::max(1, state.shared.options.threads); ++i) {
    state.threads.emplace_back([&state] { state.io.run(); });
  }
}

void Transport::wake() {
  const std::uint64_t one = 1;
  // Full means: a wake is pending already.
  if (::write(state_->wake_fd.get(), &one, sizeof one) < 0) return;
}

void Transport::stop() {
  if (state_->threads.empty()) return;
  asio::post(state_->control, [this] { state_->begin_stop(); });
  for (auto& thread : state_->threads)
    thread.join();
  state_->threads.clear();
}

TransportCounters Transport::counters() const {
  auto counters = state_->counters();
  for (const auto& connection : state_->snapshot())
    counters.waiting += connection->waiting();
  return counters;
}

}  // namespace moored::net::api
