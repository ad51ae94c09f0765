#include "schema/model/volume.hpp"

#include "schema/model/checks.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "runtime/agent";
constexpr std::string_view kFileMode0644 = "420";  // 0644, written in decimal in JSON

constexpr std::array<std::string_view, 2> kMediums{"", "Memory"};
constexpr std::array<std::string_view, 8> kHostPathTypes{
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice",
    "BlockDevice"};

// A file of a volume: relative, and no part starts with ".." (the writer's own names do).
std::optional<Error> check_volume_file(std::string_view path) {
  if (path.empty()) return invalid_value("the path is empty", "name the file in the volume");
  if (auto error = check_relative_path(path)) return error;
  if (path.substr(0, 2) != "..") return std::nullopt;
  return invalid_value("the path " + quoted(path) + " starts with \"..\"", "choose another name");
}

// Zero means no limit, as in Kubernetes.
std::optional<Error> check_size_limit(const void* value) {
  if (static_cast<const Quantity*>(value)->milli() >= 0) return std::nullopt;
  return invalid_value("the size limit is negative", "use zero or more");
}

// In a volume the container is not evident and has to be named.
void check_downward_file(const void* object, std::vector<Error>& errors) {
  const auto& file = *static_cast<const DownwardApiFile*>(object);
  if (file.field_ref.has_value() == file.resource_field_ref.has_value()) {
    add_at(errors, "", invalid_value("the source of the file is not clear",
                                     "give exactly one of fieldRef and resourceFieldRef"));
  }
  if (file.resource_field_ref && file.resource_field_ref->container_name.empty()) {
    add_at(errors, "resourceFieldRef.containerName",
           Error{Code::invalid, "the container is not named", "InvalidValue", {},
                 "name the container whose resources are meant"});
  }
}

// Kubernetes would take the first; which one was meant cannot be known.
void check_projection(const void* object, std::vector<Error>& errors) {
  const auto& source = *static_cast<const VolumeProjection*>(object);
  const int count = int{source.secret.has_value()} + int{source.config_map.has_value()} +
                    int{source.downward_api.has_value()};
  if (count == 1) return;
  add_at(errors, "", invalid_value(std::to_string(count) + " sources are given",
                                   "give exactly one of secret, configMap and downwardAPI"));
}

// Only the sources that are carried out; the others never get this far.
int count_sources(const Volume& volume) {
  return int{volume.empty_dir.has_value()} + int{volume.host_path.has_value()} +
         int{volume.config_map.has_value()} + int{volume.secret.has_value()} +
         int{volume.downward_api.has_value()} + int{volume.projected.has_value()};
}

// After defaulting there is at least one source.
void check_volume(const void* object, std::vector<Error>& errors) {
  const auto& volume = *static_cast<const Volume*>(object);
  const int count = count_sources(volume);
  if (count <= 1) return;
  add_at(errors, "", invalid_value(std::to_string(count) + " sources are given",
                                   "keep exactly one of them"));
}

// A volume without a source is an empty directory.
void complete_volume(void* object) {
  auto& volume = *static_cast<Volume*>(object);
  if (count_sources(volume) == 0) volume.empty_dir.emplace();
}

constexpr std::string_view kUseLocal =
    "storage of a provider is not attached; use emptyDir, hostPath, configMap or secret";

}  // namespace

// Source: core/v1 KeyToPath.
template <>
const TypeSchema& schema_of<KeyToPath>() {
  using T = KeyToPath;
  static constexpr Field kFields[] = {
      field<&T::key>("key", {.flags = kRequired, .check = &full_text_check<&check_map_key>,
                             .carried_by = kBy, .doc = "Key to write."}),
      field<&T::path>("path", {.flags = kRequired, .check = &full_text_check<&check_volume_file>,
                               .carried_by = kBy, .doc = "File in the volume."}),
      field<&T::mode>("mode", {.check = kFileMode, .carried_by = kBy,
                               .doc = "Mode of the file; the volume's when left out."}),
  };
  static constexpr TypeSchema kSchema{"KeyToPath", kFields};
  return kSchema;
}

// Source: core/v1 EmptyDirVolumeSource. Memory counts towards the limit of the pod.
template <>
const TypeSchema& schema_of<EmptyDirVolume>() {
  using T = EmptyDirVolume;
  static constexpr Field kFields[] = {
      field<&T::medium>("medium", {.check = &words_check<kMediums>, .carried_by = kBy,
                                   .doc = "Empty for disk, or Memory."}),
      field<&T::size_limit>("sizeLimit", {.check = &check_size_limit, .carried_by = kBy,
                                          .doc = "Above it the pod is evicted."}),
  };
  static constexpr TypeSchema kSchema{"EmptyDirVolumeSource", kFields};
  return kSchema;
}

// Source: core/v1 HostPathVolumeSource. The type is checked when the pod starts.
template <>
const TypeSchema& schema_of<HostPathVolume>() {
  using T = HostPathVolume;
  static constexpr Field kFields[] = {
      field<&T::path>("path", {.flags = kRequired, .check = &full_text_check<&check_absolute_path>,
                               .carried_by = kBy, .doc = "Path on the node."}),
      field<&T::type>("type", {.check = &words_check<kHostPathTypes>, .carried_by = kBy,
                               .doc = "What must be there, or is made."}),
  };
  static constexpr TypeSchema kSchema{"HostPathVolumeSource", kFields};
  return kSchema;
}

// Source: core/v1 ConfigMapVolumeSource; the mode 0644 is its default.
template <>
const TypeSchema& schema_of<ConfigMapVolume>() {
  using T = ConfigMapVolume;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = kBy, .doc = "ConfigMap in the pod's namespace."}),
      field<&T::items>("items", {.carried_by = kBy, .doc = "Keys to write; all when left out."}),
      field<&T::default_mode>("defaultMode", {.fallback = kFileMode0644, .check = kFileMode,
                                              .carried_by = kBy, .doc = "Mode of the files."}),
      field<&T::optional>("optional", {.carried_by = kBy, .doc = "Whether it may be missing."}),
  };
  static constexpr TypeSchema kSchema{"ConfigMapVolumeSource", kFields};
  return kSchema;
}

// Source: core/v1 SecretVolumeSource; the mode 0644 is its default.
template <>
const TypeSchema& schema_of<SecretVolume>() {
  using T = SecretVolume;
  static constexpr Field kFields[] = {
      field<&T::secret_name>("secretName", {.flags = kRequired,
                                            .check = &full_text_check<&check_dns_subdomain>,
                                            .carried_by = kBy,
                                            .doc = "Secret in the pod's namespace."}),
      field<&T::items>("items", {.carried_by = kBy, .doc = "Keys to write; all when left out."}),
      field<&T::default_mode>("defaultMode", {.fallback = kFileMode0644, .check = kFileMode,
                                              .carried_by = kBy, .doc = "Mode of the files."}),
      field<&T::optional>("optional", {.carried_by = kBy, .doc = "Whether it may be missing."}),
  };
  static constexpr TypeSchema kSchema{"SecretVolumeSource", kFields};
  return kSchema;
}

// Source: core/v1 DownwardAPIVolumeFile.
template <>
const TypeSchema& schema_of<DownwardApiFile>() {
  using T = DownwardApiFile;
  static constexpr Field kFields[] = {
      field<&T::path>("path", {.flags = kRequired, .check = &full_text_check<&check_volume_file>,
                               .carried_by = kBy, .doc = "File in the volume."}),
      field<&T::field_ref>("fieldRef", {.carried_by = kBy, .doc = "A field of the pod."}),
      field<&T::resource_field_ref>("resourceFieldRef",
                                    {.carried_by = kBy, .doc = "A request or limit."}),
      field<&T::mode>("mode", {.check = kFileMode, .carried_by = kBy,
                               .doc = "Mode of the file; the volume's when left out."}),
  };
  static constexpr TypeSchema kSchema{"DownwardAPIVolumeFile", kFields, &check_downward_file};
  return kSchema;
}

// Source: core/v1 DownwardAPIVolumeSource; the mode 0644 is its default.
template <>
const TypeSchema& schema_of<DownwardApiVolume>() {
  using T = DownwardApiVolume;
  static constexpr Field kFields[] = {
      field<&T::items>("items", {.carried_by = kBy, .doc = "Files to write."}),
      field<&T::default_mode>("defaultMode", {.fallback = kFileMode0644, .check = kFileMode,
                                              .carried_by = kBy, .doc = "Mode of the files."}),
  };
  static constexpr TypeSchema kSchema{"DownwardAPIVolumeSource", kFields};
  return kSchema;
}

// Source: core/v1 ConfigMapProjection and SecretProjection, which are the same.
template <>
const TypeSchema& schema_of<KeysProjection>() {
  using T = KeysProjection;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = kBy, .doc = "Name in the pod's namespace."}),
      field<&T::items>("items", {.carried_by = kBy, .doc = "Keys to write; all when left out."}),
      field<&T::optional>("optional", {.carried_by = kBy, .doc = "Whether it may be missing."}),
  };
  static constexpr TypeSchema kSchema{"KeysProjection", kFields};
  return kSchema;
}

// Source: core/v1 DownwardAPIProjection.
template <>
const TypeSchema& schema_of<DownwardApiProjection>() {
  using T = DownwardApiProjection;
  static constexpr Field kFields[] = {
      field<&T::items>("items", {.carried_by = kBy, .doc = "Files to write."}),
  };
  static constexpr TypeSchema kSchema{"DownwardAPIProjection", kFields};
  return kSchema;
}

// Source: core/v1 VolumeProjection. Tokens and certificates need an authority that is not here.
template <>
const TypeSchema& schema_of<VolumeProjection>() {
  using T = VolumeProjection;
  static constexpr Field kFields[] = {
      field<&T::secret>("secret", {.carried_by = kBy, .doc = "Keys of a Secret."}),
      field<&T::downward_api>("downwardAPI", {.carried_by = kBy, .doc = "Fields of the pod."}),
      field<&T::config_map>("configMap", {.carried_by = kBy, .doc = "Keys of a ConfigMap."}),
      refused("serviceAccountToken", "there is no API to sign in to; remove the token"),
      refused("clusterTrustBundle", "put the certificates into a ConfigMap"),
      refused("podCertificate", "put the certificate into a Secret"),
  };
  static constexpr TypeSchema kSchema{"VolumeProjection", kFields, &check_projection};
  return kSchema;
}

// Source: core/v1 ProjectedVolumeSource; the mode 0644 is its default.
template <>
const TypeSchema& schema_of<ProjectedVolume>() {
  using T = ProjectedVolume;
  static constexpr Field kFields[] = {
      field<&T::sources>("sources", {.carried_by = kBy, .doc = "What is put together."}),
      field<&T::default_mode>("defaultMode", {.fallback = kFileMode0644, .check = kFileMode,
                                              .carried_by = kBy, .doc = "Mode of the files."}),
  };
  static constexpr TypeSchema kSchema{"ProjectedVolumeSource", kFields};
  return kSchema;
}

// Source: core/v1 Volume. Every source that Kubernetes ever had has a row, so that the refusal can
// say what to do instead.
template <>
const TypeSchema& schema_of<Volume>() {
  using T = Volume;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_label>,
                               .carried_by = kBy, .doc = "Name, unique in the pod."}),
      field<&T::host_path>("hostPath", {.carried_by = kBy, .doc = "A path of the node."}),
      field<&T::empty_dir>("emptyDir", {.carried_by = kBy,
                                        .doc = "A directory that lives as long as the pod."}),
      field<&T::secret>("secret", {.carried_by = kBy, .doc = "Keys of a Secret as files."}),
      field<&T::downward_api>("downwardAPI", {.carried_by = kBy,
                                              .doc = "Fields of the pod as files."}),
      field<&T::config_map>("configMap", {.carried_by = kBy,
                                          .doc = "Keys of a ConfigMap as files."}),
      field<&T::projected>("projected", {.carried_by = kBy,
                                         .doc = "Several sources in one directory."}),
      refused("persistentVolumeClaim",
              "claims are not carried out yet; use hostPath (with policy privileged) or emptyDir"),
      refused("ephemeral", "claims are not carried out yet; use emptyDir"),
      refused("image", "image volumes are not carried out; copy in an init container"),
      refused("nfs", "mount it on the node and use hostPath"),
      refused("iscsi", "mount it on the node and use hostPath"),
      refused("cephfs", "mount it on the node and use hostPath"),
      refused("glusterfs", "mount it on the node and use hostPath"),
      refused("rbd", "mount it on the node and use hostPath"),
      refused("fc", "mount it on the node and use hostPath"),
      refused("csi", "drivers are not run; mount it on the node and use hostPath"),
      refused("flexVolume", "drivers are not run; mount it on the node and use hostPath"),
      refused("gitRepo", "clone in an init container into an emptyDir"),
      refused("awsElasticBlockStore", kUseLocal), refused("azureDisk", kUseLocal),
      refused("azureFile", kUseLocal), refused("cinder", kUseLocal),
      refused("flocker", kUseLocal), refused("gcePersistentDisk", kUseLocal),
      refused("photonPersistentDisk", kUseLocal), refused("portworxVolume", kUseLocal),
      refused("quobyte", kUseLocal), refused("scaleIO", kUseLocal),
      refused("storageos", kUseLocal), refused("vsphereVolume", kUseLocal),
  };
  static constexpr TypeSchema kSchema{"Volume", kFields, &check_volume, &complete_volume};
  return kSchema;
}

}  // namespace moored
