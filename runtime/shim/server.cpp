#include "runtime/shim/server.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include "runtime/shim/container.hpp"
#include "runtime/shim/probe.hpp"
#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/host/file.hpp"

namespace moored::shim {
namespace {

// More connections than one daemon and a few curious operators need are refused.
constexpr std::size_t kMaxClients = 16;
constexpr std::size_t kMaxContainers = 256;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// What makes an attempt unique in its pod.
std::string key_of(const Record& request) {
  return request.text_of("name") + "/" + std::to_string(request.number_of("attempt"));
}

std::uint64_t namespace_kind(const std::string& word) {
  if (word == "net") return CLONE_NEWNET;
  if (word == "ipc") return CLONE_NEWIPC;
  if (word == "uts") return CLONE_NEWUTS;
  return 0;
}

// The signals that the loop takes as descriptors; everything else keeps its default.
Result<UniqueFd> take_signals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0) return failed("block signals");
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return failed("take signals");
  return fd;
}

}  // namespace

Server::Server(PodOrder order, Loop loop) : order_(std::move(order)), loop_(std::move(loop)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(const std::string& directory) {
  MOORED_TRY(const auto text, read_file(directory + "/sandbox.json"));
  MOORED_TRY(auto order, pod_order_from(text));
  MOORED_TRY(auto loop, Loop::create());
  std::unique_ptr<Server> server(new Server(std::move(order), std::move(loop)));
  MOORED_CHECK(server->prepare());
  return server;
}

// The lock first: a second shim of the same pod must not touch anything. shim.json last: it says
// that the socket answers.
Status Server::prepare() {
  MOORED_TRY(lock_, lock_file(order_.directory + "/shim.lock"));
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return failed("become subreaper");
  ::prctl(PR_SET_NAME, "moored-shim", 0, 0, 0);
  ::umask(0077);
  if (::chdir("/") != 0) return failed("leave the daemon's directory");
  MOORED_TRY(signals_, take_signals());
  MOORED_CHECK(enter_namespaces());
  MOORED_TRY(listener_, sys::listen_messages(order_.directory + "/shim.sock"));
  probes_ = std::make_unique<ProbeRunner>(loop_);
  const auto listening = loop_.watch(listener_.get(), EPOLLIN, [this](auto) { accept_client(); });
  const auto hearing = loop_.watch(signals_.get(), EPOLLIN, [this](auto) { read_signals(); });
  if (!listening) return Unexpected(listening.error());
  if (!hearing) return Unexpected(hearing.error());
  MOORED_TRY(const auto boot, read_boot_id());
  MOORED_TRY(const auto started, read_start_time(::getpid()));
  Record about;
  about.set("proto", kProtocol).set("build", MOORED_VERSION).set("bootId", boot);
  about.set("pid", static_cast<std::int64_t>(::getpid()));
  about.set("startTime", static_cast<std::int64_t>(started));
  return write_file_durably(order_.directory + "/shim.json", about.text() + "\n");
}

// The shim lives in the pod's network, ipc and uts namespaces, so that its children are born there
// and probes come from inside. Its socket has a path name and is reached from outside all the same.
Status Server::enter_namespaces() const {
  for (const auto& entry : order_.namespaces) {
    const auto equals = entry.find('=');
    const auto kind = namespace_kind(entry.substr(0, equals));
    if (kind == 0 || equals == std::string::npos) {
      return fail(Code::corrupt, "unknown namespace " + entry);
    }
    const UniqueFd fd(::open(entry.c_str() + equals + 1, O_RDONLY | O_CLOEXEC));
    if (!fd) return failed("open namespace " + entry);
    MOORED_CHECK(sys::join_namespaces(fd.get(), kind));
  }
  std::uint64_t wanted = 0;
  for (const auto& kind : order_.new_namespaces) wanted |= namespace_kind(kind);
  if (wanted == 0) return {};
  MOORED_CHECK(sys::unshare_namespaces(wanted));
  const auto& name = order_.hostname;
  const bool named = (wanted & CLONE_NEWUTS) != 0 && !name.empty();
  if (named && ::sethostname(name.data(), name.size()) != 0) {
    return failed("set host name " + name);
  }
  return {};
}

Status Server::run() {
  while (!done_)
    MOORED_CHECK(loop_.run_once());
  return {};
}

// One user only: this shim's own.
void Server::accept_client() {
  auto accepted = sys::accept_messages(listener_.get());
  if (!accepted || !*accepted || clients_.size() >= kMaxClients) return;
  const auto peer = sys::read_peer(accepted->get());
  if (!peer || peer->uid != ::geteuid()) return;
  add_client(*std::move(accepted));
}

// 0: it cannot be heard and is closed.
Server::ClientId Server::add_client(UniqueFd fd) {
  const ClientId id = next_client_++;
  auto token = loop_.watch(fd.get(), EPOLLIN, [this, id](auto) { read_client(id); });
  if (!token) return 0;
  clients_[id] = Client{std::move(fd), *token, 0};
  return id;
}

void Server::welcome(UniqueFd line) {
  const auto id = add_client(std::move(line));
  if (id == 0) return;
  clients_[id].greeted = ++greetings_;
  if (!sys::send_message(clients_[id].fd.get(), "ok")) drop_client(id);
}

void Server::drop_client(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  loop_.unwatch(found->second.token);
  clients_.erase(found);
}

// Somebody who does not speak the protocol is not worth an answer.
void Server::read_client(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  const auto message = sys::receive_message(found->second.fd.get());
  if (!message && message.error().reason == "Again") return;
  if (!message || message->empty()) return drop_client(id);
  const auto request = Record::parse(*message);
  if (!request) return drop_client(id);
  serve(id, *request);
}

void Server::send(ClientId id, Record message) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  message.set("v", kProtocol);
  // One that does not read is cut off; it will ask for the state when it comes back.
  if (!sys::send_message(found->second.fd.get(), message.text())) drop_client(id);
}

// Collected first: a send may drop a client.
void Server::broadcast(const Record& message) {
  std::vector<ClientId> greeted;
  for (const auto& client : clients_) {
    if (client.second.greeted != 0) greeted.push_back(client.first);
  }
  for (const auto id : greeted)
    send(id, message);
}

// The attempt's state goes along where there is one: it saves a LIST.
void Server::answer(ClientId id, const Record& request, const Status& status) {
  Record reply;
  reply.set("id", request.number_of("id")).set("ok", status.has_value());
  if (!status) {
    reply.set("code", std::string(traits(status.error().code).name));
    reply.set("error", status.error().message);
  }
  if (auto* run = find(request)) {
    Record state = to_record(run->state());
    state.set("id", request.number_of("id")).set("ok", status.has_value());
    state.set("code", reply.text_of("code")).set("error", reply.text_of("error"));
    state.set("exitCode", run->state().code);
    reply = state;
  }
  send(id, std::move(reply));
}

// Only the latest daemon that said HELLO changes anything; older connections may look.
bool Server::may_change(ClientId id) const {
  const auto found = clients_.find(id);
  return found != clients_.end() && found->second.greeted != 0 &&
         found->second.greeted == greetings_;
}

// Looking is free, changing needs the latest HELLO.
void Server::serve(ClientId id, const Record& request) {
  const auto& op = request.text_of("op");
  if (op == "HELLO") return hello(id, request);
  if (op == "LIST") return list(id, request);
  if (!may_change(id)) {
    return answer(id, request, fail(Code::denied, op + ": another daemon has taken over"));
  }
  if (op == "CREATE") return create_container(id, request);
  if (op == "PROBE") return probe(id, request);
  if (op == "SHUTDOWN") return shutdown(id, request);
  if (!serve_container(id, request)) {
    answer(id, request, fail(Code::invalid, "unknown operation " + op));
  }
}

bool Server::serve_container(ClientId id, const Record& request) {
  const auto& op = request.text_of("op");
  if (op == "DELETE") return remove_container(id, request), true;
  auto* run = find(request);
  if (run == nullptr) {
    answer(id, request, fail(Code::not_found, op + ": no container " + key_of(request)));
    return true;
  }
  if (op == "START") {
    run->start([this, id, request](const Status& status) { answer(id, request, status); });
  } else if (op == "KILL") {
    pause_told_ = pause_told_ || run->order().pid_namespace == "pause";
    answer(id, request,
           run->signal(static_cast<int>(request.number_of("signal")), request.flag_of("all")));
  } else if (op == "ACK") {
    answer(id, request, run->acknowledge());
  } else if (op == "LOGROTATE") {
    run->rotate_log();
    answer(id, request, {});
  } else {
    return false;
  }
  return true;
}

// The newest daemon takes over; a stale one finds out with its next request.
void Server::hello(ClientId id, const Record& request) {
  const auto low = request.number_of("protoMin");
  const auto high = request.number_of("protoMax");
  if (low > kProtocol || high + 1 < kProtocol) {
    return answer(id, request, fail(Code::invalid, "no common protocol version"));
  }
  clients_[id].greeted = ++greetings_;
  Record reply;
  reply.set("id", request.number_of("id")).set("ok", true).set("uid", order_.uid);
  reply.set("proto", kProtocol).set("pid", static_cast<std::int64_t>(::getpid()));
  send(id, std::move(reply));
}

// One message for each attempt, then the answer.
void Server::list(ClientId id, const Record& request) {
  for (const auto& run : runs_) {
    Record row = to_record(run.second->state());
    row.set("exitCode", run.second->state().code);
    row.set("id", request.number_of("id")).set("row", true);
    send(id, std::move(row));
  }
  Record reply;
  reply.set("id", request.number_of("id")).set("ok", true);
  send(id, std::move(reply));
}

ContainerRun* Server::find(const Record& request) {
  const auto found = runs_.find(key_of(request));
  return found == runs_.end() ? nullptr : found->second.get();
}

// A failed creation is forgotten once it was answered, so that it can be tried again.
void Server::create_container(ClientId id, const Record& request) {
  if (find(request) != nullptr) return answer(id, request, {});
  if (runs_.size() >= kMaxContainers) {
    return answer(id, request, fail(Code::exhausted, "too many containers in one pod"));
  }
  const auto text = read_file(request.text_of("spec"));
  if (!text) return answer(id, request, fail(Code::invalid, text.error().message));
  auto order = container_order_from(*text);
  if (!order) return answer(id, request, Unexpected(std::move(order).error()));
  const std::string key = key_of(request);
  if (order->name + "/" + std::to_string(order->attempt) != key) {
    return answer(id, request, fail(Code::invalid, "the order is for another container"));
  }
  const bool pause = order->pid_namespace == "pause";
  auto& run = runs_[key];
  run = std::make_unique<ContainerRun>(loop_, *std::move(order), shared_pid_namespace_);
  run->create(
      [this, id, request, key, pause](const Status& status) {
        if (status && pause) shared_pid_namespace_ = runs_[key]->pidfd();
        answer(id, request, status);
        // Erased from outside of its own call.
        if (!status) loop_.start_timer(Steady::now(), [this, key] { runs_.erase(key); });
      },
      [this, pause](const ContainerState& state) {
        Record event = to_record(state);
        broadcast(event.set("exitCode", state.code).set("event", "EXIT"));
        // With its first process the shared namespace has ended, and nothing can be started in it
        // again. A shim that goes is what the daemon knows how to replace.
        if (pause && !pause_told_) done_ = true;
      },
      [this](const ContainerState& state) {
        Record event = to_record(state);
        broadcast(event.set("event", "OOM"));
      });
}

// Only what was acknowledged, before or with this: else its end could get lost.
void Server::remove_container(ClientId id, const Record& request) {
  auto* run = find(request);
  if (run == nullptr) return answer(id, request, {});
  if (run->state().phase != "exited") {
    return answer(id, request, fail(Code::conflict, key_of(request) + " has not ended"));
  }
  if (!run->state().acknowledged && !request.flag_of("acknowledged")) {
    return answer(id, request, fail(Code::conflict, key_of(request) + " is not acknowledged"));
  }
  if (run->order().pid_namespace == "pause") shared_pid_namespace_ = -1;
  runs_.erase(key_of(request));
  answer(id, request, {});
}

void Server::probe(ClientId id, const Record& request) {
  const ContainerRun* run = nullptr;
  for (const auto& entry : runs_) {
    if (entry.second->order().name == request.text_of("container") &&
        entry.second->state().phase == "running") {
      run = entry.second.get();
    }
  }
  probes_->start(request, run, [this, id, request](const ProbeAnswer& result) {
    Record reply;
    reply.set("id", request.number_of("id")).set("ok", true).set("outcome", result.outcome);
    reply.set("output", result.output).set("exitCode", result.exit_code);
    send(id, std::move(reply));
  });
}

// Not before everything has ended and somebody knows it.
void Server::shutdown(ClientId id, const Record& request) {
  for (const auto& run : runs_) {
    const auto& state = run.second->state();
    if (state.phase != "exited" || !state.acknowledged) {
      return answer(id, request,
                    fail(Code::conflict, run.first + " has not ended or is not "
                                                     "acknowledged"));
    }
  }
  answer(id, request, {});
  done_ = true;
}

// Children by their pid, orphans as they come. A child is looked at before it is reaped, so that
// a number is never given out again while it is still ours.
void Server::read_signals() {
  std::array<signalfd_siginfo, 16> signals{};
  // SIGTERM and SIGINT are read and have no effect: only SHUTDOWN ends a shim.
  while (::read(signals_.get(), signals.data(), sizeof signals) > 0) {
  }
  for (;;) {
    siginfo_t child{};
    if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0 || child.si_pid == 0) return;
    bool known = probes_->reap(child.si_pid);
    for (const auto& run : runs_) {
      if (!known && run.second->state().pid == child.si_pid) known = run.second->reap();
    }
    if (!known) ::waitpid(child.si_pid, nullptr, WNOHANG);
  }
}

}  // namespace moored::shim
