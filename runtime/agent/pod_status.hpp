// A pod's status from what is remembered: phase, conditions, container states. Pure.
#pragma once

#include <string>

#include "schema/model/pod.hpp"

namespace moored::agent {

struct PlanOptions;
struct PodDesired;
struct PodMemory;

// Whether a container that ended so starts again under a restart policy.
bool should_restart(const std::string& policy, const ContainerStateTerminated& exit);
// The policy that counts for one container: sidecars always restart, init containers never run
// again once they succeeded.
std::string get_restart_policy(const PodSpec& spec, const Container& container, bool init);

// True when nothing of the pod's own work is left: its containers ended for good, an init
// container failed for good, or the pod failed as a whole.
bool is_over(const Pod& pod, const PodMemory& memory);
// True when any container has a process or is getting one.
bool is_any_running(const PodMemory& memory);
bool is_final_phase(const std::string& phase);

// The whole status; its transition times go on from memory.status.
PodStatus make_status(const PodDesired& desired, const PodMemory& memory, Now now,
                      const PlanOptions& options);

// True when the recorded status tells of the end of this attempt, so that it may be forgotten.
bool is_exit_recorded(const Pod& pod, const std::string& container, int attempt);

// name_namespace(uid), as Kubernetes words a pod in messages.
std::string word_pod(const ObjectMeta& meta);

}  // namespace moored::agent
