// Starting a program: the daemon never forks, it spawns.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

// What to start. Everything else of the parent (environment, descriptors, signal state) stays out.
struct SpawnRequest {
  std::string program;                  // absolute path, or /proc/self/fd/N of a sealed copy
  std::vector<std::string> arguments;   // argv, the program's name included
  std::vector<std::string> environment; // NAME=value
  // {ours, number in the child}; 0-2 default to /dev/null
  std::vector<std::pair<int, int>> descriptors;
  bool new_session = false;             // setsid instead of a process group of its own
};

// A started child, known by pidfd: names die, ids do not.
struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// How a child ended: exactly one of the two is set.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
};

// Starts a program with posix_spawn: own process group, default handlers, empty mask,
// descriptors above 2 closed except the named ones.
// Errors: not_found, denied, exhausted.
Result<Child> spawn(const SpawnRequest& request);
// Waits for the end of a child and reaps it. Errors: timeout (it still runs).
Result<ExitStatus> wait_child(const Child& child, std::chrono::milliseconds timeout);
// Sends a signal to the child's process group.
Status kill_group(const Child& child, int signal);

// Output of a helper that was run to its end.
struct CommandOutput {
  ExitStatus status;
  std::string out;
  std::string err;
};
// Runs a program with input on stdin to its end; kills its group at the deadline.
// Output above the limit (bytes, each stream) is read and thrown away.
Result<CommandOutput> run_command(const SpawnRequest& request, std::string_view input,
                                  std::chrono::milliseconds timeout,
                                  std::size_t output_limit = 1U << 20U);
// A pidfd of a process, or not_found.
Result<UniqueFd> open_pidfd(pid_t pid);
// Field 22 of /proc/PID/stat, in clock ticks since boot: identifies a pid over its lifetime.
Result<std::uint64_t> read_start_time(pid_t pid);
// The id of this boot.
Result<std::string> read_boot_id();

}  // namespace moored
