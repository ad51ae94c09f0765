#include "runtime/agent/volume_files.hpp"

#include <map>
#include <optional>

#include "runtime/agent/environment.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::agent {
namespace {

constexpr std::int32_t kDefaultMode = 0644;

using Values = std::map<std::string, std::string>;

// Collects the files of one volume.
class FileBuilder {
 public:
  FileBuilder(const FieldContext& context, const StateView& view, const std::string& volume,
              std::optional<std::int32_t> mode)
      : context_(context), view_(view), volume_(volume), mode_(mode.value_or(kDefaultMode)) {}

  // Text and binary keys alike.
  Status add_config_map(const std::string& name, const std::vector<KeyToPath>& items,
                        bool optional) {
    const auto object = find<ConfigMap>(name);
    if (!object) return absent("configmap", name, optional);
    const auto& map = object->as<ConfigMap>();
    Values values = map.data;
    values.insert(map.binary_data.begin(), map.binary_data.end());
    return add_values(values, items, optional, "config key");
  }

  // Values are raw bytes in memory.
  Status add_secret(const std::string& name, const std::vector<KeyToPath>& items, bool optional) {
    const auto object = find<Secret>(name);
    if (!object) return absent("secret", name, optional);
    return add_values(object->as<Secret>().data, items, optional, "secret key");
  }

  // Fields of the pod as files.
  Status add_downward(const std::vector<DownwardApiFile>& items) {
    for (const auto& item : items) {
      auto value = read_item(item);
      if (!value) return broken(value.error().code, value.error().message);
      MOORED_CHECK(put(item.path, *std::move(value), item.mode));
    }
    return {};
  }

  // Sorted by path, each path once.
  std::vector<VolumeFile> finish() {
    std::vector<VolumeFile> files;
    for (auto& [path, file] : files_) files.push_back(std::move(file));
    return files;
  }

 private:
  template <class T>
  std::optional<Object> find(const std::string& name) const {
    return view_.find(key_of<T>(context_.pod.metadata.namespace_name, name));
  }

  // The words of the FailedMount event.
  Unexpected broken(Code code, const std::string& why) const {
    const std::string start = "MountVolume.SetUp failed for volume \"" + volume_ + "\" : ";
    return Unexpected(fail(code, start + why).take().because("FailedMount"));
  }

  // An optional object that is missing leaves the volume empty.
  Status absent(const std::string& kind, const std::string& name, bool optional) const {
    if (optional) return {};
    return broken(Code::not_found, kind + " \"" + name + "\" not found");
  }

  // The content of one file of the downward API.
  Result<std::string> read_item(const DownwardApiFile& item) const {
    if (item.field_ref) return read_pod_field(context_, item.field_ref->field_path);
    if (item.resource_field_ref) {
      return read_resource_field(context_, item.resource_field_ref->container_name,
                                 *item.resource_field_ref);
    }
    return fail(Code::invalid, "file " + item.path + " names no field");
  }

  // All keys under their own names, or the listed ones under theirs.
  Status add_values(const Values& values, const std::vector<KeyToPath>& items, bool optional,
                    const std::string& word) {
    if (items.empty()) {
      for (const auto& [key, value] : values) MOORED_CHECK(put(key, value, std::nullopt));
      return {};
    }
    for (const auto& item : items) {
      const auto found = values.find(item.key);
      if (found == values.end() && optional) continue;
      if (found == values.end()) {
        return broken(Code::not_found, "references non-existent " + word + ": " + item.key);
      }
      MOORED_CHECK(put(item.path, found->second, item.mode));
    }
    return {};
  }

  // The one place where paths and modes are checked.
  Status put(const std::string& path, std::string content, std::optional<std::int32_t> mode) {
    if (!is_clean_volume_path(path)) {
      return broken(Code::invalid, "path " + path + " is not allowed");
    }
    const auto bits = static_cast<unsigned>(mode.value_or(mode_)) & 0777U;
    files_[path] = VolumeFile{path, std::move(content), bits};
    return {};
  }

  const FieldContext& context_;
  const StateView& view_;
  const std::string& volume_;
  std::int32_t mode_;
  std::map<std::string, VolumeFile> files_;
};

}  // namespace

bool is_written_volume(const Volume& volume) {
  return volume.config_map || volume.secret || volume.downward_api || volume.projected;
}

bool is_secret_volume(const Volume& volume) { return volume.secret || volume.projected; }

bool refers_to(const Volume& volume, const Kind& kind, const std::string& name) {
  const bool config = &kind == &kind_of<ConfigMap>();
  const bool secret = &kind == &kind_of<Secret>();
  if (config && volume.config_map && volume.config_map->name == name) return true;
  if (secret && volume.secret && volume.secret->secret_name == name) return true;
  if (!volume.projected) return false;
  for (const auto& source : volume.projected->sources) {
    if (config && source.config_map && source.config_map->name == name) return true;
    if (secret && source.secret && source.secret->name == name) return true;
  }
  return false;
}

bool is_clean_volume_path(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.size() > 4096) return false;
  if (path.find('\0') != std::string::npos) return false;
  std::size_t start = 0;
  while (start <= path.size()) {
    const auto end = std::min(path.find('/', start), path.size());
    const std::string part = path.substr(start, end - start);
    if (part.empty() || part == "." || part.rfind("..", 0) == 0 || part.size() > 255) return false;
    start = end + 1;
  }
  return true;
}

Result<std::vector<VolumeFile>> make_volume_files(const FieldContext& context, const Volume& volume,
                                                  const StateView& view) {
  std::optional<std::int32_t> mode;
  if (volume.config_map) mode = volume.config_map->default_mode;
  if (volume.secret) mode = volume.secret->default_mode;
  if (volume.downward_api) mode = volume.downward_api->default_mode;
  if (volume.projected) mode = volume.projected->default_mode;
  FileBuilder builder(context, view, volume.name, mode);
  if (volume.config_map) {
    const auto& from = *volume.config_map;
    MOORED_CHECK(builder.add_config_map(from.name, from.items, from.optional));
  }
  if (volume.secret) {
    const auto& from = *volume.secret;
    MOORED_CHECK(builder.add_secret(from.secret_name, from.items, from.optional));
  }
  if (volume.downward_api) MOORED_CHECK(builder.add_downward(volume.downward_api->items));
  if (volume.projected) {
    for (const auto& source : volume.projected->sources) {
      if (source.config_map) {
        const auto& from = *source.config_map;
        MOORED_CHECK(builder.add_config_map(from.name, from.items, from.optional));
      }
      if (source.secret) {
        const auto& from = *source.secret;
        MOORED_CHECK(builder.add_secret(from.name, from.items, from.optional));
      }
      if (source.downward_api) MOORED_CHECK(builder.add_downward(source.downward_api->items));
    }
  }
  return builder.finish();
}

}  // namespace moored::agent
