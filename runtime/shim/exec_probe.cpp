// A program inside a running container, as probe or hook.
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "runtime/shim/child.hpp"
#include "runtime/shim/container.hpp"
#include "runtime/shim/launch.hpp"
#include "runtime/shim/probe.hpp"
#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"

namespace moored::shim {
namespace {

// A group of its own below the container's, so that a timeout also reaches what the program
// started. Empty when there is no v2 hierarchy.
std::string make_exec_cgroup(const std::string& container) {
  static std::uint64_t number = 0;
  if (container.empty()) return {};
  std::string path = container + "/exec-" + std::to_string(++number);
  return ::mkdir(path.c_str(), 0755) == 0 ? path : std::string();
}

class ExecProbe final : public Probe {
 public:
  ExecProbe(Loop& loop, ProbeDone done) : loop_(loop), done_(std::move(done)) {}
  ExecProbe(const ExecProbe&) = delete;
  ExecProbe& operator=(const ExecProbe&) = delete;
  ~ExecProbe() override {
    loop_.unwatch(control_token_);
    loop_.unwatch(output_token_);
    loop_.stop_timer(refusal_);
    if (!cgroup_.empty()) ::rmdir(cgroup_.c_str());
  }

  // Never answers itself: the caller does not know this probe yet.
  void begin(const Record& request, const ContainerRun& run) {
    LaunchRequest wish;
    wish.steps = plan_exec(run.order().steps, request.list_of("command"));
    wish.placement.pid_namespace = run.pidfd();
    wish.placement.joined_process = run.pidfd();
    cgroup_ = make_exec_cgroup(run.order().cgroup);
    wish.placement.cgroup = cgroup_.empty() ? run.order().cgroup : cgroup_;
    wish.placement.tasks_files = run.order().tasks_files;
    wish.placement.oom_score_adjust = run.order().oom_score_adjust;
    wish.uid = run.order().uid;
    wish.gid = run.order().gid;
    wish.merge_errors = true;
    auto launched = launch(wish);
    if (!launched) return refuse(launched.error().message);
    child_ = std::move(launched->child);
    control_ = std::move(launched->control);
    output_ = std::move(launched->out);
    auto token = loop_.watch(output_.get(), EPOLLIN, [this](auto) { read_output(); });
    if (token) output_token_ = *token;
    token = loop_.watch(control_.get(), EPOLLIN, [this](auto) { read_control(); });
    if (token) control_token_ = *token;
  }

  bool reap(pid_t pid) override {
    if (child_.pid != pid || ended_) return false;
    const auto status = sys::reap(child_.pidfd.get());
    if (!status || !*status) return false;
    ended_ = true;
    if (control_token_ != 0) read_control();
    if (output_token_ != 0) read_output();
    kill_rest();
    finish(**status);
    return true;
  }

  // Kills; the answer comes when the child is reaped.
  void expire() override {
    expired_ = true;
    if (child_.pid <= 0) return;
    kill_rest();
    static_cast<void>(sys::send_signal(child_.pidfd.get(), SIGKILL));
  }

 private:
  void refuse(const std::string& why) {
    refusal_ = loop_.start_timer(Steady::now(), [this, why] { done_({"unknown", why, 0}); });
  }

  // Without a group of its own only the program itself can be killed.
  void kill_rest() const {
    if (!cgroup_.empty()) static_cast<void>(kill_cgroup(cgroup_));
  }

  void read_output() {
    std::array<char, 16384> chunk{};
    for (;;) {
      const auto got = ::read(output_.get(), chunk.data(), chunk.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return loop_.unwatch(std::exchange(output_token_, 0));
      const auto room = kMaxProbeOutput - std::min(kMaxProbeOutput, text_.size());
      text_.append(chunk.data(), std::min(room, static_cast<std::size_t>(got)));
    }
  }

  // The line ends with exec; what comes before the end is why there was none.
  void read_control() {
    const auto message = sys::receive_message(control_.get());
    if (!message && message.error().reason == "Again") return;
    if (message && message->compare(0, 6, "error ") == 0) {
      error_ = message->substr(6);
      return;
    }
    loop_.unwatch(std::exchange(control_token_, 0));
  }

  // "Cannot be executed" says nothing about the container's health.
  void finish(const ExitStatus& status) {
    const int code = sys::shell_code(status);
    if (!error_.empty()) {
      done_({"unknown", error_, code});
    } else if (expired_) {
      done_({"failure", "command timed out\n" + text_, code});
    } else {
      done_({code == 0 ? "success" : "failure", text_, code});
    }
  }

  Loop& loop_;
  ProbeDone done_;
  Child child_;
  UniqueFd control_;
  UniqueFd output_;
  Loop::Token control_token_ = 0;
  Loop::Token output_token_ = 0;
  Loop::Token refusal_ = 0;
  std::string cgroup_;
  std::string text_;
  std::string error_;
  bool expired_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Probe> start_exec_probe(Loop& loop, const Record& request, const ContainerRun& run,
                                        ProbeDone done) {
  auto probe = std::make_unique<ExecProbe>(loop, std::move(done));
  probe->begin(request, run);
  return probe;
}

}  // namespace moored::shim
