// Pod and the pod template.
#pragma once

#include "schema/model/meta.hpp"
#include "schema/model/pod_status.hpp"
#include "schema/model/volume.hpp"

namespace moored {

// A kernel setting of the pod's own namespaces.
struct Sysctl {
  std::string name;
  std::string value;
  bool operator==(const Sysctl&) const = default;
};
// Settings for all containers of a pod; a container's own value goes before them.
struct PodSecurityContext {
  std::optional<std::int64_t> run_as_user;
  std::optional<std::int64_t> run_as_group;
  std::optional<bool> run_as_non_root;
  std::vector<std::int64_t> supplemental_groups;
  std::optional<std::int64_t> fs_group;
  std::string fs_group_change_policy;
  std::optional<SeccompProfile> seccomp_profile;
  std::vector<Sysctl> sysctls;
  bool operator==(const PodSecurityContext&) const = default;
};
// Further names of an address in the pod's /etc/hosts.
struct HostAlias {
  std::string ip;
  std::vector<std::string> hostnames;
  bool operator==(const HostAlias&) const = default;
};
// An option of resolv.conf, with or without a value.
struct PodDnsConfigOption {
  std::string name;
  std::optional<std::string> value;
  bool operator==(const PodDnsConfigOption&) const = default;
};
// Added to what dnsPolicy gives, or all there is with dnsPolicy None.
struct PodDnsConfig {
  std::vector<std::string> nameservers;
  std::vector<std::string> searches;
  std::vector<PodDnsConfigOption> options;
  bool operator==(const PodDnsConfig&) const = default;
};
// A taint that does not keep the pod from a node. Without key: every taint.
struct Toleration {
  std::string key;
  std::string operation;  // JSON name: operator
  std::string value;
  std::string effect;
  std::optional<std::int64_t> toleration_seconds;
  bool operator==(const Toleration&) const = default;
};

// What a pod is: its programs, what they are given, and where they run.
struct PodSpec {
  std::vector<Volume> volumes;
  std::vector<Container> init_containers;
  std::vector<Container> containers;
  std::string restart_policy;  // Always, OnFailure, Never
  std::optional<std::int64_t> termination_grace_period_seconds;
  std::optional<std::int64_t> active_deadline_seconds;
  std::string dns_policy;
  std::optional<PodDnsConfig> dns_config;
  Labels node_selector;
  std::string service_account_name;
  std::string service_account;  // the field's old name; kept equal to service_account_name
  std::optional<bool> automount_service_account_token;
  std::string node_name;
  bool host_network = false;
  bool host_pid = false;  // JSON name: hostPID
  bool host_ipc = false;  // JSON name: hostIPC
  std::optional<bool> share_process_namespace;
  std::optional<PodSecurityContext> security_context;
  std::vector<LocalObjectReference> image_pull_secrets;
  std::string hostname;
  std::string subdomain;
  std::string scheduler_name;
  std::vector<Toleration> tolerations;
  std::vector<HostAlias> host_aliases;
  std::optional<bool> enable_service_links;
  std::string priority_class_name;
  bool operator==(const PodSpec&) const = default;
};

// One address of a pod.
struct Pod {
  ObjectMeta metadata;
  PodSpec spec;
  PodStatus status;
  bool operator==(const Pod&) const = default;
};

// What workloads make their pods from. The name in its metadata has no effect.
struct PodTemplateSpec {
  ObjectMeta metadata;
  PodSpec spec;
  bool operator==(const PodTemplateSpec&) const = default;
};

template <> const TypeSchema& schema_of<Sysctl>();
template <> const TypeSchema& schema_of<PodSecurityContext>();
template <> const TypeSchema& schema_of<HostAlias>();
template <> const TypeSchema& schema_of<PodDnsConfigOption>();
template <> const TypeSchema& schema_of<PodDnsConfig>();
template <> const TypeSchema& schema_of<Toleration>();
template <> const TypeSchema& schema_of<PodSpec>();
template <> const TypeSchema& schema_of<PodIp>();
template <> const TypeSchema& schema_of<PodStatus>();
template <> const TypeSchema& schema_of<Pod>();
template <> const TypeSchema& schema_of<PodTemplateSpec>();
template <> const Kind& kind_of<Pod>();

}  // namespace moored
