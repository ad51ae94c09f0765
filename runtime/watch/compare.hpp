// Differences between what was made and what is, one function for each kind.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "runtime/watch/made.hpp"
#include "runtime/watch/process_facts.hpp"
#include "schema/ports/sandbox_watch.hpp"

namespace moored::watch {

// A difference, and how to put it right where that can be done from here.
struct Finding {
  SandboxDrift drift;
  std::function<Status()> put_back;  // empty: see the remedy
};

// The processes of one pod: who they are and where they belong.
struct PodProcesses {
  std::map<pid_t, ProcessFacts> facts;
  std::set<pid_t> roots;  // the shim and the first process of every container
};

// Judges one process of a container; pure but for the user namespace, asked only in doubt.
// descends: its ancestors lead to a root of the pod. Nothing: it is as it should be.
std::optional<Finding> judge_process(const MadeContainer& made, const ProcessFacts& process,
                                     bool descends, bool same_user_namespace);
// Whether the ancestors of a process lead to a root, as far as they are known.
bool descends_from_roots(const PodProcesses& processes, pid_t pid);

// Rights, membership and origin of every process of a container.
// in_namespace: the pids of its own pid namespace; empty when it shares one.
void compare_processes(const MadePod& pod, const MadeContainer& made,
                       const std::vector<pid_t>& in_namespace, PodProcesses& processes,
                       std::vector<Finding>& findings);
void compare_mount_table(const MadeContainer& made, std::vector<Finding>& findings);
// Program, oom score and, with a read-only root, files.
void compare_program(const MadeContainer& made, std::vector<Finding>& findings);
// Frozen groups of the container and of its pod.
void compare_freezers(const MadeContainer& made, std::vector<Finding>& findings);
void compare_pins(const MadePod& pod, std::vector<Finding>& findings);

}  // namespace moored::watch
