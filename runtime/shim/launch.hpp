// From a list of steps to a child that carries them out, inside its cgroups.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/shim/order.hpp"
#include "runtime/sys/process.hpp"
#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// Where a child starts, besides its steps.
struct Placement {
  std::uint64_t new_namespaces = 0;  // CLONE_NEW… bits
  int pid_namespace = -1;            // to be born in: a pidfd or namespace; -1: ours
  int joined_process = -1;           // pidfd whose mounts and cgroup view the child joins; -1: none
  std::string cgroup;                // v2 directory; empty: none
  std::vector<std::string> tasks_files;  // v1 groups that the child enters by itself
  int oom_score_adjust = 0;
};

// A running child and our ends of its streams.
struct Launched {
  Child child;
  UniqueFd control;  // SEQPACKET
  UniqueFd in;       // empty unless asked for
  UniqueFd out;      // with a terminal: empty until the child sends it
  UniqueFd err;      // empty with a terminal
};

struct LaunchRequest {
  std::vector<Step> steps;
  Placement placement;
  std::uint32_t uid = 0;  // owner of the streams
  std::uint32_t gid = 0;
  bool tty = false;
  bool stdin_open = false;
  bool merge_errors = false;  // standard error goes where standard output goes
};

// Pins and clones; the child places itself into the cgroups and begins. On failure nothing is left.
// Errors: those of pin_steps and of the kernel, with the step in front.
Result<Launched> launch(const LaunchRequest& request);

}  // namespace moored::shim
