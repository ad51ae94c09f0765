#include "runtime/image/registry_worker.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "schema/host/frame_channel.hpp"
#include "schema/host/spawn.hpp"

namespace moored::image {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kSocketInChild = 3;
constexpr milliseconds kReapTime{5'000};
// The worker keeps its own time; past this much more it is taken for stuck.
constexpr seconds kPatience{15};

Error lost(const Error& cause) {
  return Error{cause.code == Code::corrupt ? Code::internal : Code::unavailable,
               "the registry worker was lost: " + cause.message, "WorkerLost", {}, {}};
}

class WorkerLink final : public RegistryLink {
 public:
  WorkerLink(Child child, FrameChannel channel, seconds idle)
      : child_(std::move(child)), channel_(std::move(channel)), idle_(idle) {}
  ~WorkerLink() override {
    channel_ = FrameChannel();
    static_cast<void>(kill_group(child_, SIGKILL).has_value());
    static_cast<void>(wait_child(child_, kReapTime).has_value());
  }

  Status open(const RegistryAccess& access) {
    RegistryAsk hello;
    hello.access = access;
    return channel_.send(write_ask(hello), kPatience);
  }

  // A connection, a token and some redirects may each take their time before the first byte.
  Status ask(const RegistryAsk& ask, const RegistrySink& sink) override {
    const auto sent = channel_.send(write_ask(ask), kPatience);
    if (!sent) return Unexpected(lost(sent.error()));
    for (;;) {
      const auto message = channel_.receive(3 * idle_ + kPatience);
      if (!message) return Unexpected(lost(message.error()));
      const auto answer = read_answer(*message);
      if (!answer) return Unexpected(lost(answer.error()));
      switch (answer->kind) {
        case RegistryAnswer::Kind::head: MOORED_CHECK(sink.head(answer->head)); break;
        case RegistryAnswer::Kind::piece: MOORED_CHECK(sink.piece(answer->piece)); break;
        case RegistryAnswer::Kind::end: return {};
        case RegistryAnswer::Kind::error: return Unexpected(answer->error);
      }
    }
  }

 private:
  Child child_;
  FrameChannel channel_;
  seconds idle_;
};

class WorkerConnector final : public RegistryConnector {
 public:
  explicit WorkerConnector(RegistryWorkerOptions options)
      : options_(std::move(options)), stop_(::eventfd(0, EFD_CLOEXEC)) {}

  Result<std::unique_ptr<RegistryLink>> connect(const RegistryAccess& access) override {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return Unexpected(system_error("make a socket for moored-pull", errno));
    }
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    SpawnRequest request;
    request.program = options_.program;
    request.arguments = {"moored-pull"};
    if (options_.user) {
      for (const auto& [name, id] : {std::pair("--user", options_.user->first),
                                     std::pair("--group", options_.user->second)}) {
        request.arguments.insert(request.arguments.end(), {name, std::to_string(id)});
      }
    }
    // Nothing of the daemon's environment: no proxies, no HOME with settings.
    request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent"};
    request.descriptors = {{theirs.get(), kSocketInChild}, {2, 2}};
    MOORED_TRY(auto child, spawn(request));
    auto link = std::make_unique<WorkerLink>(std::move(child),
                                             FrameChannel(std::move(ours), stop_.get()),
                                             seconds(access.idle_seconds));
    MOORED_CHECK(link->open(access));
    return std::unique_ptr<RegistryLink>(std::move(link));
  }

  // The descriptor stays readable, so later calls end as well.
  void stop() override { static_cast<void>(::eventfd_write(stop_.get(), 1)); }

 private:
  RegistryWorkerOptions options_;
  UniqueFd stop_;
};

}  // namespace

std::unique_ptr<RegistryConnector> make_registry_connector(RegistryWorkerOptions options) {
  return std::make_unique<WorkerConnector>(std::move(options));
}

}  // namespace moored::image
