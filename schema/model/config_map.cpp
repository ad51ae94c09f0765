// ConfigMap and Secret: keys and values for containers.
#include "schema/model/core.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "runtime/agent";
constexpr std::size_t kMaxBytes = 1U << 20U;

using Entries = std::map<std::string, std::string>;

// Keys count too: a thousand empty values are not free.
std::size_t size_of(const Entries& entries) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : entries) bytes += key.size() + value.size();
  return bytes;
}

// The limit is that of Kubernetes, so that a repository fits there as well.
void check_size(std::size_t bytes, std::vector<Error>& errors) {
  if (bytes <= kMaxBytes) return;
  add_at(errors, "data", Error{Code::invalid, "the object holds " + std::to_string(bytes) +
                                                  " bytes",
                               "LimitExceeded", {},
                               "keep it within " + std::to_string(kMaxBytes) + " bytes"});
}

// Keys become file names; every bad one is told.
void check_keys(const Entries& entries, const std::string& field, std::vector<Error>& errors) {
  for (const auto& [key, value] : entries) {
    if (auto error = check_map_key(key)) add_at(errors, field + key_path(key), *std::move(error));
  }
}

// A key may stand in one of the two maps only: both become files of one directory.
void check_config_map(const void* object, std::vector<Error>& errors) {
  const auto& map = *static_cast<const ConfigMap*>(object);
  check_metadata(map.metadata, &check_dns_subdomain, errors);
  check_keys(map.data, "data", errors);
  check_keys(map.binary_data, "binaryData", errors);
  check_size(size_of(map.data) + size_of(map.binary_data), errors);
  for (const auto& [key, value] : map.binary_data) {
    if (map.data.count(key) == 0) continue;
    add_at(errors, "binaryData" + key_path(key),
           invalid_value("the key " + quoted(key) + " is also in data", "keep one of the two"));
  }
}

// Messages name keys and never values.
void check_secret(const void* object, std::vector<Error>& errors) {
  const auto& secret = *static_cast<const Secret*>(object);
  check_metadata(secret.metadata, &check_dns_subdomain, errors);
  check_keys(secret.data, "data", errors);
  check_keys(secret.string_data, "stringData", errors);
  check_size(size_of(secret.data) + size_of(secret.string_data), errors);
}

// stringData is only another way of writing data; it wins where both have a key. What cannot be a
// key stays where it was written, so that the check names that place.
void complete_secret(void* object) {
  auto& secret = *static_cast<Secret*>(object);
  auto& texts = secret.string_data;
  for (auto entry = texts.begin(); entry != texts.end();) {
    if (check_map_key(entry->first)) {
      ++entry;
      continue;
    }
    secret.data[entry->first] = std::move(entry->second);
    entry = texts.erase(entry);
  }
}

}  // namespace

// Source: core/v1 ConfigMap.
template <>
const TypeSchema& schema_of<ConfigMap>() {
  using T = ConfigMap;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::immutable>("immutable", {.carried_by = "reconciler/diff",
                                         .doc = "Whether the entries may never change."}),
      field<&T::data>("data", {.carried_by = kBy,
                               .doc = "Keys and texts."}),
      field<&T::binary_data>("binaryData", {.flags = kBase64,
                                            .carried_by = kBy,
                                            .doc = "Keys and bytes, written in base64."}),
  };
  static constexpr TypeSchema kSchema{"ConfigMap", kFields, &check_config_map};
  return kSchema;
}

template <>
const Kind& kind_of<ConfigMap>() {
  static constexpr std::string_view kShort[] = {"cm"};
  static constexpr Kind kRow = row_of<ConfigMap>(
      {.group = "", .version = "v1", .kind = "ConfigMap", .plural = "configmaps",
       .singular = "configmap", .short_names = kShort, .table = &kConfigMapTable});
  return kRow;
}

// Source: core/v1 Secret. data is never shown: the flag masks it in messages, diffs and logs.
template <>
const TypeSchema& schema_of<Secret>() {
  using T = Secret;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::immutable>("immutable", {.carried_by = "reconciler/diff",
                                         .doc = "Whether the entries may never change."}),
      field<&T::data>("data", {.flags = kBase64 | kSecret,
                               .carried_by = kBy,
                               .doc = "Keys and bytes, written in base64."}),
      field<&T::string_data>("stringData", {.flags = kSecret,
                                            .carried_by = kBy,
                                            .doc = "Keys and texts; merged into data."}),
      field<&T::type>("type", {.flags = kImmutable, .fallback = "\"Opaque\"", .carried_by = kBy,
                               .doc = "What the keys mean; Opaque for anything."}),
  };
  static constexpr TypeSchema kSchema{"Secret", kFields, &check_secret, &complete_secret};
  return kSchema;
}

template <>
const Kind& kind_of<Secret>() {
  static constexpr std::string_view kPaths[] = {"type"};
  static constexpr Kind kRow = row_of<Secret>(
      {.group = "", .version = "v1", .kind = "Secret", .plural = "secrets",
       .singular = "secret", .table = &kSecretTable, .selectable = kPaths});
  return kRow;
}

}  // namespace moored
