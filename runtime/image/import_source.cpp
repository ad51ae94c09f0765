#include "runtime/image/import_source.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/image/names.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored::image {
namespace {

constexpr std::string_view kTarLayer = "application/vnd.oci.image.layer.v1.tar";

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

Unexpected refuse(Code code, const char* reason, const std::string& what) {
  return Unexpected(Error{code, what, reason, {}, {}});
}

// A regular file below a directory; links are followed, but never out of it.
Result<UniqueFd> open_inside(int root, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a pipe must not make us wait
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(syscall(SYS_openat2, root, name.c_str(), &how, sizeof how)));
  if (!fd) return failed("open " + name);
  struct stat state {};
  if (fstat(fd.get(), &state) < 0) return failed("look at " + name);
  if (!S_ISREG(state.st_mode))
    return refuse(Code::invalid, "ManifestInvalid", name + " is no file");
  return fd;
}

// Through /proc, so that what is read is the file that was checked, not the name once more.
Result<std::string> read_inside(int root, const std::string& name) {
  MOORED_TRY(const auto fd, open_inside(root, name));
  return read_file("/proc/self/fd/" + std::to_string(fd.get()), kMaxDocumentBytes);
}

// ---- OCI layout --------------------------------------------------------------------------------

// Images of a layout, walking its index and the indexes in it.
class Layout {
 public:
  Layout(int root, const BlobStore& store) : root_(root), store_(store) {}

  Result<std::vector<Descriptor>> read_index() {
    MOORED_TRY(const auto json, read_inside(root_, "index.json"));
    MOORED_TRY(const auto document, parse_document(json));
    if (!document.is_index) {
      return refuse(Code::invalid, "ManifestInvalid", "index.json is not an index");
    }
    return document.manifests;
  }

  // The digest of the manifest that this machine can run, all its blobs being in the store.
  Result<std::string> take(const Descriptor& entry, int depth = 1) {
    if (depth >= kMaxIndexDepth) {
      return refuse(Code::invalid, "ManifestInvalid",
                    "indexes lie more than " + std::to_string(kMaxIndexDepth) + " deep");
    }
    MOORED_CHECK(take_blob(entry));
    MOORED_TRY(const auto json, store_.read_document(entry.digest));
    MOORED_TRY(const auto document, parse_document(json, entry.media_type));
    if (document.is_index) {
      MOORED_TRY(const auto fitting, choose_platform(document.manifests));
      return take(fitting.front(), depth + 1);
    }
    MOORED_CHECK(take_blob(document.configuration));
    for (const auto& layer : document.layers)
      MOORED_CHECK(take_blob(layer));
    return entry.digest;
  }

 private:
  // A layout may leave out blobs that were sent before; those in the store have been
  // checked.
  Status take_blob(const Descriptor& blob) {
    const auto file = open_inside(root_, "blobs/sha256/" + digest_hex(blob.digest));
    if (!file && !store_.contains(blob.digest)) {
      return refuse(Code::corrupt, "DigestMismatch", "the blob " + blob.digest + " is missing");
    }
    if (!file) return {};
    MOORED_TRY(const auto added, store_.add_file(file->get(), blob.digest, blob.size_bytes));
    return {};
  }

  int root_;
  const BlobStore& store_;
};

// True when a name given by a person means what an archive calls an image: the same name in full,
// or a bare tag that is the tag of the name.
bool means(const std::string& wanted, const std::string& said) {
  const auto name = parse_image_name(wanted);
  if (!name || said.empty()) return false;
  if (said == name->tag) return true;
  const auto other = parse_image_name(said);
  return other && other->text() == name->text();
}

// With a name and several images: the one that is called so. One image is meant in any case.
template <class Entry, class NamesOf>
Result<std::vector<Entry>> choose(std::vector<Entry> entries, const std::string& name,
                                  NamesOf names_of) {
  if (name.empty() || entries.size() == 1) return entries;
  std::vector<Entry> chosen;
  std::string seen;
  for (const auto& entry : entries) {
    const std::vector<std::string> names = names_of(entry);
    for (const auto& said : names)
      seen += (seen.empty() ? "" : ", ") + said;
    const bool fits = std::any_of(names.begin(), names.end(),
                                  [&](const auto& said) { return means(name, said); });
    if (fits) chosen.push_back(entry);
  }
  if (chosen.size() == 1) return chosen;
  return Unexpected(Error{Code::conflict,
                          "the archive holds " + std::to_string(entries.size()) +
                              " images, and not exactly one is called " + name,
                          "AmbiguousImage",
                          {},
                          "it calls them: " + seen});
}

// The platform decides before the name, as one name often covers an entry for each
// platform.
Result<std::vector<FoundImage>> take_in_layout(int root, const std::string& name,
                                               const BlobStore& store) {
  Layout layout(root, store);
  MOORED_TRY(auto all, layout.read_index());
  MOORED_TRY(const auto fitting, choose_platform(all));
  MOORED_TRY(const auto wanted, choose(fitting, name, [](const Descriptor& entry) {
               return std::vector<std::string>{entry.reference};
             }));
  std::vector<FoundImage> out;
  for (const auto& entry : wanted) {
    MOORED_TRY(auto digest, layout.take(entry));
    FoundImage image;
    if (!entry.reference.empty()) image.names.push_back(entry.reference);
    image.manifest_digest = std::move(digest);
    out.push_back(std::move(image));
  }
  return out;
}

// ---- saved-image archive -----------------------------------------------------------------------

// Saved images have no manifest of the OCI kind. One is written for them, so that the store
// holds one sort of image only.
Result<FoundImage> take_in_saved(int root, const SavedImage& saved, const BlobStore& store) {
  MOORED_TRY(const auto configuration, read_inside(root, saved.configuration));
  // The file is called by its digest; what calls itself otherwise is not what was saved.
  const auto slash = saved.configuration.rfind('/');
  const auto base = saved.configuration.substr(slash == std::string::npos ? 0 : slash + 1);
  const auto hex = base.substr(0, base.find('.'));
  if (is_digest("sha256:" + hex) && hex != sha256_hex(configuration)) {
    return refuse(Code::corrupt, "DigestMismatch", "the configuration is not " + hex);
  }
  MOORED_TRY(const auto kept, store.add_text(configuration));
  std::vector<Descriptor> layers;
  for (const auto& name : saved.layers) {
    MOORED_TRY(const auto file, open_inside(root, name));
    MOORED_TRY(const auto blob, store.add_file(file.get()));
    Descriptor layer;
    layer.media_type = kTarLayer;
    layer.digest = blob.digest;
    layer.size_bytes = blob.size_bytes;
    layers.push_back(std::move(layer));
  }
  MOORED_TRY(const auto manifest, store.add_text(make_manifest(configuration, layers)));
  return FoundImage{saved.names, manifest.digest};
}

Result<std::vector<FoundImage>> take_in_saved_all(int root, const std::string& name,
                                                  const BlobStore& store) {
  MOORED_TRY(const auto json, read_inside(root, "manifest.json"));
  MOORED_TRY(auto images, parse_saved_images(json));
  MOORED_TRY(const auto wanted,
             choose(std::move(images), name, [](const SavedImage& image) { return image.names; }));
  std::vector<FoundImage> out;
  for (const auto& saved : wanted) {
    MOORED_TRY(auto image, take_in_saved(root, saved, store));
    out.push_back(std::move(image));
  }
  return out;
}

// ---- a tar of a root directory -----------------------------------------------------------------

Result<FoundImage> take_in_root_archive(int file, const std::string& path,
                                        const std::string& diff_id, const BlobStore& store) {
  ImageReport process;
  process.command = {"/bin/sh"};
  for (const char* suffix : {".yaml", ".yml", ".json"}) {
    const auto text = read_file(path + suffix, kMaxDocumentBytes);
    if (!text) continue;
    MOORED_TRY(process, parse_description(*text, path + suffix));
    break;
  }
  if (lseek(file, 0, SEEK_SET) < 0) return failed("read " + path);
  MOORED_TRY(const auto blob, store.add_file(file));
  const auto configuration = make_configuration(process, diff_id);
  MOORED_TRY(const auto kept, store.add_text(configuration));
  Descriptor layer;
  layer.media_type = kTarLayer;
  layer.digest = blob.digest;
  layer.size_bytes = blob.size_bytes;
  MOORED_TRY(const auto manifest, store.add_text(make_manifest(configuration, {layer})));
  return FoundImage{{}, manifest.digest};
}

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("open " + path);
  return fd;
}

bool has_file(int root, const char* name) {
  return open_inside(root, name).has_value();
}

Result<std::vector<FoundImage>> take_in_archive(const std::string& path, const std::string& scratch,
                                                const std::string& name, const BlobStore& store,
                                                Unpacker& unpacker, const LayerLimits& limits) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return failed("open " + path);
  MOORED_CHECK(make_directories(scratch));
  MOORED_TRY(const auto root, open_directory(scratch));
  UnpackRequest request;
  request.source = file.get();
  request.target = root.get();
  request.as_layer = false;
  request.limits = limits;
  MOORED_TRY(const auto report, unpacker.run(request));
  if (has_file(root.get(), "index.json")) return take_in_layout(root.get(), name, store);
  if (has_file(root.get(), "manifest.json")) return take_in_saved_all(root.get(), name, store);
  MOORED_TRY(auto image, take_in_root_archive(file.get(), path, report.digest, store));
  return std::vector<FoundImage>{std::move(image)};
}

}  // namespace

Result<std::vector<FoundImage>> take_in(const std::string& path, const std::string& scratch,
                                        const std::string& name, const BlobStore& store,
                                        Unpacker& unpacker, const LayerLimits& limits) {
  struct stat state {};
  if (stat(path.c_str(), &state) < 0) return failed("open " + path);
  if (S_ISREG(state.st_mode)) {
    return take_in_archive(path, scratch, name, store, unpacker, limits);
  }
  if (!S_ISDIR(state.st_mode)) {
    return fail(Code::invalid, path + " is neither a file nor a directory");
  }
  MOORED_TRY(const auto root, open_directory(path));
  if (has_file(root.get(), "oci-layout") && has_file(root.get(), "index.json")) {
    return take_in_layout(root.get(), name, store);
  }
  MOORED_TRY(auto image, take_in_root(path, store));
  return std::vector<FoundImage>{std::move(image)};
}

}  // namespace moored::image
