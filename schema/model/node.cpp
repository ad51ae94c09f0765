#include "schema/model/cluster.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "runtime/agent";

// Nodes are made inside; the check holds for what the store is given.
void check_node(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const Node*>(object)->metadata, &check_dns_subdomain, errors);
}

}  // namespace

template <>
const TypeSchema& schema_of<NodeAddress>() {
  using T = NodeAddress;
  static constexpr Field kFields[] = {
      field<&T::type>("type", {.flags = kKeepZero, .carried_by = kBy,
                               .doc = "InternalIP, Hostname and the like."}),
      field<&T::address>("address", {.flags = kKeepZero, .carried_by = kBy, .doc = "Address."}),
  };
  static constexpr TypeSchema kSchema{"NodeAddress", kFields};
  return kSchema;
}

// Source: core/v1 NodeSystemInfo. All of it is written, because clients expect all of it.
template <>
const TypeSchema& schema_of<NodeSystemInfo>() {
  using T = NodeSystemInfo;
  static constexpr unsigned kKeep = kKeepZero;
  static constexpr Field kFields[] = {
      field<&T::machine_id>("machineID", {.flags = kKeep, .carried_by = kBy,
                                          .doc = "Id of the installation."}),
      field<&T::system_uuid>("systemUUID", {.flags = kKeep, .carried_by = kBy,
                                            .doc = "Id of the hardware."}),
      field<&T::boot_id>("bootID", {.flags = kKeep, .carried_by = kBy,
                                    .doc = "Id of the time since the boot."}),
      field<&T::kernel_version>("kernelVersion", {.flags = kKeep, .carried_by = kBy,
                                                  .doc = "Version of the kernel."}),
      field<&T::os_image>("osImage", {.flags = kKeep, .carried_by = kBy,
                                      .doc = "Name of the operating system."}),
      field<&T::container_runtime_version>("containerRuntimeVersion",
                                           {.flags = kKeep, .carried_by = kBy,
                                            .doc = "moored://VERSION."}),
      field<&T::kubelet_version>("kubeletVersion", {.flags = kKeep, .carried_by = kBy,
                                                    .doc = "Version of moored."}),
      field<&T::kube_proxy_version>("kubeProxyVersion", {.flags = kKeep, .carried_by = kBy,
                                                         .doc = "Version of moored."}),
      field<&T::operating_system>("operatingSystem", {.flags = kKeep, .carried_by = kBy,
                                                      .doc = "linux."}),
      field<&T::architecture>("architecture", {.flags = kKeep, .carried_by = kBy,
                                               .doc = "amd64, arm64 and the like."}),
  };
  static constexpr TypeSchema kSchema{"NodeSystemInfo", kFields};
  return kSchema;
}

// Source: core/v1 NodeSpec.
template <>
const TypeSchema& schema_of<NodeSpec>() {
  using T = NodeSpec;
  static constexpr Field kFields[] = {
      field<&T::pod_cidr>("podCIDR", {.carried_by = "net/pod", .doc = "Addresses of its pods."}),
      field<&T::pod_cidrs>("podCIDRs", {.carried_by = "net/pod",
                                        .doc = "The same addresses as a list."}),
      field<&T::unschedulable>("unschedulable", {.carried_by = "reconciler/scheduler",
                                                 .doc = "Takes no new pods."}),
  };
  static constexpr TypeSchema kSchema{"NodeSpec", kFields};
  return kSchema;
}

// Source: core/v1 NodeStatus, as far as one machine without volumes needs it.
template <>
const TypeSchema& schema_of<NodeStatus>() {
  using T = NodeStatus;
  static constexpr Field kFields[] = {
      field<&T::capacity>("capacity", {.carried_by = kBy, .doc = "What the machine has."}),
      field<&T::allocatable>("allocatable", {.carried_by = kBy, .doc = "What pods may use."}),
      field<&T::conditions>("conditions", {.merge_key = "type", .carried_by = kBy,
                                           .doc = "Ready and the pressures."}),
      field<&T::addresses>("addresses", {.merge_key = "type", .carried_by = kBy,
                                         .doc = "Addresses of the node."}),
      field<&T::node_info>("nodeInfo", {.carried_by = kBy, .doc = "Versions and ids."}),
  };
  static constexpr TypeSchema kSchema{"NodeStatus", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<Node>() {
  using T = Node;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.carried_by = kBy, .doc = "What moored decides about it."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"Node", kFields, &check_node};
  return kSchema;
}

template <>
const Kind& kind_of<Node>() {
  static constexpr std::string_view kShort[] = {"no"};
  static constexpr std::string_view kParts[] = {"status"};
  static constexpr std::string_view kPaths[] = {"spec.unschedulable"};
  static constexpr Kind kRow = row_of<Node>(
      {.group = "", .version = "v1", .kind = "Node", .plural = "nodes", .singular = "node",
       .short_names = kShort, .namespaced = false, .subresources = kParts,
       .origin = Origin::internal, .table = &kNodeTable, .selectable = kPaths});
  return kRow;
}

}  // namespace moored
