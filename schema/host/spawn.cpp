#include "schema/host/spawn.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>

#include "schema/base/assert.hpp"
#include "schema/host/file.hpp"

namespace moored {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

constexpr int kFirstOwnDescriptor = 3;

// posix_spawn and its kin return the number instead of setting errno, so it is always handed in.
Unexpected failed(const std::string& what, int error_number) {
  return Unexpected(system_error(what, error_number));
}

// posix_spawn's two attribute objects, released together.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    const bool made =
        posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attr) == 0;
    MOORED_ASSERT(made);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
  }

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attr{};
};

// Blocked and ignored signals are inherited through exec, so the child starts with none blocked
// and all at their defaults. A group of its own lets kill_group reach everything that it starts.
int set_signals_and_group(SpawnAttributes& attributes, bool new_session) {
  sigset_t none;
  sigset_t every;
  sigemptyset(&none);
  sigfillset(&every);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  flags |= new_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
  int error = posix_spawnattr_setsigmask(&attributes.attr, &none);
  if (error == 0) error = posix_spawnattr_setsigdefault(&attributes.attr, &every);
  if (error == 0) error = posix_spawnattr_setpgroup(&attributes.attr, 0);
  if (error == 0) error = posix_spawnattr_setflags(&attributes.attr, static_cast<short>(flags));
  return error;
}

// Places the wished descriptors and closes everything else. The sources are first copied above all
// targets, so that no dup2 can overwrite a source that is still needed.
Status set_descriptors(SpawnAttributes& attributes, const SpawnRequest& request,
                       std::vector<UniqueFd>& copies) {
  int end = kFirstOwnDescriptor;
  for (const auto& wish : request.descriptors)
    end = std::max(end, wish.second + 1);
  std::vector<bool> taken(static_cast<std::size_t>(end), false);
  int error = 0;
  for (const auto& wish : request.descriptors) {
    MOORED_ASSERT(wish.second >= 0 && !taken[static_cast<std::size_t>(wish.second)]);
    taken[static_cast<std::size_t>(wish.second)] = true;
    UniqueFd copy(::fcntl(wish.first, F_DUPFD_CLOEXEC, end));
    if (!copy) return failed("copy descriptor for " + request.program, errno);
    if (error == 0) {
      error = posix_spawn_file_actions_adddup2(&attributes.actions, copy.get(), wish.second);
    }
    copies.push_back(std::move(copy));
  }
  // Standard streams that nobody asked for lead to /dev/null: a closed 0, 1 or 2 would be given to
  // the next file the program opens, and its messages written into that.
  for (int fd = 0; fd < end && error == 0; ++fd) {
    if (taken[static_cast<std::size_t>(fd)]) continue;
    error = fd < kFirstOwnDescriptor
                ? posix_spawn_file_actions_addopen(&attributes.actions, fd, "/dev/null", O_RDWR, 0)
                : posix_spawn_file_actions_addclose(&attributes.actions, fd);
  }
  if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&attributes.actions, end);
  if (error != 0) return failed("prepare " + request.program, error);
  return {};
}

// The pointers live as long as the texts. execve takes char* for historical reasons and does not
// write through them.
std::vector<char*> make_pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const auto& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The child closes all descriptors before it executes, a sealed copy's too: name ours instead.
std::string program_for_child(const std::string& program) {
  constexpr std::string_view kOwn = "/proc/self/fd/";
  if (program.compare(0, kOwn.size(), kOwn) != 0) return program;
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + program.substr(kOwn.size());
}

// Keeps a write to a closed pipe from ending the process, whatever the signal set-up is.
class BlockedSigpipe {
 public:
  BlockedSigpipe() {
    sigset_t pending;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  BlockedSigpipe(const BlockedSigpipe&) = delete;
  BlockedSigpipe& operator=(const BlockedSigpipe&) = delete;
  ~BlockedSigpipe() {
    const timespec now{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

// Milliseconds left, rounded up, so that poll never spins just before the deadline.
int remaining(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - Steady::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, 3'600'000));
}

// Both ends close on exec; the child gets its end through dup2, which clears the flag.
struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

// pipe2 and no fcntl afterwards: another thread could fork between the two.
Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("make pipe", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The three streams of a running helper, moved forward whenever poll says so.
class Conversation {
 public:
  Conversation(UniqueFd to, UniqueFd from, UniqueFd errors, std::string_view input,
               std::size_t limit)
      : in_(std::move(to)),
        out_(std::move(from)),
        err_(std::move(errors)),
        input_(input),
        limit_(limit) {
    for (const auto* fd : {&in_, &out_, &err_}) {
      ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    }
  }

  // Waits until the child ended or the deadline passed. True: it ended.
  bool run(const Child& child, Steady::time_point deadline) {
    const BlockedSigpipe quiet;
    for (;;) {
      // End of input is said by closing, as soon as all was written: filters wait for it. Closed
      // streams have the descriptor -1, which poll skips.
      if (input_.empty()) in_.reset();
      std::array<pollfd, 4> set{{{in_.get(), POLLOUT, 0},
                                 {out_.get(), POLLIN, 0},
                                 {err_.get(), POLLIN, 0},
                                 {child.pidfd.get(), POLLIN, 0}}};
      const int ready = ::poll(set.data(), set.size(), remaining(deadline));
      if (ready == 0 && Steady::now() >= deadline) return false;
      if (set[0].revents != 0) feed();
      take(out_, out);
      take(err_, err);
      if (set[3].revents != 0) return true;
      if (Steady::now() >= deadline) return false;
    }
  }

  // Takes what is still in the pipes, without waiting for holders of them that live on.
  void drain() {
    take(out_, out);
    take(err_, err);
  }

  std::string out;
  std::string err;

 private:
  // As much as the pipe takes now; poll calls again for the rest.
  void feed() {
    const auto put = ::write(in_.get(), input_.data(), input_.size());
    if (put >= 0) {
      input_.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno != EAGAIN && errno != EINTR) {
      input_ = {};  // it does not want to read on
    }
  }

  // Reads beyond the limit as well and throws it away: a full pipe would hold the program for ever.
  void take(UniqueFd& fd, std::string& text) const {
    std::array<char, 16384> chunk{};
    while (fd) {
      const auto got = ::read(fd.get(), chunk.data(), chunk.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        fd.reset();
        return;
      }
      const auto room = limit_ - std::min(limit_, text.size());
      text.append(chunk.data(), std::min(room, static_cast<std::size_t>(got)));
    }
  }

  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  std::string_view input_;
  std::size_t limit_;
};

}  // namespace

// posix_spawn and not fork: the daemon has many threads and much memory, and the child must not run
// any code of ours in between.
Result<Child> spawn(const SpawnRequest& request) {
  SpawnAttributes attributes;
  std::vector<UniqueFd> copies;
  const int prepared = set_signals_and_group(attributes, request.new_session);
  if (prepared != 0) return failed("prepare " + request.program, prepared);
  MOORED_CHECK(set_descriptors(attributes, request, copies));
  const auto arguments = make_pointers(request.arguments);
  const auto environment = make_pointers(request.environment);
  const std::string program = program_for_child(request.program);
  Child child;
  const int error = posix_spawn(&child.pid, program.c_str(), &attributes.actions, &attributes.attr,
                                arguments.data(), environment.data());
  if (error != 0) return failed("start " + request.program, error);
  // Not reaped yet, so the number is still the child's even if it has already ended.
  auto pidfd = open_pidfd(child.pid);
  if (!pidfd) {
    ::kill(-child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    return Unexpected(std::move(pidfd).error());
  }
  child.pidfd = *std::move(pidfd);
  return child;
}

// The pidfd becomes readable at the end of the process; waitid afterwards cannot block.
Result<ExitStatus> wait_child(const Child& child, milliseconds timeout) {
  const auto deadline = Steady::now() + timeout;
  for (;;) {
    pollfd set{child.pidfd.get(), POLLIN, 0};
    const int ready = ::poll(&set, 1, remaining(deadline));
    if (ready < 0 && errno != EINTR) return failed("wait for process", errno);
    if (ready > 0) break;
    if (Steady::now() >= deadline) {
      return fail(Code::timeout, "process " + std::to_string(child.pid) + " still runs");
    }
  }
  siginfo_t state{};
  while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &state, WEXITED) != 0) {
    if (errno != EINTR) return failed("wait for process " + std::to_string(child.pid), errno);
  }
  ExitStatus status;
  if (state.si_code == CLD_EXITED) {
    status.code = state.si_status;
  } else {
    status.signal = state.si_status;
  }
  return status;
}

Status kill_group(const Child& child, int signal) {
  // While the child is not reaped its number cannot be given to another process.
  if (::syscall(SYS_pidfd_send_signal, child.pidfd.get(), 0, nullptr, 0) != 0 && errno == ESRCH) {
    return failed("signal process " + std::to_string(child.pid), ESRCH);
  }
  if (::kill(-child.pid, signal) != 0) {
    return failed("signal process group " + std::to_string(child.pid), errno);
  }
  return {};
}

Result<CommandOutput> run_command(const SpawnRequest& request, std::string_view input,
                                  milliseconds timeout, std::size_t output_limit) {
  const auto deadline = Steady::now() + timeout;
  MOORED_TRY(auto in, make_pipe());
  MOORED_TRY(auto out, make_pipe());
  MOORED_TRY(auto err, make_pipe());
  SpawnRequest wired = request;
  wired.descriptors.emplace_back(in.read.get(), 0);
  wired.descriptors.emplace_back(out.write.get(), 1);
  wired.descriptors.emplace_back(err.write.get(), 2);
  MOORED_TRY(const auto child, spawn(wired));
  // The child's ends are closed here: while we hold a write end ourselves, end of file never comes.
  in.read.reset();
  out.write.reset();
  err.write.reset();
  Conversation talk(std::move(in.write), std::move(out.read), std::move(err.read), input,
                    output_limit);
  const bool ended = talk.run(child, deadline);
  if (!ended) static_cast<void>(kill_group(child, SIGKILL));
  // SIGKILL needs a moment when the process is deep in the kernel; five seconds bound even that.
  auto status = wait_child(child, ended ? milliseconds(0) : milliseconds(5000));
  if (!status) return Unexpected(std::move(status).error());
  if (!ended) {
    return fail(Code::timeout,
                request.program + " took longer than " + std::to_string(timeout.count()) + " ms");
  }
  talk.drain();
  return CommandOutput{*status, std::move(talk.out), std::move(talk.err)};
}

// By number of the call: the C library of Debian 12 has a wrapper, older ones do not. The
// descriptor closes on exec by itself.
Result<UniqueFd> open_pidfd(pid_t pid) {
  const auto fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return failed("open process " + std::to_string(pid), errno);
  return UniqueFd(static_cast<int>(fd));
}

// In clock ticks since boot. Together with the boot id it tells two processes of one number apart.
Result<std::uint64_t> read_start_time(pid_t pid) {
  constexpr int kFieldsAfterName = 19;  // field 22 counts from 1; field 3 follows the name
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  MOORED_TRY(const auto text, read_file(path, 4096));
  // The name may contain anything, a closing parenthesis too: only the last one ends it.
  const auto end_of_name = text.rfind(") ");
  std::size_t at = end_of_name == std::string::npos ? text.size() : end_of_name + 2;
  for (int field = 0; field < kFieldsAfterName && at < text.size(); ++field) {
    at = std::min(text.find(' ', at), text.size() - 1) + 1;
  }
  std::uint64_t ticks = 0;
  const auto read = std::from_chars(text.data() + at, text.data() + text.size(), ticks);
  if (read.ec != std::errc()) return fail(Code::corrupt, "read " + path + ": no start time");
  return ticks;
}

Result<std::string> read_boot_id() {
  MOORED_TRY(auto text, read_file("/proc/sys/kernel/random/boot_id", 128));
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

}  // namespace moored
