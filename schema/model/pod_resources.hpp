// What a pod asks of the machine: quality of service, requests and limits. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schema/model/pod.hpp"

namespace moored {

// The three classes, as status.qosClass words them.
inline constexpr std::string_view kGuaranteed = "Guaranteed";
inline constexpr std::string_view kBurstable = "Burstable";
inline constexpr std::string_view kBestEffort = "BestEffort";

// Only cpu and memory of containers and init containers count, and zero counts as absent.
// BestEffort: nothing is set. Guaranteed: every container has both limits and its requests equal
// them. Burstable: everything else.
std::string_view qos_class(const PodSpec& spec);

// True for an init container that keeps running beside the containers.
bool is_sidecar(const Container& init_container);

// A request of one container; a missing one counts as the limit, and without a limit as zero.
MilliCpu cpu_request(const Container& container);
Bytes memory_request(const Container& container);
// A limit of one container. Nothing: unlimited.
std::optional<MilliCpu> cpu_limit(const Container& container);
std::optional<Bytes> memory_limit(const Container& container);

// What the whole pod needs: the larger of (containers and sidecars together) and (each init
// container with the sidecars started before it).
struct PodResources {
  MilliCpu cpu_request;
  Bytes memory_request;
  std::optional<MilliCpu> cpu_limit;    // only when every container has one
  std::optional<Bytes> memory_limit;    // only when every container has one
  bool operator==(const PodResources&) const = default;
};
PodResources pod_resources(const PodSpec& spec);
// The request for any resource by name (cpu in thousandths, others in whole units).
std::int64_t pod_request(const PodSpec& spec, const std::string& resource);

}  // namespace moored
