#include "reconciler/admin/server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <list>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "reconciler/admin/line_socket.hpp"
#include "reconciler/admin/protocol.hpp"
#include "schema/base/assert.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {
namespace {

constexpr std::chrono::milliseconds kPauseWithoutDescriptors{100};

// Who is at the other end, as the kernel says it.
struct Peer {
  unsigned uid = 0;
  std::string process;  // name[pid]
};

// The uid is that of connect() and cannot be forged. The name is read later by number and only
// serves the audit log; whoever asks may call itself anything, hence escaped.
Result<Peer> read_peer(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Unexpected(system_error("SO_PEERCRED", errno));
  }
  const std::string pid = std::to_string(credentials.pid);
  std::string name = read_file("/proc/" + pid + "/comm", 64).value_or("unknown\n");
  while (!name.empty() && name.back() == '\n')
    name.pop_back();
  return Peer{credentials.uid, escape_text(name) + "[" + pid + "]"};
}

// A client that stops reading would otherwise hold its thread, and the end of the daemon, for ever.
void set_write_time(int socket, std::chrono::milliseconds time) {
  timeval limit{};
  limit.tv_sec = time.count() / 1000;
  limit.tv_usec = (time.count() % 1000) * 1000;
  if (::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
    log(LogLevel::warning, "a slow admin client cannot be cut off");
  }
}

Status reply(int socket, const AdminReply& what) {
  return admin::write_line(socket, encode_admin_reply(what));
}

AdminReply refusal(Error error) {
  AdminReply out;
  out.error = std::move(error);
  return out;
}

// Steps of one verb on their way to the client.
class SocketProgress final : public AdminProgress {
 public:
  SocketProgress(int socket, const std::atomic<bool>& stopping)
      : socket_(socket), stopping_(stopping) {}

  void report(const Value& step) override {
    const std::lock_guard lock(mutex_);
    AdminReply out;
    out.progress = step;
    if (!gone_ && !reply(socket_, out)) gone_ = true;
  }
  bool cancelled() const override {
    pollfd polled{socket_, POLLRDHUP, 0};
    return stopping_ || gone_ ||
           (::poll(&polled, 1, 0) > 0 && (polled.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
  }

 private:
  int socket_;
  const std::atomic<bool>& stopping_;
  std::mutex mutex_;
  std::atomic<bool> gone_ = false;
};

}  // namespace

struct AdminServer::State {
  State(Options given, AdminVerbs& v, FactSink& f, UniqueFd socket, UniqueFd event)
      : options(std::move(given)),
        verbs(v),
        facts(f),
        listening(std::move(socket)),
        stop_event(std::move(event)) {}

  struct Connection {
    std::atomic<bool> done = false;
    std::thread thread;
  };

  void accept_all();
  void start(UniqueFd socket);
  void join_done();
  void serve(int socket);
  void carry_out(int socket, const Peer& peer, const AdminVerb& verb);
  Status record(const Peer& peer, const AdminVerb& verb, std::string result);

  Options options;
  AdminVerbs& verbs;
  FactSink& facts;
  UniqueFd listening;
  UniqueFd stop_event;
  std::atomic<bool> stopping = false;
  std::list<Connection> connections;  // touched by the accepting thread only
  std::thread acceptor;
};

// One thread for each connection: a verb may take minutes.
void AdminServer::State::accept_all() {
  std::array<pollfd, 2> polled{{{listening.get(), POLLIN, 0}, {stop_event.get(), POLLIN, 0}}};
  while (!stopping) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    if (stopping) break;
    join_done();
    UniqueFd socket(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket) {
      start(std::move(socket));
    } else if (errno == EMFILE || errno == ENFILE) {
      // Waits for a descriptor instead of asking for one without end.
      ::poll(&polled[1], 1, static_cast<int>(kPauseWithoutDescriptors.count()));
    }
  }
  for (Connection& connection : connections)
    connection.thread.join();
}

// The thread owns its descriptor; done is set last, so that join_done never waits for a verb.
void AdminServer::State::start(UniqueFd socket) {
  set_write_time(socket.get(), options.write_time);
  if (connections.size() >= kMaxConnections) {
    const Error full{Code::exhausted,
                     std::to_string(kMaxConnections) + " admin connections are open already",
                     "TooManyConnections",
                     {},
                     "wait for one of them to end"};
    if (!reply(socket.get(), refusal(full))) log(LogLevel::debug, "an admin client has gone");
    return;
  }
  Connection& connection = connections.emplace_back();
  const auto held = std::make_shared<UniqueFd>(std::move(socket));
  try {
    connection.thread = std::thread([this, &connection, held]() mutable {
      serve(held->get());
      held->reset();
      connection.done = true;
    });
  } catch (const std::system_error& refused) {
    connections.pop_back();
    const Error none{Code::exhausted, std::string("no thread can be started: ") + refused.what(),
                     "NoThread", {}, "raise the limit of tasks"};
    if (!reply(held->get(), refusal(none))) log(LogLevel::debug, "an admin client has gone");
  }
}

// Run before each accept, which keeps the threads that have ended but are not joined few.
void AdminServer::State::join_done() {
  connections.remove_if([](Connection& connection) {
    if (!connection.done) return false;
    connection.thread.join();
    return true;
  });
}

// One verb per connection. Rights are judged before a byte of the request is read.
void AdminServer::State::serve(int socket) {
  const auto peer = read_peer(socket);
  const auto refuse = [&](Error error) {
    if (!reply(socket, refusal(std::move(error)))) log(LogLevel::debug, "an admin client has gone");
  };
  if (!peer) return refuse(peer.error());
  if (peer->uid != 0 && peer->uid != ::geteuid()) {
    log(LogLevel::warning, "an admin request was refused",
        {{"uid", std::to_string(peer->uid)}, {"process", peer->process}});
    return refuse({Code::denied, "only root may do this", "Forbidden", {}, "use sudo"});
  }
  admin::LineReader lines(socket, kMaxAdminRequest);
  const auto line = lines.read_line(options.request_time, stop_event.get());
  if (!line) return refuse(line.error());
  const auto verb = decode_admin_request(*line);
  if (!verb) return refuse(verb.error());
  carry_out(socket, *peer, *verb);
}

// A verb that acts is on record before it acts and again with its result: one that never ends
// leaves a trace of who asked. On a full disk what makes room goes on without.
void AdminServer::State::carry_out(int socket, const Peer& peer, const AdminVerb& verb) {
  SocketProgress progress(socket, stopping);
  Status intent = admin_verb_acts(verb) ? record(peer, verb, "asked") : Status();
  const bool refused = !intent && !admin_verb_makes_room(verb);
  Result<Value> result =
      refused ? Result<Value>(Unexpected(std::move(intent).error().context("nothing was done")))
              : dispatch(verb, verbs, progress);
  const auto outcome = record(peer, verb, result ? "done" : "failed: " + result.error().text());
  if (!outcome && result && std::holds_alternative<ConfirmVerb>(verb)) {
    result = Unexpected(Error(outcome.error()).context("the confirmation"));
  }
  AdminReply last;
  if (result) {
    last.result = *std::move(result);
  } else {
    last.error = std::move(result).error();
  }
  if (!reply(socket, last)) log(LogLevel::info, "the admin client left before the answer");
}

// The fact goes through the loop like all others, so the audit log has one writer.
Status AdminServer::State::record(const Peer& peer, const AdminVerb& verb, std::string result) {
  OperatorActed acted;
  acted.verb = admin_verb_name(verb);
  acted.subject = admin_verb_subject(verb);
  acted.uid = peer.uid;
  acted.process = peer.process;
  acted.result = std::move(result);
  Cause cause{Cause::Actor::operator_, "uid:" + std::to_string(peer.uid) + "(" + peer.process + ")",
              acted.verb + " " + acted.subject};
  if (options.record) {
    const auto recorded = options.record(std::move(acted), std::move(cause));
    if (!recorded) {
      log(LogLevel::warning, "what an operator asked for is not on record yet",
          {{"verb", admin_verb_name(verb)}, {"error", recorded.error().text()}});
    }
    return recorded;
  }
  facts.post(std::move(acted), std::move(cause));
  return {};
}

Result<std::unique_ptr<AdminServer>> AdminServer::create(Options options, AdminVerbs& verbs,
                                                         FactSink& facts) {
  UniqueFd stop_event(::eventfd(0, EFD_CLOEXEC));
  if (!stop_event) return Unexpected(system_error("eventfd", errno));
  MOORED_TRY(auto listening, admin::listen_unix(options.path));
  auto state = std::make_unique<State>(std::move(options), verbs, facts, std::move(listening),
                                       std::move(stop_event));
  state->acceptor = std::thread([raw = state.get()] { raw->accept_all(); });
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(state)));
}

AdminServer::AdminServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

AdminServer::~AdminServer() {
  state_->stopping = true;
  const std::uint64_t one = 1;
  // Cannot fail: the counter of a fresh eventfd has room.
  MOORED_ASSERT(::write(state_->stop_event.get(), &one, sizeof one) == sizeof one);
  state_->acceptor.join();
  ::unlink(state_->options.path.c_str());
}

}  // namespace moored
