#include "schema/model/pod.hpp"

#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "runtime/agent";
constexpr std::array<std::string_view, 2> kChangePolicies{"Always", "OnRootMismatch"};
constexpr std::array<std::string_view, 2> kTolerationOperators{"Equal", "Exists"};
constexpr std::array<std::string_view, 4> kTaintEffects{"", "NoSchedule", "PreferNoSchedule",
                                                        "NoExecute"};
// MAXNS of resolv.h.
constexpr std::size_t kMaxNameservers = 3;

// Group ids of the kernel that Kubernetes admits.
std::optional<Error> check_groups(const void* value) {
  const auto& groups = *static_cast<const std::vector<std::int64_t>*>(value);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (auto error = kId(&groups[i])) {
      error->place.field = index_path(i);
      return error;
    }
  }
  return std::nullopt;
}

// The name becomes a path below /proc/sys and must not leave it.
std::optional<Error> check_sysctl_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
  const bool shaped = !name.empty() && name.size() <= 253 &&
                      name.find_first_not_of(kAllowed) == std::string_view::npos &&
                      name.find("..") == std::string_view::npos && name.front() != '/';
  if (shaped) return std::nullopt;
  return invalid_value(quoted(name) + " is not the name of a kernel setting",
                       "write it as in net.ipv4.tcp_syncookies");
}

// The C library reads three; a fourth would be ignored in silence.
std::optional<Error> check_nameservers(const void* value) {
  const auto& servers = *static_cast<const std::vector<std::string>*>(value);
  if (servers.size() > kMaxNameservers) {
    return invalid_value(std::to_string(servers.size()) + " name servers are given",
                         "keep at most 3, which is all that resolvers read");
  }
  return each_check<&check_ip_address>(value);
}

// A single dot and a trailing dot are written by resolvers themselves.
std::optional<Error> check_search(std::string_view domain) {
  if (domain == ".") return std::nullopt;
  if (!domain.empty() && domain.back() == '.') domain.remove_suffix(1);
  return check_dns_subdomain(domain);
}

// Source: core/v1 validation of tolerations.
void check_toleration(const void* object, std::vector<Error>& errors) {
  const auto& toleration = *static_cast<const Toleration*>(object);
  if (toleration.operation == "Exists" && !toleration.value.empty()) {
    add_at(errors, "value", invalid_value("the operator Exists takes no value",
                                          "remove the value"));
  }
  if (toleration.key.empty() && toleration.operation != "Exists") {
    add_at(errors, "operator", invalid_value("a toleration without a key must use Exists",
                                             "name the key or use Exists"));
  }
}

// The rest of a pod is judged by the rows and checks of PodSpec.
void check_pod(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const Pod*>(object)->metadata, &check_dns_subdomain, errors);
}

}  // namespace

// Source: core/v1 Sysctl. Which settings are safe is judged by policy.
template <>
const TypeSchema& schema_of<Sysctl>() {
  using T = Sysctl;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_sysctl_name>,
                               .carried_by = "runtime/container", .doc = "Kernel setting."}),
      field<&T::value>("value", {.flags = kRequired, .carried_by = "runtime/container",
                                 .doc = "Value in the pod's namespaces."}),
  };
  static constexpr TypeSchema kSchema{"Sysctl", kFields};
  return kSchema;
}

// Source: core/v1 PodSecurityContext.
template <>
const TypeSchema& schema_of<PodSecurityContext>() {
  using T = PodSecurityContext;
  static constexpr std::string_view kRuntime = "runtime/container";
  static constexpr Field kFields[] = {
      refused("seLinuxOptions", "labels are not set; remove it"),
      refused("windowsOptions", "this is a Linux node; remove it"),
      field<&T::run_as_user>("runAsUser", {.check = kId, .carried_by = kRuntime,
                                           .doc = "User id; the image's when left out."}),
      field<&T::run_as_group>("runAsGroup", {.check = kId, .carried_by = kRuntime,
                                             .doc = "Group id; the image's when left out."}),
      field<&T::run_as_non_root>("runAsNonRoot", {.carried_by = kRuntime,
                                                  .doc = "Refuse to start as user 0."}),
      field<&T::supplemental_groups>("supplementalGroups",
                                     {.check = &check_groups, .carried_by = kRuntime,
                                      .doc = "Further groups of the processes."}),
      refused("supplementalGroupsPolicy", "groups of the image are merged; remove it"),
      field<&T::fs_group>("fsGroup", {.check = kId, .carried_by = kBy,
                                      .doc = "Group that owns the volumes."}),
      field<&T::sysctls>("sysctls", {.merge_key = "name", .carried_by = kRuntime,
                                     .doc = "Kernel settings of the pod's namespaces."}),
      field<&T::fs_group_change_policy>("fsGroupChangePolicy",
                                        {.check = &words_check<kChangePolicies>,
                                         .carried_by = kBy,
                                         .doc = "Always or OnRootMismatch."}),
      field<&T::seccomp_profile>("seccompProfile", {.carried_by = kRuntime,
                                                    .doc = "Which system calls are allowed."}),
      refused("appArmorProfile", "profiles are not loaded; remove it"),
      refused("seLinuxChangePolicy", "labels are not set; remove it"),
  };
  static constexpr TypeSchema kSchema{"PodSecurityContext", kFields};
  return kSchema;
}

// Source: core/v1 HostAlias.
template <>
const TypeSchema& schema_of<HostAlias>() {
  using T = HostAlias;
  static constexpr Field kFields[] = {
      field<&T::ip>("ip", {.flags = kRequired, .check = &full_text_check<&check_ip_address>,
                           .carried_by = kBy, .doc = "Address."}),
      field<&T::hostnames>("hostnames", {.check = &each_check<&check_dns_subdomain>,
                                         .carried_by = kBy, .doc = "Names of the address."}),
  };
  static constexpr TypeSchema kSchema{"HostAlias", kFields};
  return kSchema;
}

// Source: core/v1 PodDNSConfigOption.
template <>
const TypeSchema& schema_of<PodDnsConfigOption>() {
  using T = PodDnsConfigOption;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_label_key>,
                               .carried_by = kBy, .doc = "Option of resolv.conf."}),
      field<&T::value>("value", {.check = &text_check<&check_label_value>, .carried_by = kBy,
                                 .doc = "Its value."}),
  };
  static constexpr TypeSchema kSchema{"PodDNSConfigOption", kFields};
  return kSchema;
}

// Source: core/v1 PodDNSConfig.
template <>
const TypeSchema& schema_of<PodDnsConfig>() {
  using T = PodDnsConfig;
  static constexpr Field kFields[] = {
      field<&T::nameservers>("nameservers", {.check = &check_nameservers, .carried_by = kBy,
                                             .doc = "Addresses of name servers."}),
      field<&T::searches>("searches", {.check = &each_check<&check_search>, .carried_by = kBy,
                                       .doc = "Domains tried for short names."}),
      field<&T::options>("options", {.merge_key = "name", .carried_by = kBy,
                                     .doc = "Options of resolv.conf."}),
  };
  static constexpr TypeSchema kSchema{"PodDNSConfig", kFields};
  return kSchema;
}

// Source: core/v1 Toleration. The node has no taints, so every toleration is honoured.
template <>
const TypeSchema& schema_of<Toleration>() {
  using T = Toleration;
  static constexpr std::string_view kScheduler = "reconciler/scheduler";
  static constexpr Field kFields[] = {
      field<&T::key>("key", {.check = &text_check<&check_label_key>, .carried_by = kScheduler,
                             .doc = "Key of the taint; every key when left out."}),
      field<&T::operation>("operator", {.fallback = "\"Equal\"",
                                        .check = &words_check<kTolerationOperators>,
                                        .carried_by = kScheduler, .doc = "Equal or Exists."}),
      field<&T::value>("value", {.check = &text_check<&check_label_value>,
                                 .carried_by = kScheduler, .doc = "Value of the taint."}),
      field<&T::effect>("effect", {.check = &words_check<kTaintEffects>, .carried_by = kScheduler,
                                   .doc = "Effect of the taint; every effect when left out."}),
      field<&T::toleration_seconds>("tolerationSeconds",
                                    {.carried_by = kScheduler,
                                     .doc = "How long a NoExecute taint is borne."}),
  };
  static constexpr TypeSchema kSchema{"Toleration", kFields, &check_toleration};
  return kSchema;
}

template <>
const TypeSchema& schema_of<PodIp>() {
  using T = PodIp;
  static constexpr Field kFields[] = {
      field<&T::ip>("ip", {.carried_by = kBy, .doc = "Address."}),
  };
  static constexpr TypeSchema kSchema{"PodIP", kFields};
  return kSchema;
}

// Source: core/v1 PodStatus, as far as the agent knows it.
template <>
const TypeSchema& schema_of<PodStatus>() {
  using T = PodStatus;
  static constexpr Field kFields[] = {
      field<&T::observed_generation>("observedGeneration",
                                     {.carried_by = kBy, .doc = "Generation that was seen."}),
      field<&T::phase>("phase", {.carried_by = kBy,
                                 .doc = "Pending, Running, Succeeded, Failed or Unknown."}),
      field<&T::conditions>("conditions", {.merge_key = "type", .carried_by = kBy,
                                           .doc = "Where the pod is on its way."}),
      field<&T::message>("message", {.carried_by = kBy, .doc = "A sentence about the phase."}),
      field<&T::reason>("reason", {.carried_by = kBy, .doc = "One word about the phase."}),
      field<&T::host_ip>("hostIP", {.carried_by = kBy, .doc = "Address of the node."}),
      field<&T::host_ips>("hostIPs", {.merge_key = "ip", .carried_by = kBy,
                                      .doc = "Addresses of the node."}),
      field<&T::pod_ip>("podIP", {.carried_by = kBy, .doc = "Address of the pod."}),
      field<&T::pod_ips>("podIPs", {.merge_key = "ip", .carried_by = kBy,
                                    .doc = "Addresses of the pod."}),
      field<&T::start_time>("startTime", {.carried_by = kBy,
                                          .doc = "When the node took the pod."}),
      field<&T::init_container_statuses>("initContainerStatuses",
                                         {.merge_key = "name", .carried_by = kBy,
                                          .doc = "States of the init containers."}),
      field<&T::container_statuses>("containerStatuses",
                                    {.merge_key = "name", .carried_by = kBy,
                                     .doc = "States of the containers."}),
      field<&T::qos_class>("qosClass", {.carried_by = kBy,
                                        .doc = "Guaranteed, Burstable or BestEffort."}),
  };
  static constexpr TypeSchema kSchema{"PodStatus", kFields};
  return kSchema;
}

// Source: core/v1 PodTemplateSpec.
template <>
const TypeSchema& schema_of<PodTemplateSpec>() {
  using T = PodTemplateSpec;
  static constexpr std::string_view kControllers = "reconciler/controllers";
  static constexpr Field kFields[] = {
      field<&T::metadata>("metadata", {.carried_by = kControllers,
                                       .doc = "Labels and annotations of the pods."}),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kControllers,
                               .doc = "What the pods are."}),
  };
  static constexpr TypeSchema kSchema{"PodTemplateSpec", kFields};
  return kSchema;
}

// Source: core/v1 Pod.
template <>
const TypeSchema& schema_of<Pod>() {
  using T = Pod;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "What to run."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"Pod", kFields, &check_pod};
  return kSchema;
}

template <>
const Kind& kind_of<Pod>() {
  static constexpr std::string_view kShort[] = {"po"};
  static constexpr std::string_view kParts[] = {"status", "log"};
  static constexpr std::string_view kPaths[] = {
      "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
      "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs",
      "status.nominatedNodeName"};
  static constexpr Kind kRow = row_of<Pod>({.group = "", .version = "v1", .kind = "Pod",
                                            .plural = "pods", .singular = "pod",
                                            .short_names = kShort, .in_all = true,
                                            .subresources = kParts, .table = &kPodTable,
                                            .selectable = kPaths});
  return kRow;
}

}  // namespace moored
