// One container of a pod: what it runs and what it is given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schema/model/container_status.hpp"
#include "schema/model/probe.hpp"
#include "schema/model/quantity.hpp"

namespace moored {

// A port that a container listens on. host_port 0 means that the node takes no part.
struct ContainerPort {
  std::string name;
  std::int32_t container_port = 0;
  std::int32_t host_port = 0;
  std::string host_ip;
  std::string protocol = "TCP";
  bool operator==(const ContainerPort&) const = default;
};

struct KeySelector {  // of a ConfigMap or a Secret
  std::string name;
  std::string key;
  bool optional = false;
  bool operator==(const KeySelector&) const = default;
};
// A field of the pod by its path, such as metadata.labels['app'].
struct ObjectFieldSelector {
  std::string api_version;
  std::string field_path;
  bool operator==(const ObjectFieldSelector&) const = default;
};
// A request or limit of a container, divided by divisor and rounded up.
struct ResourceFieldSelector {
  std::string container_name;
  std::string resource;
  std::optional<Quantity> divisor;
  bool operator==(const ResourceFieldSelector&) const = default;
};
// Where a value comes from. Exactly one member is set.
struct EnvVarSource {
  std::optional<ObjectFieldSelector> field_ref;
  std::optional<ResourceFieldSelector> resource_field_ref;
  std::optional<KeySelector> config_map_key_ref;
  std::optional<KeySelector> secret_key_ref;
  bool operator==(const EnvVarSource&) const = default;
};
// One variable. Either value or value_from; $(NAME) in value stands for earlier variables.
struct EnvVar {
  std::string name;
  std::string value;
  std::optional<EnvVarSource> value_from;
  bool operator==(const EnvVar&) const = default;
};
// A ConfigMap or Secret of the pod's namespace, all keys of it.
struct EnvFromReference {
  std::string name;
  bool optional = false;
  bool operator==(const EnvFromReference&) const = default;
};
// Variables from all keys of one object. Exactly one reference is set.
struct EnvFromSource {
  std::string prefix;
  std::optional<EnvFromReference> config_map_ref;
  std::optional<EnvFromReference> secret_ref;
  bool operator==(const EnvFromSource&) const = default;
};

using ResourceList = std::map<std::string, Quantity>;
// What a container may use at most and what is set aside for it.
struct ResourceRequirements {
  ResourceList limits;
  ResourceList requests;
  bool operator==(const ResourceRequirements&) const = default;
};

// Where a volume of the pod appears in a container.
struct VolumeMount {
  std::string name;
  std::string mount_path;
  std::string sub_path;
  std::string sub_path_expr;
  bool read_only = false;
  std::string mount_propagation;
  bool operator==(const VolumeMount&) const = default;
};

// Names of capabilities(7), with or without CAP_, in any letter case; ALL means every one.
struct Capabilities {
  std::vector<std::string> add;
  std::vector<std::string> drop;
  bool operator==(const Capabilities&) const = default;
};
// The filter of system calls.
struct SeccompProfile {
  std::string type;  // RuntimeDefault, Unconfined, Localhost
  std::string localhost_profile;
  bool operator==(const SeccompProfile&) const = default;
};
// Rights of one container. A value here goes before the pod's value of the same name.
struct SecurityContext {
  std::optional<Capabilities> capabilities;
  std::optional<bool> privileged;
  std::optional<std::int64_t> run_as_user;
  std::optional<std::int64_t> run_as_group;
  std::optional<bool> run_as_non_root;
  std::optional<bool> read_only_root_filesystem;
  std::optional<bool> allow_privilege_escalation;
  std::string proc_mount;
  std::optional<SeccompProfile> seccomp_profile;
  bool operator==(const SecurityContext&) const = default;
};

// One program of a pod, as it was wanted. What became of it is a ContainerStatus.
struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::string working_dir;
  std::vector<ContainerPort> ports;
  std::vector<EnvFromSource> env_from;
  std::vector<EnvVar> env;
  ResourceRequirements resources;
  std::string restart_policy;  // Always makes an init container a sidecar; else empty
  std::vector<VolumeMount> volume_mounts;
  std::optional<Probe> liveness_probe;
  std::optional<Probe> readiness_probe;
  std::optional<Probe> startup_probe;
  std::optional<Lifecycle> lifecycle;
  std::string termination_message_path;
  std::string termination_message_policy;
  std::string image_pull_policy;
  std::optional<SecurityContext> security_context;
  bool stdin_open = false;  // JSON name: stdin
  bool stdin_once = false;
  bool tty = false;
  bool operator==(const Container&) const = default;
};

template <> const TypeSchema& schema_of<ContainerPort>();
template <> const TypeSchema& schema_of<KeySelector>();
template <> const TypeSchema& schema_of<ObjectFieldSelector>();
template <> const TypeSchema& schema_of<ResourceFieldSelector>();
template <> const TypeSchema& schema_of<EnvVarSource>();
template <> const TypeSchema& schema_of<EnvVar>();
template <> const TypeSchema& schema_of<EnvFromReference>();
template <> const TypeSchema& schema_of<EnvFromSource>();
template <> const TypeSchema& schema_of<ResourceRequirements>();
template <> const TypeSchema& schema_of<VolumeMount>();
template <> const TypeSchema& schema_of<Capabilities>();
template <> const TypeSchema& schema_of<SeccompProfile>();
template <> const TypeSchema& schema_of<SecurityContext>();
template <> const TypeSchema& schema_of<Container>();

}  // namespace moored
