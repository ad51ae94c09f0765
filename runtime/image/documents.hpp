// The JSON documents of an image: index, manifest, configuration. Pure; strict and bounded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/ports/image_store.hpp"

namespace moored::image {

inline constexpr std::size_t kMaxDocumentBytes = 4U << 20U;
inline constexpr std::size_t kMaxLayers = 127;
// index.json of a layout, then indexes inside it.
inline constexpr int kMaxIndexDepth = 4;

// What one document says of another blob.
struct Descriptor {
  std::string media_type;
  std::string digest;
  std::int64_t size_bytes = 0;
  std::string reference;  // annotation org.opencontainers.image.ref.name
  std::string operating_system, architecture, variant;  // empty: not said
};

// An index (manifests) or a manifest (configuration and layers), never both.
struct Document {
  bool is_index = false;
  std::vector<Descriptor> manifests;
  Descriptor configuration;
  std::vector<Descriptor> layers;  // lowest first
};
// Errors: invalid (ManifestInvalid), exhausted (LayerLimit).
Result<Document> parse_document(std::string_view json, std::string_view media_type = {});

// The entries of an index that this machine can run, in order; attestations are passed over.
// Errors: not_found (PlatformMismatch, naming both).
Result<std::vector<Descriptor>> choose_platform(const std::vector<Descriptor>& entries);

// One image of a saved-image tar: files inside the archive instead of digests.
struct SavedImage {
  std::string configuration;
  std::vector<std::string> names;   // RepoTags
  std::vector<std::string> layers;  // lowest first
};
Result<std::vector<SavedImage>> parse_saved_images(std::string_view json);

// What the image says about its process, and the digests of its uncompressed layers.
struct ImageConfiguration {
  ImageReport process;  // name, digest, layers and size stay empty
  std::vector<std::string> diff_ids;
};
// Errors: invalid (ConfigInvalid, naming every bad field), not_found (PlatformMismatch).
Result<ImageConfiguration> parse_configuration(std::string_view json);

// ---- documents of our own making, for images that come without
// -----------------------------------
struct BuiltImage {
  std::string configuration;  // JSON
  std::string manifest;       // JSON
};
// The manifest of a configuration and its layers (digest, size, media type).
std::string make_manifest(const std::string& configuration, const std::vector<Descriptor>& layers);
// The configuration of a root directory with one layer.
std::string make_configuration(const ImageReport& process, const std::string& diff_id);
// This machine in the words of image documents: amd64, arm64, …
std::string_view get_architecture();

}  // namespace moored::image
