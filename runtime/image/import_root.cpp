// An image made of a plain directory.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>

#include "runtime/image/import_source.hpp"
#include "runtime/image/tar_writer.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored::image {
namespace {

constexpr int kMaxDepth = 256;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// Writes a directory tree as a tar, by descriptors, names in order.
class TreePacker {
 public:
  explicit TreePacker(TarWriter& tar) : tar_(tar) {}

  Status pack(int directory, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) return fail(Code::exhausted, prefix + " is too deep");
    MOORED_TRY(const auto names, list(directory));
    for (const auto& name : names)
      MOORED_CHECK(pack_entry(directory, name, prefix + name, depth));
    return {};
  }

 private:
  static Result<std::vector<std::string>> list(int directory) {
    const int copy = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return failed("list a directory");
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy), &closedir);
    std::vector<std::string> names;
    while (const dirent* row = stream ? readdir(stream.get()) : nullptr) {
      const std::string name = row->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Status pack_entry(int directory, const std::string& name, const std::string& path, int depth) {
    struct stat state {};
    if (fstatat(directory, name.c_str(), &state, AT_SYMLINK_NOFOLLOW) < 0) {
      return failed("look at " + path);
    }
    LayerEntry entry;
    entry.name = path;
    entry.mode = state.st_mode & 07777U;
    entry.uid = state.st_uid;
    entry.gid = state.st_gid;
    entry.mtime_seconds = state.st_mtim.tv_sec;
    if (S_ISDIR(state.st_mode)) return pack_directory(directory, name, std::move(entry), depth);
    if (S_ISLNK(state.st_mode)) return pack_link(directory, name, std::move(entry));
    if (S_ISREG(state.st_mode)) return pack_file(directory, name, std::move(entry), state);
    entry.type = LayerEntry::Type::fifo;
    // Devices and sockets have no place in an image.
    return S_ISFIFO(state.st_mode) ? tar_.add(entry) : Status();
  }

  Status pack_directory(int parent, const std::string& name, LayerEntry entry, int depth) {
    const UniqueFd inner(
        openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner) return failed("open " + entry.name);
    entry.type = LayerEntry::Type::directory;
    entry.name += '/';
    MOORED_CHECK(tar_.add(entry));
    return pack(inner.get(), entry.name, depth + 1);
  }

  Status pack_link(int parent, const std::string& name, LayerEntry entry) {
    std::array<char, 4096> target{};
    const auto size = readlinkat(parent, name.c_str(), target.data(), target.size());
    if (size < 0) return failed("read " + entry.name);
    entry.type = LayerEntry::Type::symlink;
    entry.target.assign(target.data(), static_cast<std::size_t>(size));
    return tar_.add(entry);
  }

  Status pack_file(int parent, const std::string& name, LayerEntry entry,
                   const struct stat& state) {
    const auto identity = std::make_pair(state.st_dev, state.st_ino);
    if (state.st_nlink > 1) {
      const auto first = seen_.emplace(identity, entry.name);
      if (!first.second) {
        entry.type = LayerEntry::Type::hardlink;
        entry.target = first.first->second;
        return tar_.add(entry);
      }
    }
    const UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return failed("open " + entry.name);
    char value[4096];
    const auto size = fgetxattr(fd.get(), "security.capability", value, sizeof value);
    if (size > 0) {
      entry.attributes.emplace_back("security.capability",
                                    std::string(value, static_cast<std::size_t>(size)));
    }
    entry.size_bytes = state.st_size;
    MOORED_CHECK(tar_.add(entry));
    MOORED_CHECK(copy_content(fd.get(), entry));
    return tar_.end_file();
  }

  Status copy_content(int fd, const LayerEntry& entry) {
    std::vector<char> buffer(256U << 10U);
    for (auto left = entry.size_bytes; left > 0;) {
      const auto want = std::min<std::int64_t>(left, static_cast<std::int64_t>(buffer.size()));
      const auto got = read(fd, buffer.data(), static_cast<std::size_t>(want));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed("read " + entry.name);
      if (got == 0) return fail(Code::conflict, entry.name + " shrank while it was read");
      MOORED_CHECK(tar_.put({buffer.data(), static_cast<std::size_t>(got)}));
      left -= got;
    }
    return {};
  }

  TarWriter& tar_;
  std::map<std::pair<dev_t, ino_t>, std::string> seen_;
};

// A list of texts, or one text as its only item.
Result<std::vector<std::string>> texts_of(const Value& value, const std::string& field) {
  std::vector<std::string> out;
  if (value.type == Value::Type::text) return std::vector<std::string>{value.scalar};
  for (const auto& item : value.items) {
    if (item.type != Value::Type::text) {
      return Unexpected(Error{Code::invalid,
                              field + " holds something that is not a text",
                              "ConfigInvalid",
                              {{}, item.mark.line, item.mark.column, field},
                              "quote it"});
    }
    out.push_back(item.scalar);
  }
  return out;
}

// NAME: value pairs, or NAME=value items.
Result<std::vector<std::string>> environment_of(const Value& value) {
  if (!value.is_map()) return texts_of(value, "env");
  std::vector<std::string> out;
  for (const auto& [name, text] : value.members)
    out.push_back(name.scalar + '=' + text.scalar);
  return out;
}

Status read_member(const std::string& key, const Value& value, ImageReport& out) {
  if (key == "entrypoint") {
    MOORED_TRY(out.entrypoint, texts_of(value, key));
  } else if (key == "cmd" || key == "command") {
    MOORED_TRY(out.command, texts_of(value, key));
  } else if (key == "env") {
    MOORED_TRY(out.environment, environment_of(value));
  } else if (key == "volumes") {
    MOORED_TRY(out.volumes, texts_of(value, key));
  } else if (key == "workingDir") {
    out.working_directory = value.scalar;
  } else if (key == "user") {
    out.user = value.scalar;
  } else if (key == "stopSignal") {
    out.stop_signal = value.scalar;
  } else {
    return Unexpected(
        Error{Code::invalid,
              "unknown field " + key,
              "ConfigInvalid",
              {{}, value.mark.line, value.mark.column, key},
              "known are entrypoint, cmd, env, user, workingDir, stopSignal, volumes"});
  }
  return {};
}

}  // namespace

Result<ImageReport> parse_description(std::string_view text, const std::string& file) {
  Diagnostics diagnostics;
  const auto documents = read_yaml(text, file, diagnostics);
  if (!diagnostics.ok()) return Unexpected(Error(diagnostics.errors().front()));
  ImageReport out;
  if (documents.size() != 1 || !documents.front().is_map()) {
    return Unexpected(Error{
        Code::invalid, "the description is not one map", "ConfigInvalid", {file, 1, 1, {}}, {}});
  }
  for (const auto& [key, value] : documents.front().members) {
    auto status = read_member(key.scalar, value, out);
    if (status) continue;
    auto error = std::move(status).error();
    error.place.file = file;
    return Unexpected(std::move(error));
  }
  return out;
}

Result<FoundImage> take_in_root(const std::string& path, const BlobStore& store) {
  ImageReport process;
  process.command = {"/bin/sh"};
  std::string plain = path;
  while (plain.size() > 1 && plain.back() == '/')
    plain.pop_back();
  for (const char* suffix : {".yaml", ".yml", ".json"}) {
    const auto text = read_file(plain + suffix, kMaxDocumentBytes);
    if (!text) continue;
    MOORED_TRY(process, parse_description(*text, plain + suffix));
    break;
  }
  const UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return failed("open " + path);
  MOORED_TRY(auto blob_writer, store.start());
  TarWriter tar([&](std::string_view bytes) { return blob_writer.write(bytes); });
  TreePacker packer(tar);
  MOORED_CHECK(packer.pack(root.get(), {}, 0));
  MOORED_CHECK(tar.finish());
  MOORED_TRY(const auto blob, blob_writer.commit());
  const auto configuration = make_configuration(process, blob.digest);
  MOORED_TRY(const auto kept, store.add_text(configuration));
  Descriptor layer;
  layer.media_type = "application/vnd.oci.image.layer.v1.tar";
  layer.digest = blob.digest;
  layer.size_bytes = blob.size_bytes;
  MOORED_TRY(const auto manifest, store.add_text(make_manifest(configuration, {layer})));
  return FoundImage{{}, manifest.digest};
}

}  // namespace moored::image
