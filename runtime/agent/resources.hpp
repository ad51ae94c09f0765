// What a pod may use: service class, cgroup values and OOM score, from requests and limits. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schema/model/pod.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// Processes of one pod when nothing else is configured.
inline constexpr std::int64_t kDefaultPodPids = 4096;

// Guaranteed, Burstable or BestEffort. Only cpu and memory count, zero quantities do not.
std::string get_qos_class(const PodSpec& spec);

// Cgroup values of one container: its own requests and limits.
CgroupLimits make_container_limits(const Container& container);

// Cgroup values of the pod: the larger of what runs together at the end (containers and sidecars)
// and of the largest init step (with the sidecars started before it). A limit only when every
// container has one.
CgroupLimits make_pod_limits(const PodSpec& spec, std::int64_t pids = kDefaultPodPids);

// oom_score_adj of a container's processes; node_memory_bytes must not be 0.
// Source: Guaranteed -997, BestEffort 1000, Burstable 1000 - 1000 * request / node in [3, 999].
int get_oom_score(const PodSpec& spec, const Container& container, std::int64_t node_memory_bytes);

// True for an init container that keeps running beside the others.
bool is_sidecar(const Container& init_container);

// The container or init container of a name, or nullptr.
const Container* find_container(const PodSpec& spec, const std::string& name);
// True when it is one of the init containers.
bool is_init_container(const PodSpec& spec, const std::string& name);

// The quantity of a list, or nothing when it is absent.
std::optional<Quantity> find_quantity(const ResourceList& list, const std::string& name);

// What a container asks of cpu or memory: its request, else its limit, else nothing.
std::optional<Quantity> find_request(const Container& container, const std::string& name);

}  // namespace moored::agent
