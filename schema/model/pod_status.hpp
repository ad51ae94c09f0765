// What is reported of a pod: phase, conditions, addresses and its containers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/model/container_status.hpp"
#include "schema/model/meta.hpp"

namespace moored {

struct PodIp {
  std::string ip;
  bool operator==(const PodIp&) const = default;
};
// What the node agent says about a pod. The phase never leaves Succeeded and Failed.
struct PodStatus {
  std::string phase;  // Pending, Running, Succeeded, Failed, Unknown
  std::vector<Condition> conditions;
  std::string message;
  std::string reason;
  std::string host_ip;              // JSON name: hostIP
  std::vector<PodIp> host_ips;      // JSON name: hostIPs
  std::string pod_ip;               // JSON name: podIP
  std::vector<PodIp> pod_ips;       // JSON name: podIPs
  std::optional<Time> start_time;
  std::vector<ContainerStatus> init_container_statuses;
  std::vector<ContainerStatus> container_statuses;
  std::string qos_class;
  std::int64_t observed_generation = 0;
  bool operator==(const PodStatus&) const = default;
};

// A group of containers with one network address, one life and one set of volumes.

}  // namespace moored
