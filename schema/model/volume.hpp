// The volumes a pod may hold.
#pragma once

#include "schema/model/container.hpp"

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
