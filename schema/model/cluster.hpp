// The kinds that moored itself writes about the machine: Node, Event, Lease.
#pragma once

#include "schema/model/container.hpp"
#include "schema/model/meta.hpp"

namespace moored {

// One address or name of the node.
struct NodeAddress {
  std::string type;
  std::string address;
  bool operator==(const NodeAddress&) const = default;
};
// Versions and ids of the machine, as texts for people.
struct NodeSystemInfo {
  std::string machine_id;   // JSON name: machineID
  std::string system_uuid;  // JSON name: systemUUID
  std::string boot_id;      // JSON name: bootID
  std::string kernel_version;
  std::string os_image;
  std::string container_runtime_version;
  std::string kubelet_version;
  std::string kube_proxy_version;
  std::string operating_system;
  std::string architecture;
  bool operator==(const NodeSystemInfo&) const = default;
};
// What moored decides about the node.
struct NodeSpec {
  std::string pod_cidr;                // JSON name: podCIDR
  std::vector<std::string> pod_cidrs;  // JSON name: podCIDRs
  bool unschedulable = false;
  bool operator==(const NodeSpec&) const = default;
};
// What the machine has and how it feels. Amounts are quantities by resource name.
struct NodeStatus {
  ResourceList capacity;
  ResourceList allocatable;
  std::vector<Condition> conditions;
  std::vector<NodeAddress> addresses;
  NodeSystemInfo node_info;
  bool operator==(const NodeStatus&) const = default;
};
// The machine. Written by moored alone.
struct Node {
  ObjectMeta metadata;
  NodeSpec spec;
  NodeStatus status;
  bool operator==(const Node&) const = default;
};

// Which part of moored saw something, and where.
struct EventSource {
  std::string component;
  std::string host;
  bool operator==(const EventSource&) const = default;
};
// Something that happened to an object. Repetitions raise count; old ones are dropped.
struct Event {
  ObjectMeta metadata;
  ObjectReference involved_object;
  std::string reason;
  std::string message;
  EventSource source;
  std::optional<Time> first_timestamp;
  std::optional<Time> last_timestamp;
  std::int32_t count = 0;
  std::string type;  // Normal, Warning
  std::optional<Time> event_time;  // six decimals
  std::string action;
  std::string reporting_component;
  std::string reporting_instance;
  bool operator==(const Event&) const = default;
};

// Who holds a lease, since when and for how long.
struct LeaseSpec {
  std::string holder_identity;
  std::optional<std::int32_t> lease_duration_seconds;
  std::optional<Time> acquire_time;  // six decimals
  std::optional<Time> renew_time;    // six decimals
  std::optional<std::int32_t> lease_transitions;
  bool operator==(const LeaseSpec&) const = default;
};
// A sign of life of the node. Renewal times are computed when they are read.
struct Lease {
  ObjectMeta metadata;
  LeaseSpec spec;
  bool operator==(const Lease&) const = default;
};

template <> const TypeSchema& schema_of<NodeAddress>();
template <> const TypeSchema& schema_of<NodeSystemInfo>();
template <> const TypeSchema& schema_of<NodeSpec>();
template <> const TypeSchema& schema_of<NodeStatus>();
template <> const TypeSchema& schema_of<Node>();
template <> const TypeSchema& schema_of<EventSource>();
template <> const TypeSchema& schema_of<Event>();
template <> const TypeSchema& schema_of<LeaseSpec>();
template <> const TypeSchema& schema_of<Lease>();
template <> const Kind& kind_of<Node>();
template <> const Kind& kind_of<Event>();
template <> const Kind& kind_of<Lease>();

}  // namespace moored
