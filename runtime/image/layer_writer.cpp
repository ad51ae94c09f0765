#include "runtime/image/layer_writer.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace moored::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr const char* kOpaqueAttribute = "trusted.overlay.opaque";
// Times outside of this range trouble file systems: 1970 to 2106.
constexpr std::int64_t kMaxTime = 0xffffffff;
// The kernel's own limit for one value (XATTR_SIZE_MAX).
constexpr std::size_t kMaxAttributeBytes = 64U << 10U;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

Unexpected refuse(Code code, const char* reason, const std::string& what) {
  return Unexpected(Error{code, what, reason, {}, {}});
}

// For messages: as seen from inside of the image, never the place on this machine.
std::string text_of(const Path& path) {
  std::string out;
  for (const auto& part : path)
    out += '/' + part;
  return out.empty() ? "/" : out;
}

// Layers say whole seconds; the fraction is zero so that the same layer unpacks the same.
timespec clamp_time(std::int64_t seconds) {
  return {static_cast<time_t>(std::clamp<std::int64_t>(seconds, 0, kMaxTime)), 0};
}

// Only what cannot change how the overlay itself is put together.
bool keeps_attribute(const std::string& name) {
  if (name == "security.capability") return true;
  return name.rfind("user.", 0) == 0 && name.rfind("user.overlay.", 0) != 0;
}

// Removes everything below a directory, by descriptors.
Status empty_directory(int directory) {
  // fdopendir takes the descriptor over and closedir closes it; the caller's must stay
  // open.
  const int copy = fcntl(directory, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return failed("list a directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy), &closedir);
  if (!stream) return failed("list a directory");
  // The copy shares its position with the original, which may have been read before.
  rewinddir(stream.get());
  while (const dirent* row = readdir(stream.get())) {
    const std::string name = row->d_name;
    if (name == "." || name == "..") continue;
    if (unlinkat(directory, name.c_str(), 0) == 0) continue;
    // Linux says EISDIR here where POSIX allows EPERM; it saves a look at each entry.
    if (errno != EISDIR) return failed("remove " + name);
    const UniqueFd inner(
        openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner) return failed("open " + name);
    MOORED_CHECK(empty_directory(inner.get()));
    if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) < 0) return failed("remove " + name);
  }
  return {};
}

// At an offset, not at the position: content of sparse files comes in pieces with holes.
Status write_all(int fd, std::string_view bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const auto put = pwrite(fd, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write a file of the layer");
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += put;
  }
  return {};
}

// Holes are filled with zeros on the way: such files are small and rare.
Status copy_content(int from, int to) {
  std::vector<char> buffer(256U << 10U);
  std::int64_t offset = 0;
  for (;;) {
    const auto got = pread(from, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read a file of a lower layer");
    if (got == 0) return {};
    MOORED_CHECK(write_all(to, {buffer.data(), static_cast<std::size_t>(got)}, offset));
    offset += got;
  }
}

// Best effort: a file system without attributes has none to lose, and a value above 4096 bytes
// is left out.
void copy_attributes(int from, int to) {
  char names[4096];
  const auto size = flistxattr(from, names, sizeof names);
  for (ssize_t at = 0; at < size;) {
    const std::string name(names + at);
    at += static_cast<ssize_t>(name.size()) + 1;
    char value[4096];
    const auto got = fgetxattr(from, name.c_str(), value, sizeof value);
    if (got >= 0 && keeps_attribute(name)) {
      fsetxattr(to, name.c_str(), value, static_cast<std::size_t>(got), 0);
    }
  }
}

}  // namespace

LayerWriter::LayerWriter(MergedTree& tree, const LayerLimits& limits, bool as_layer)
    : tree_(tree), limits_(limits), as_layer_(as_layer) {}

// Bounded: a hostile layer could otherwise have a warning for each of a million entries.
void LayerWriter::warn(const std::string& text) {
  if (tally_.warnings.size() < kMaxWarnings) tally_.warnings.push_back(text);
}

// Asked before writing, and by subtraction so that a huge size cannot overflow the sum.
Status LayerWriter::count(std::int64_t bytes) {
  if (bytes < 0) return refuse(Code::invalid, "ManifestInvalid", "a file has a negative size");
  if (bytes > limits_.bytes - tally_.bytes) {
    return refuse(
        Code::exhausted, "LayerLimit",
        "the files of the layer are larger than " + std::to_string(limits_.bytes) + " bytes");
  }
  tally_.bytes += bytes;
  return {};
}

// Links in the parents are followed as the merged image has them; the last part never is,
// since an entry replaces a link instead of writing through it.
Result<LayerWriter::Spot> LayerWriter::find_spot(const Path& path) {
  MOORED_TRY(auto resolved, tree_.resolve(path));
  const auto name = resolved.back();
  const Path parent(resolved.begin(), resolved.end() - 1);
  MOORED_TRY(const int directory, tree_.open_directory(parent));
  return Spot{directory, name, std::move(resolved)};
}

Status LayerWriter::add(const LayerEntry& entry, const ContentReader& content) {
  if (++tally_.entries > limits_.entries) {
    return refuse(Code::exhausted, "LayerLimit",
                  "the layer has more than " + std::to_string(limits_.entries) + " entries");
  }
  MOORED_TRY(const auto path, clean_path(entry.name));
  if (path.empty()) {  // the root itself
    return entry.type == LayerEntry::Type::directory ? add_directory(entry, path) : Status();
  }
  const bool whiteout = path.back().rfind(kWhiteout, 0) == 0;
  if (as_layer_ && whiteout) return add_whiteout(path);
  using Type = LayerEntry::Type;
  if (entry.type == Type::directory) return add_directory(entry, path);
  if (entry.type == Type::hardlink) return add_hard_link(entry, path);
  if (entry.type == Type::device) {
    warn("the device " + text_of(path) + " was left out");
    return {};
  }
  MOORED_TRY(auto spot, find_spot(path));
  MOORED_CHECK(clear(spot));
  if (entry.type == Type::file) return add_file(entry, spot, content);
  return add_special(entry, spot);
}

// Makes room for an entry that is not a directory. What lay there in this layer goes.
Status LayerWriter::clear(Spot& spot) {
  struct stat state {};
  if (fstatat(spot.directory, spot.name.c_str(), &state, AT_SYMLINK_NOFOLLOW) < 0) {
    return errno == ENOENT ? Status() : Status(failed("look at " + text_of(spot.path)));
  }
  if (S_ISDIR(state.st_mode)) {
    const UniqueFd inner(
        openat(spot.directory, spot.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner) return failed("open " + text_of(spot.path));
    MOORED_CHECK(empty_directory(inner.get()));
  }
  const int flags = S_ISDIR(state.st_mode) ? AT_REMOVEDIR : 0;
  if (unlinkat(spot.directory, spot.name.c_str(), flags) < 0) {
    return failed("replace " + text_of(spot.path));
  }
  if (S_ISDIR(state.st_mode)) {
    // Descriptors of what is gone must not be used; the one of the parent is asked for again.
    tree_.forget();
    for (auto it = directory_times_.lower_bound(spot.path); it != directory_times_.end();) {
      const bool below = it->first.size() >= spot.path.size() &&
                         std::equal(spot.path.begin(), spot.path.end(), it->first.begin());
      if (!below) break;
      it = directory_times_.erase(it);
    }
    MOORED_TRY(const int again, tree_.open_directory(Path(spot.path.begin(), spot.path.end() - 1)));
    spot.directory = again;
  }
  return {};
}

// OCI layers mark removals by file names; overlayfs marks them by a 0:0 character device
// and by an attribute on the directory. Without lower layers there is nothing to hide.
Status LayerWriter::add_whiteout(const Path& path) {
  const auto& name = path.back();
  const Path parent(path.begin(), path.end() - 1);
  if (name == kOpaque) {
    MOORED_TRY(const auto resolved, tree_.resolve(Path(path)));
    MOORED_TRY(const int fd, tree_.open_directory(Path(resolved.begin(), resolved.end() - 1)));
    if (!tree_.has_lowers()) return {};
    if (fsetxattr(fd, kOpaqueAttribute, "y", 1, 0) < 0) return failed("empty " + text_of(parent));
    return {};
  }
  if (name.rfind(".wh..wh.", 0) == 0) return {};  // notes of another storage, without meaning
  const auto hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return refuse(Code::invalid, "ManifestInvalid",
                  "the layer removes an impossible name: " + name);
  }
  if (!tree_.has_lowers()) return {};
  auto target = parent;
  target.push_back(hidden);
  MOORED_TRY(const auto spot, find_spot(target));
  struct stat state {};
  if (fstatat(spot.directory, hidden.c_str(), &state, AT_SYMLINK_NOFOLLOW) == 0) {
    // Only lower layers are meant, whatever the order: a directory of this layer turns opaque.
    if (!S_ISDIR(state.st_mode)) return {};
    MOORED_TRY(const int fd, tree_.open_directory(spot.path));
    if (fsetxattr(fd, kOpaqueAttribute, "y", 1, 0) < 0) return failed("empty " + text_of(target));
    return {};
  }
  if (mknodat(spot.directory, hidden.c_str(), S_IFCHR, makedev(0, 0)) < 0) {
    return failed("remove " + text_of(target));
  }
  return {};
}

// A directory that is there already is kept with its content and only gets new attributes.
Status LayerWriter::add_directory(const LayerEntry& entry, const Path& path) {
  Path resolved;
  bool removed_before = false;
  if (!path.empty()) {
    MOORED_TRY(auto spot, find_spot(path));
    resolved = spot.path;
    const auto present = tree_.find_upper(resolved);
    removed_before = present && is_whiteout(*present);
    if (present && !S_ISDIR(present->st_mode)) MOORED_CHECK(clear(spot));
  }
  MOORED_TRY(const int fd, tree_.open_directory(resolved));
  // Removed and made again in one layer: what lower layers have in it must not show
  // through.
  if (removed_before && fsetxattr(fd, kOpaqueAttribute, "y", 1, 0) < 0) {
    return failed("empty " + text_of(resolved));
  }
  directory_times_[resolved] = entry.mtime_seconds;
  return set_attributes(entry, fd);
}

// O_EXCL on a spot just cleared: nothing that lies there can be opened or followed by
// mistake.
Status LayerWriter::add_file(const LayerEntry& entry, const Spot& spot,
                             const ContentReader& content) {
  MOORED_CHECK(count(entry.size_bytes));
  const UniqueFd fd(openat(spot.directory, spot.name.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return failed("make " + text_of(spot.path));
  for (;;) {
    MOORED_TRY(const auto piece, content());
    if (piece.bytes.empty()) break;
    const auto end = piece.offset + static_cast<std::int64_t>(piece.bytes.size());
    if (piece.offset < 0 || end > entry.size_bytes) {
      return refuse(Code::invalid, "ManifestInvalid",
                    text_of(spot.path) + " is larger than it says");
    }
    MOORED_CHECK(write_all(fd.get(), piece.bytes, piece.offset));
  }
  // Holes at the end come without a piece; this gives the file its length all the same.
  if (ftruncate(fd.get(), entry.size_bytes) < 0) return failed("size " + text_of(spot.path));
  MOORED_CHECK(set_attributes(entry, fd.get()));
  const timespec times[2] = {clamp_time(entry.mtime_seconds), clamp_time(entry.mtime_seconds)};
  if (futimens(fd.get(), times) < 0) return failed("date " + text_of(spot.path));
  return {};
}

// Owner before mode before attributes: chown clears set-user-id bits and file capabilities.
Status LayerWriter::set_attributes(const LayerEntry& entry, int fd) {
  const auto fits = [](std::int64_t id) { return id >= 0 && id < 0xffffffff; };
  if (!fits(entry.uid) || !fits(entry.gid)) {
    return refuse(Code::invalid, "ManifestInvalid", entry.name + " has an owner out of range");
  }
  // Not a layer: an import's scratch directory, where nothing needs rights of others.
  const mode_t mode = as_layer_ ? entry.mode & 07777U : entry.mode & 0700U;
  if (as_layer_ && fchown(fd, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)) < 0) {
    return failed("give " + entry.name + " its owner");
  }
  if (fchmod(fd, mode | (as_layer_ ? 0U : 0400U)) < 0) return failed("set mode of " + entry.name);
  if (!as_layer_) return {};
  for (const auto& [name, value] : entry.attributes) {
    if (!keeps_attribute(name) || value.size() > kMaxAttributeBytes) continue;
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) < 0) {
      warn("the attribute " + name + " of " + entry.name + " could not be kept");
    }
  }
  return {};
}

// Links and pipes, which are made in one go and have nothing inside.
Status LayerWriter::add_special(const LayerEntry& entry, const Spot& spot) {
  const char* name = spot.name.c_str();
  const bool link = entry.type == LayerEntry::Type::symlink;
  const bool bad = link && (entry.target.empty() || entry.target.size() > 4095);
  if (bad) return refuse(Code::invalid, "ManifestInvalid", text_of(spot.path) + " leads nowhere");
  const int made = link ? symlinkat(entry.target.c_str(), spot.directory, name)
                        : mknodat(spot.directory, name, S_IFIFO | 0600, 0);
  if (made < 0) return failed("make " + text_of(spot.path));
  if (as_layer_ && fchownat(spot.directory, name, static_cast<uid_t>(entry.uid),
                            static_cast<gid_t>(entry.gid), AT_SYMLINK_NOFOLLOW) < 0) {
    return failed("give " + text_of(spot.path) + " its owner");
  }
  if (!link && fchmodat(spot.directory, name, entry.mode & 07777U, 0) < 0) {
    return failed("set mode of " + text_of(spot.path));
  }
  const timespec times[2] = {clamp_time(entry.mtime_seconds), clamp_time(entry.mtime_seconds)};
  if (utimensat(spot.directory, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
    return failed("date " + text_of(spot.path));
  }
  return {};
}

// A copy of a lower layer's file in this layer, so that it can be linked to.
Status LayerWriter::copy_up(const Path& path) {
  int layer = -1;
  const auto below = tree_.find_lower(path, &layer);
  if (!below || !S_ISREG(below->st_mode)) {
    return refuse(Code::invalid, "LayerEscape",
                  "a hard link leads to " + text_of(path) + ", which is not in the image");
  }
  MOORED_CHECK(count(below->st_size));
  const UniqueFd from = open_below(layer, path, O_RDONLY);
  if (!from) return failed("open " + text_of(path) + " of a lower layer");
  MOORED_TRY(const int parent, tree_.open_directory(Path(path.begin(), path.end() - 1)));
  const UniqueFd to(openat(parent, path.back().c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) return failed("copy " + text_of(path));
  MOORED_CHECK(copy_content(from.get(), to.get()));
  if (fchown(to.get(), below->st_uid, below->st_gid) < 0 ||
      fchmod(to.get(), below->st_mode & 07777U) < 0) {
    return failed("copy the owner of " + text_of(path));
  }
  copy_attributes(from.get(), to.get());
  const timespec times[2] = {below->st_atim, below->st_mtim};
  if (futimens(to.get(), times) < 0) return failed("copy the time of " + text_of(path));
  return {};
}

// The target must lie in this layer, as overlayfs cannot link across layers; a file of a
// lower one is copied up first.
Status LayerWriter::add_hard_link(const LayerEntry& entry, const Path& path) {
  MOORED_TRY(const auto clean, clean_path(entry.target));
  if (clean.empty()) {
    return refuse(Code::invalid, "LayerEscape", "a hard link leads to the root");
  }
  MOORED_TRY(const auto target, tree_.resolve(clean));
  const auto present = tree_.find_upper(target);
  const bool hidden = present && (is_whiteout(*present) || S_ISDIR(present->st_mode));
  if (hidden) {
    return refuse(Code::invalid, "LayerEscape",
                  "a hard link leads to " + text_of(target) + ", which is no file of the image");
  }
  MOORED_TRY(const auto resolved, tree_.resolve(path));
  if (resolved == target) return {};  // a link to itself changes nothing
  if (!present) MOORED_CHECK(copy_up(target));
  MOORED_TRY(auto spot, find_spot(path));
  MOORED_CHECK(clear(spot));
  const auto from =
      open_below(tree_.upper(), Path(target.begin(), target.end() - 1), O_RDONLY | O_DIRECTORY);
  if (!from) {
    return refuse(Code::invalid, "ManifestInvalid", text_of(path) + " replaces what it links to");
  }
  if (linkat(from.get(), target.back().c_str(), spot.directory, spot.name.c_str(), 0) < 0) {
    return failed("link " + text_of(path) + " to " + text_of(target));
  }
  return {};
}

// Last, since each entry made changes its directory's time; from the deepest up is not
// needed, because setting a time does not touch the parent.
Status LayerWriter::finish() {
  tree_.forget();
  for (auto it = directory_times_.rbegin(); it != directory_times_.rend(); ++it) {
    const auto fd = open_below(tree_.upper(), it->first, O_RDONLY | O_DIRECTORY);
    if (!fd) continue;  // replaced by a later entry
    const timespec times[2] = {clamp_time(it->second), clamp_time(it->second)};
    if (futimens(fd.get(), times) < 0) return failed("date " + text_of(it->first));
  }
  return {};
}

}  // namespace moored::image
