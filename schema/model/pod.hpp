// Pod and the pod template, with the volumes a pod may hold.
#pragma once

#include "schema/model/container.hpp"
#include "schema/model/meta.hpp"

namespace moored {

struct KeyToPath {
  std::string key;
  std::string path;
  std::optional<std::int32_t> mode;
  bool operator==(const KeyToPath&) const = default;
};
struct EmptyDirVolume {
  std::string medium;  // empty or Memory
  std::optional<Quantity> size_limit;
  bool operator==(const EmptyDirVolume&) const = default;
};
struct HostPathVolume {
  std::string path;
  std::string type;
  bool operator==(const HostPathVolume&) const = default;
};
struct ConfigMapVolume {
  std::string name;
  std::vector<KeyToPath> items;
  std::optional<std::int32_t> default_mode;
  bool optional = false;
  bool operator==(const ConfigMapVolume&) const = default;
};
struct SecretVolume {
  std::string secret_name;
  std::vector<KeyToPath> items;
  std::optional<std::int32_t> default_mode;
  bool optional = false;
  bool operator==(const SecretVolume&) const = default;
};
struct DownwardApiFile {
  std::string path;
  std::optional<ObjectFieldSelector> field_ref;
  std::optional<ResourceFieldSelector> resource_field_ref;
  std::optional<std::int32_t> mode;
  bool operator==(const DownwardApiFile&) const = default;
};
struct DownwardApiVolume {
  std::vector<DownwardApiFile> items;
  std::optional<std::int32_t> default_mode;
  bool operator==(const DownwardApiVolume&) const = default;
};
struct KeysProjection {  // of a ConfigMap or a Secret
  std::string name;
  std::vector<KeyToPath> items;
  bool optional = false;
  bool operator==(const KeysProjection&) const = default;
};
struct DownwardApiProjection {
  std::vector<DownwardApiFile> items;
  bool operator==(const DownwardApiProjection&) const = default;
};
struct VolumeProjection {
  std::optional<KeysProjection> secret;
  std::optional<KeysProjection> config_map;
  std::optional<DownwardApiProjection> downward_api;  // JSON name: downwardAPI
  bool operator==(const VolumeProjection&) const = default;
};
struct ProjectedVolume {
  std::vector<VolumeProjection> sources;
  std::optional<std::int32_t> default_mode;
  bool operator==(const ProjectedVolume&) const = default;
};
struct Volume {
  std::string name;
  std::optional<EmptyDirVolume> empty_dir;
  std::optional<HostPathVolume> host_path;
  std::optional<ConfigMapVolume> config_map;
  std::optional<SecretVolume> secret;
  std::optional<DownwardApiVolume> downward_api;  // JSON name: downwardAPI
  std::optional<ProjectedVolume> projected;
  bool operator==(const Volume&) const = default;
};

struct Sysctl {
  std::string name;
  std::string value;
  bool operator==(const Sysctl&) const = default;
};
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
struct HostAlias {
  std::string ip;
  std::vector<std::string> hostnames;
  bool operator==(const HostAlias&) const = default;
};
struct PodDnsConfigOption {
  std::string name;
  std::optional<std::string> value;
  bool operator==(const PodDnsConfigOption&) const = default;
};
struct PodDnsConfig {
  std::vector<std::string> nameservers;
  std::vector<std::string> searches;
  std::vector<PodDnsConfigOption> options;
  bool operator==(const PodDnsConfig&) const = default;
};
struct Toleration {
  std::string key;
  std::string operation;  // JSON name: operator
  std::string value;
  std::string effect;
  std::optional<std::int64_t> toleration_seconds;
  bool operator==(const Toleration&) const = default;
};

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

struct PodIp {
  std::string ip;
  bool operator==(const PodIp&) const = default;
};
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

struct Pod {
  ObjectMeta metadata;
  PodSpec spec;
  PodStatus status;
  bool operator==(const Pod&) const = default;
};

struct PodTemplateSpec {
  ObjectMeta metadata;
  PodSpec spec;
  bool operator==(const PodTemplateSpec&) const = default;
};

}  // namespace moored
