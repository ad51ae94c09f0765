#include "runtime/sys/process.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace moored::sys {
namespace {

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

}  // namespace

// The raw call: the C library's fork cannot place the child into a cgroup nor give a pidfd. No
// memory is shared, so the child may use everything that its single thread could.
Result<Child> clone_process(const CloneRequest& request) {
  int pidfd = -1;
  clone_args arguments{};
  // Signals that this process ignores or takes would otherwise be so in the program as well.
  arguments.flags = request.namespaces | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  // A sibling ends with the signal of the process that it is copied from.
  if (request.sibling) arguments.flags |= CLONE_PARENT;
  arguments.exit_signal = request.sibling ? 0 : SIGCHLD;
  if (request.cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(request.cgroup);
  }
  const auto pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return failed("clone process");
  Child child;
  child.pid = static_cast<pid_t>(pid);
  if (pid > 0) child.pidfd.reset(pidfd);
  return child;
}

// By descriptor: a number could already belong to another child.
Result<std::optional<ExitStatus>> reap(int pidfd) {
  siginfo_t state{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &state, WEXITED | WNOHANG) != 0) {
    if (errno != EINTR) return failed("wait for process");
  }
  if (state.si_pid == 0) return std::optional<ExitStatus>();
  ExitStatus status;
  if (state.si_code == CLD_EXITED) {
    status.code = state.si_status;
  } else {
    status.signal = state.si_status;
  }
  return std::optional<ExitStatus>(status);
}

Status send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) {
    return failed("signal process");
  }
  return {};
}

Status join_namespaces(int fd, std::uint64_t kinds) {
  if (::setns(fd, static_cast<int>(kinds)) != 0) return failed("join namespace");
  return {};
}

Status unshare_namespaces(std::uint64_t kinds) {
  if (::unshare(static_cast<int>(kinds)) != 0) return failed("make namespace");
  return {};
}

int shell_code(const ExitStatus& status) {
  constexpr int kSignalBase = 128;
  if (status.code) return *status.code;
  return kSignalBase + status.signal.value_or(0);
}

}  // namespace moored::sys
