// The container's first process before it becomes the program: carries out the planned steps.
#pragma once

#include <string>
#include <vector>

#include "runtime/shim/step.hpp"
#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// What a step needs of the host, opened by the shim before the child exists: so that nothing of
// the host is looked up by name once the container's own files are in reach.
struct Pinned {
  std::vector<UniqueFd> descriptors;  // of the step, in the order of its list
  std::string program;                // seccomp
};

// Opens what the steps name on the host. One entry for each step.
// Errors: not_found, denied, invalid, with the step's name.
Result<std::vector<Pinned>> pin_steps(const std::vector<Step>& steps);

// The child's standard streams and its line to the shim.
struct ChildStreams {
  int in = -1;
  int out = -1;
  int err = -1;
  int control = -1;         // SEQPACKET: "start" from the shim; "terminal", "ready" or
                            // "error …" to it
  std::vector<int> entrances;  // tasks files of v1 groups, entered before anything else
  int oom_score_adjust = 0;
  int joined_process = -1;  // pidfd whose mounts and cgroup view are entered first, or -1
};

// Runs in the child, never returns. Failures go to the shim as "error <errno-less sentence>".
[[noreturn]] void run_child(const std::vector<Step>& steps, const std::vector<Pinned>& pinned,
                            const ChildStreams& streams);

// What a failed exec means to a shell: 127 (not found) or 126 (not executable).
constexpr int kExitNotFound = 127;
constexpr int kExitNotExecutable = 126;

}  // namespace moored::shim
