// The volumes a pod may hold.
#pragma once

#include "schema/model/container.hpp"

namespace moored {

// One key and the file it becomes. The path is relative to the volume.
struct KeyToPath {
  std::string key;
  std::string path;
  std::optional<std::int32_t> mode;
  bool operator==(const KeyToPath&) const = default;
};
// A directory that is made with the pod and removed with it.
struct EmptyDirVolume {
  std::string medium;  // empty or Memory
  std::optional<Quantity> size_limit;
  bool operator==(const EmptyDirVolume&) const = default;
};
// A path of the node. Only the policy privileged admits it.
struct HostPathVolume {
  std::string path;
  std::string type;
  bool operator==(const HostPathVolume&) const = default;
};
// Keys of a ConfigMap as files. default_mode is a file mode such as 0644.
struct ConfigMapVolume {
  std::string name;
  std::vector<KeyToPath> items;
  std::optional<std::int32_t> default_mode;
  bool optional = false;
  bool operator==(const ConfigMapVolume&) const = default;
};
// Keys of a Secret as files, in memory only. default_mode is a file mode.
struct SecretVolume {
  std::string secret_name;
  std::vector<KeyToPath> items;
  std::optional<std::int32_t> default_mode;
  bool optional = false;
  bool operator==(const SecretVolume&) const = default;
};
// One field of the pod as a file. Exactly one source is set.
struct DownwardApiFile {
  std::string path;
  std::optional<ObjectFieldSelector> field_ref;
  std::optional<ResourceFieldSelector> resource_field_ref;
  std::optional<std::int32_t> mode;
  bool operator==(const DownwardApiFile&) const = default;
};
// Fields of the pod as files.
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
// Fields of the pod, as a part of a projected volume.
struct DownwardApiProjection {
  std::vector<DownwardApiFile> items;
  bool operator==(const DownwardApiProjection&) const = default;
};
// One part of a projected volume. Exactly one member is set.
struct VolumeProjection {
  std::optional<KeysProjection> secret;
  std::optional<KeysProjection> config_map;
  std::optional<DownwardApiProjection> downward_api;  // JSON name: downwardAPI
  bool operator==(const VolumeProjection&) const = default;
};
// Several sources in one directory; a later one wins where names are equal.
struct ProjectedVolume {
  std::vector<VolumeProjection> sources;
  std::optional<std::int32_t> default_mode;
  bool operator==(const ProjectedVolume&) const = default;
};
// A named directory that containers can mount. Exactly one source is set after defaulting.
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

template <> const TypeSchema& schema_of<KeyToPath>();
template <> const TypeSchema& schema_of<EmptyDirVolume>();
template <> const TypeSchema& schema_of<HostPathVolume>();
template <> const TypeSchema& schema_of<ConfigMapVolume>();
template <> const TypeSchema& schema_of<SecretVolume>();
template <> const TypeSchema& schema_of<DownwardApiFile>();
template <> const TypeSchema& schema_of<DownwardApiVolume>();
template <> const TypeSchema& schema_of<KeysProjection>();
template <> const TypeSchema& schema_of<DownwardApiProjection>();
template <> const TypeSchema& schema_of<VolumeProjection>();
template <> const TypeSchema& schema_of<ProjectedVolume>();
template <> const TypeSchema& schema_of<Volume>();

}  // namespace moored
