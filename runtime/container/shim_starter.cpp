#include "runtime/container/shim_starter.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "runtime/shim/entrance.hpp"
#include "runtime/sys/memfd.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/host/file.hpp"

namespace moored::container {
namespace {

using std::chrono::milliseconds;

constexpr const char* kShimGroup = "system/shims";
// Where the starter finds its line: the first number after the standard streams.
constexpr int kLine = 3;
// Far above any build of the shim: reached only by a wrong path.
constexpr std::size_t kMaxProgramBytes = 64U << 20U;
constexpr std::size_t kMaxUidBytes = 253;
constexpr int kStartMilliseconds = 10'000;
constexpr milliseconds kEndTime{5'000};

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

bool wait_readable(int fd) {
  pollfd set{fd, POLLIN, 0};
  return ::poll(&set, 1, kStartMilliseconds) > 0;
}

// Waits for the shim's first word.
Status await_shim(int line) {
  if (!wait_readable(line)) return fail(Code::timeout, "the shim does not start");
  const auto word = sys::receive_message(line);
  if (word && *word == "ok") return {};
  return fail(Code::unavailable, !word || word->empty() ? "the shim ended at once" : *word);
}

struct Line {
  UniqueFd ours;
  UniqueFd theirs;
};

// Nobody waits for somebody who does not read.
Result<Line> make_line() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return failed("make a line to a shim");
  }
  return Line{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The next word of the starter. Errors: unavailable (it has ended), timeout.
Result<std::string> await_word(int line) {
  if (!wait_readable(line)) return fail(Code::timeout, "the starter of shims does not answer");
  auto word = sys::receive_message(line);
  if (!word || word->empty()) return fail(Code::unavailable, "the starter of shims has ended");
  return word;
}

}  // namespace

// Read once: an upgrade that replaces the file changes only the shims of a later daemon.
Result<std::unique_ptr<ShimStarter>> ShimStarter::create(const std::string& program,
                                                         const std::string& pods,
                                                         cgroup::Tree& tree) {
  MOORED_TRY(const auto text, read_file(program, kMaxProgramBytes));
  MOORED_TRY(auto file, sys::make_sealed_file("moored-shim", text, true));
  const auto room = pods.size() + 1 + kMaxUidBytes;
  return std::unique_ptr<ShimStarter>(new ShimStarter(std::move(file), room, tree));
}

// In a group of its own, which the shims inherit: a pod that runs out of memory must not take its
// own supervisor along.
Status ShimStarter::begin(Process& process) const {
  MOORED_CHECK(tree_.make(kShimGroup));
  MOORED_TRY(auto line, make_line());
  SpawnRequest request;
  // Run from the sealed copy in memory: nobody can change it between the check and the start.
  request.program = "/proc/self/fd/" + std::to_string(program_.get());
  request.arguments = {"moored-shim", "--starter", std::string(room_, ' ')};
  request.descriptors = {{line.theirs.get(), kLine}};
  MOORED_TRY(const auto entrances, shim::open_entrances(tree_.entrance(kShimGroup).tasks_files));
  int number = kLine;
  for (const auto& entrance : entrances) request.descriptors.emplace_back(entrance.get(), ++number);
  request.new_session = true;
  MOORED_TRY(process.child, spawn(request));
  MOORED_CHECK(tree_.attach(kShimGroup, process.child.pid));
  // Lowering needs CAP_SYS_RESOURCE; without it the shims keep the daemon's own score.
  static_cast<void>(
      write_file("/proc/" + std::to_string(process.child.pid) + "/oom_score_adj", "-999"));
  process.line = std::move(line.ours);
  return {};
}

void ShimStarter::end(Process& process) {
  process.line.reset();
  const auto child = std::exchange(process.child, Child());
  if (child.pid <= 0 || wait_child(child, kEndTime)) return;
  static_cast<void>(kill_group(child, SIGKILL));
  static_cast<void>(wait_child(child, kEndTime));
}

void ShimStarter::stop() {
  process_.with([](Process& process) { end(process); });
}

// A starter that is gone, because somebody killed it, is made anew; once, as it would go again.
Result<pid_t> ShimStarter::copy_process(const std::string& pod_directory, int line) {
  return process_.with([&](Process& process) -> Result<pid_t> {
    const auto ask = [&]() -> Result<std::string> {
      if (!process.line) {
        MOORED_CHECK(begin(process));
        MOORED_TRY(const auto ready, await_word(process.line.get()));
        if (ready != "ready") return fail(Code::unavailable, ready);
      }
      MOORED_CHECK(sys::send_descriptor(process.line.get(), pod_directory, line));
      return await_word(process.line.get());
    };
    auto word = ask();
    if (!word) {
      end(process);
      word = ask();
    }
    if (!word) {
      end(process);
      return Unexpected(std::move(word).error());
    }
    pid_t pid = 0;
    std::from_chars(word->data(), word->data() + word->size(), pid);
    if (pid <= 0) return fail(Code::unavailable, *word);
    return pid;
  });
}

// Only the shim holds the other end in the meantime, so its death reads as end of file. It is our
// child although the starter made it: not reaped yet, its number is its own.
Result<ShimStarter::Born> ShimStarter::start(const std::string& pod_directory) {
  MOORED_TRY(auto line, make_line());
  Born born;
  MOORED_TRY(born.child.pid, copy_process(pod_directory, line.theirs.get()));
  line.theirs.reset();
  MOORED_TRY(born.child.pidfd, open_pidfd(born.child.pid));
  auto ready = await_shim(line.ours.get());
  if (!ready) {
    static_cast<void>(kill_group(born.child, SIGKILL));
    static_cast<void>(wait_child(born.child, kEndTime));
    return Unexpected(std::move(ready).error());
  }
  born.line = std::move(line.ours);
  return born;
}

}  // namespace moored::container
