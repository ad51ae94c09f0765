#include "runtime/image/documents.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "runtime/image/names.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"

namespace moored::image {
namespace {

constexpr std::array<std::string_view, 2> kIndexTypes{
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json"};
constexpr std::array<std::string_view, 2> kManifestTypes{
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json"};
constexpr std::string_view kReferenceName = "org.opencontainers.image.ref.name";

// Whatever is wrong with a document has one reason, so that people can look it up.
Unexpected bad_manifest(const std::string& what) {
  return Unexpected(Error{Code::invalid, what, "ManifestInvalid", {}, {}});
}

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Documents come from strangers: size and depth are bounded before anything is looked at.
Result<Value> read_document(std::string_view json) {
  TextLimits limits;
  limits.file_bytes = kMaxDocumentBytes;
  limits.depth = 32;
  auto value = read_json(json, {}, limits);
  if (!value) return bad_manifest("the document cannot be read: " + value.error().text());
  if (!value->is_map()) return bad_manifest("the document is not an object");
  return value;
}

// Empty for a member of another type too: the check that follows refuses it by its content.
std::string text_of(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  return value != nullptr && value->type == Value::Type::text ? value->scalar : std::string();
}

// Whole numbers only. A size written as 1e3 or 10.0 is legal JSON but no size.
std::optional<std::int64_t> integer_of(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  if (value == nullptr || value->type != Value::Type::integer) return std::nullopt;
  std::int64_t number = 0;
  const auto* end = value->scalar.data() + value->scalar.size();
  const auto read = std::from_chars(value->scalar.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? std::optional(number) : std::nullopt;
}

// Only sha256 is taken: a blob that cannot be checked must not get into the store.
Result<Descriptor> parse_descriptor(const Value& value) {
  Descriptor out;
  if (!value.is_map()) return bad_manifest("a descriptor is not an object");
  out.media_type = text_of(value, "mediaType");
  out.digest = text_of(value, "digest");
  if (!is_digest(out.digest)) return bad_manifest("a descriptor has no sha256 digest");
  const auto size = integer_of(value, "size");
  if (!size || *size < 0) return bad_manifest("the size of " + out.digest + " is not a number");
  out.size_bytes = *size;
  if (const auto* notes = value.find("annotations"); notes != nullptr && notes->is_map()) {
    out.reference = text_of(*notes, kReferenceName);
  }
  if (const auto* platform = value.find("platform"); platform != nullptr && platform->is_map()) {
    out.operating_system = text_of(*platform, "os");
    out.architecture = text_of(*platform, "architecture");
    out.variant = text_of(*platform, "variant");
  }
  return out;
}

// A missing list and an empty one differ: the latter is an image without layers.
Result<std::vector<Descriptor>> parse_descriptors(const Value* list, const char* what) {
  if (list == nullptr || !list->is_list()) {
    return bad_manifest(std::string("the document has no list of ") + what);
  }
  std::vector<Descriptor> out;
  for (const auto& item : list->items) {
    MOORED_TRY(auto descriptor, parse_descriptor(item));
    out.push_back(std::move(descriptor));
  }
  return out;
}

// A document must be what everybody says it is: its own words, its parent's, and its contents.
Status check_kind(const Value& value, bool is_index, std::string_view media_type) {
  const auto& fitting = is_index ? kIndexTypes : kManifestTypes;
  const auto own = text_of(value, "mediaType");
  for (const std::string_view said : {std::string_view(own), media_type}) {
    if (!said.empty() && !contains(fitting, said)) {
      return bad_manifest("the media type " + std::string(said) + " does not fit the document");
    }
  }
  if (!own.empty() && !media_type.empty() && own != media_type) {
    return bad_manifest("the document calls itself " + own + ", its descriptor says otherwise");
  }
  if (integer_of(value, "schemaVersion") != std::optional<std::int64_t>(2)) {
    return bad_manifest("the document is not of schema version 2");
  }
  return {};
}

// As image tools write it, "linux/arm64/v8", for the message that lists what there is.
std::string platform_text(const Descriptor& entry) {
  return entry.operating_system + '/' + entry.architecture +
         (entry.variant.empty() ? "" : "/" + entry.variant);
}

}  // namespace

std::string_view get_architecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__riscv)
  return "riscv64";
#elif defined(__powerpc64__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#else
  return "386";
#endif
}

Result<Document> parse_document(std::string_view json, std::string_view media_type) {
  MOORED_TRY(const auto value, read_document(json));
  Document out;
  out.is_index = value.find("manifests") != nullptr;
  const bool is_manifest = value.find("layers") != nullptr || value.find("config") != nullptr;
  if (out.is_index && is_manifest) {
    return bad_manifest("one document is an index and a manifest at the same time");
  }
  MOORED_CHECK(check_kind(value, out.is_index, media_type));
  if (out.is_index) {
    MOORED_TRY(out.manifests, parse_descriptors(value.find("manifests"), "manifests"));
    return out;
  }
  const auto* configuration = value.find("config");
  if (configuration == nullptr) return bad_manifest("the manifest has no configuration");
  MOORED_TRY(out.configuration, parse_descriptor(*configuration));
  MOORED_TRY(out.layers, parse_descriptors(value.find("layers"), "layers"));
  if (out.layers.size() > kMaxLayers) {
    return Unexpected(Error{Code::exhausted,
                            "the image has " + std::to_string(out.layers.size()) +
                                " layers, at most " + std::to_string(kMaxLayers) + " are allowed",
                            "LayerLimit",
                            {},
                            {}});
  }
  return out;
}

Result<std::vector<Descriptor>> choose_platform(const std::vector<Descriptor>& entries) {
  std::vector<Descriptor> fitting;
  std::string seen;
  for (const auto& entry : entries) {
    if (entry.operating_system == "unknown") continue;  // an attestation
    // A layout with a single image often does not say for what.
    const bool silent = entry.operating_system.empty() && entry.architecture.empty();
    // Every 64-bit Arm machine runs v8; other variants need instructions that may be
    // missing.
    const bool plain = entry.variant.empty() || entry.variant == "v8";
    if (silent ||
        (entry.operating_system == "linux" && plain && entry.architecture == get_architecture())) {
      fitting.push_back(entry);
    }
    seen += (seen.empty() ? "" : ", ") + platform_text(entry);
  }
  if (!fitting.empty()) return fitting;
  return Unexpected(Error{Code::not_found,
                          "the image is for " + (seen.empty() ? std::string("no platform") : seen) +
                              ", this machine is linux/" + std::string(get_architecture()),
                          "PlatformMismatch",
                          {},
                          {}});
}

Result<std::vector<SavedImage>> parse_saved_images(std::string_view json) {
  TextLimits limits;
  limits.file_bytes = kMaxDocumentBytes;
  const auto value = read_json(json, {}, limits);
  if (!value || !value->is_list()) return bad_manifest("manifest.json is not a list of images");
  std::vector<SavedImage> out;
  for (const auto& item : value->items) {
    SavedImage image;
    image.configuration = text_of(item, "Config");
    // RepoTags is null for an image saved by its id, so an absent list is not a fault.
    const auto collect = [&](std::string_view key, std::vector<std::string>& into) {
      const auto* list = item.find(key);
      if (list == nullptr) return;
      for (const auto& entry : list->items)
        into.push_back(entry.scalar);
    };
    collect("RepoTags", image.names);
    collect("Layers", image.layers);
    if (image.configuration.empty()) return bad_manifest("an image of manifest.json has no Config");
    if (image.layers.size() > kMaxLayers) return bad_manifest("an image has too many layers");
    out.push_back(std::move(image));
  }
  return out;
}

std::string make_manifest(const std::string& configuration, const std::vector<Descriptor>& layers) {
  const auto describe = [](const std::string& type, const std::string& digest, std::int64_t size) {
    auto value = Value::make_map();
    value.put("mediaType", Value::of_text(type));
    value.put("digest", Value::of_text(digest));
    value.put("size", Value::of_integer(size));
    return value;
  };
  auto value = Value::make_map();
  value.put("schemaVersion", Value::of_integer(2));
  value.put("mediaType", Value::of_text(std::string(kManifestTypes[0])));
  value.put("config", describe("application/vnd.oci.image.config.v1+json",
                               "sha256:" + sha256_hex(configuration),
                               static_cast<std::int64_t>(configuration.size())));
  auto list = Value::make_list();
  for (const auto& layer : layers) {
    list.items.push_back(describe(layer.media_type, layer.digest, layer.size_bytes));
  }
  value.put("layers", std::move(list));
  return write_json(value);
}

}  // namespace moored::image
