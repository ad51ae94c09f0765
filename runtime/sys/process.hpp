// Processes by pidfd: clone, wait, signal, namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "schema/base/result.hpp"
#include "schema/host/spawn.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::sys {

// What a new process shares with its parent, and where it starts.
struct CloneRequest {
  std::uint64_t namespaces = 0;  // CLONE_NEW… bits that are made new
  int cgroup = -1;               // v2 directory to be born in (CLONE_INTO_CGROUP); -1: the parent's
  bool sibling = false;          // a child of this process's parent
};

// Like fork, for single-threaded processes only. In the parent: pid > 0 and its pidfd; in the
// child: pid 0, and all signals at their defaults. Errors: denied, exhausted, invalid.
Result<Child> clone_process(const CloneRequest& request);
// Collects a process that ended. Nothing: it still runs.
Result<std::optional<ExitStatus>> reap(int pidfd);
// Signals exactly this process, however often its number was given out again.
// Errors: not_found (it ended).
Status send_signal(int pidfd, int signal);
// Enters namespaces: of one kind by a descriptor of /proc/PID/ns, of several by a pidfd.
Status join_namespaces(int fd, std::uint64_t kinds);
// Makes namespaces of this thread new.
Status unshare_namespaces(std::uint64_t kinds);
// Whether shell-style exit codes apply: the code, or 128 plus the signal.
int shell_code(const ExitStatus& status);

}  // namespace moored::sys
