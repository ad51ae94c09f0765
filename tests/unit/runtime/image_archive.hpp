// Archives and image layouts made by the tests, sensible and hostile ones alike.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/image/documents.hpp"
#include "runtime/image/tar_writer.hpp"
#include "runtime/image/unpack_worker.hpp"
#include "schema/base/assert.hpp"
#include "schema/host/sha256.hpp"

namespace moored::test {

namespace fs = std::filesystem;
using image::LayerEntry;

// A directory that goes with the test.
class ImageScratch {
 public:
  ImageScratch() {
    char name[] = "/tmp/moored-image-XXXXXX";
    MOORED_ASSERT(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~ImageScratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ImageScratch(const ImageScratch&) = delete;
  ImageScratch& operator=(const ImageScratch&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

// The unpacker without its own process: for tests of everything around it.
class InlineUnpacker final : public image::Unpacker {
 public:
  Result<image::UnpackReport> run(const image::UnpackRequest& request) override {
    ++runs;
    return image::unpack(request);
  }
  int runs = 0;
};

struct TarFile {
  LayerEntry entry;
  std::string content;
};

inline TarFile tar_file(const std::string& name, const std::string& content, mode_t mode = 0644) {
  TarFile out;
  out.entry.name = name;
  out.entry.mode = mode;
  out.entry.size_bytes = static_cast<std::int64_t>(content.size());
  out.content = content;
  return out;
}
inline TarFile tar_directory(const std::string& name, mode_t mode = 0755) {
  TarFile out;
  out.entry.type = LayerEntry::Type::directory;
  out.entry.name = name;
  out.entry.mode = mode;
  return out;
}
inline TarFile link(LayerEntry::Type type, const std::string& name, const std::string& target) {
  TarFile out;
  out.entry.type = type;
  out.entry.name = name;
  out.entry.target = target;
  return out;
}
inline TarFile tar_symlink(const std::string& name, const std::string& target) {
  return link(LayerEntry::Type::symlink, name, target);
}
inline TarFile tar_hardlink(const std::string& name, const std::string& target) {
  return link(LayerEntry::Type::hardlink, name, target);
}

inline std::string make_tar(const std::vector<TarFile>& files) {
  std::string out;
  image::TarWriter tar([&](std::string_view bytes) {
    out += bytes;
    return Status();
  });
  for (const auto& one : files) {
    MOORED_ASSERT(tar.add(one.entry).has_value());
    if (one.entry.type != LayerEntry::Type::file) continue;
    MOORED_ASSERT(tar.put(one.content).has_value() && tar.end_file().has_value());
  }
  MOORED_ASSERT(tar.finish().has_value());
  return out;
}

std::string gzip(const std::string& bytes);
std::string zstd(const std::string& bytes);

inline void write(const std::string& path, const std::string& content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}
inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline std::string digest_of(const std::string& bytes) {
  return "sha256:" + sha256_hex(bytes);
}

// An OCI layout under construction.
class LayoutBuilder {
 public:
  explicit LayoutBuilder(std::string path) : path_(std::move(path)) {
    write(path_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }
  std::string add_blob(const std::string& content) {
    write(path_ + "/blobs/sha256/" + sha256_hex(content), content);
    return digest_of(content);
  }
  // An image of layers (uncompressed tars, stored as packed says) called by a reference.
  std::string add_image(const std::vector<std::string>& tars, const std::string& reference,
                        const std::string& config = R"({"Cmd":["/bin/run"]})",
                        std::string (*pack)(const std::string&) = &gzip) {
    std::string diff_ids;
    std::vector<image::Descriptor> layers;
    for (const auto& tar : tars) {
      diff_ids += (diff_ids.empty() ? "\"" : ",\"") + digest_of(tar) + '"';
      const auto packed = pack(tar);
      image::Descriptor layer;
      layer.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
      layer.digest = add_blob(packed);
      layer.size_bytes = static_cast<std::int64_t>(packed.size());
      layers.push_back(layer);
    }
    const auto configuration = R"({"os":"linux","architecture":")" +
                               std::string(image::get_architecture()) + R"(","config":)" + config +
                               R"(,"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}}";
    add_blob(configuration);
    const auto manifest = image::make_manifest(configuration, layers);
    add_manifest(manifest, "application/vnd.oci.image.manifest.v1+json", reference);
    return digest_of(manifest);
  }
  void add_manifest(const std::string& json, const std::string& type,
                    const std::string& reference) {
    add_blob(json);
    rows_ += (rows_.empty() ? "" : ",") + std::string(R"({"mediaType":")") + type +
             R"(","digest":")" + digest_of(json) + R"(","size":)" + std::to_string(json.size()) +
             R"(,"annotations":{"org.opencontainers.image.ref.name":")" + reference + R"("}})";
    write(path_ + "/index.json", R"({"schemaVersion":2,"manifests":[)" + rows_ + "]}");
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::string rows_;
};

}  // namespace moored::test
