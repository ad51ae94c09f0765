#include "runtime/image/merged_tree.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace moored::image {
namespace {

// PATH_MAX and NAME_MAX of Linux; the depth keeps recursion and the walk bounded.
constexpr std::size_t kMaxNameBytes = 4096;
constexpr std::size_t kMaxPartBytes = 255;
constexpr std::size_t kMaxDepth = 256;
// Directories kept open; neighbours in an archive usually share theirs.
constexpr std::size_t kMaxOpen = 64;

Unexpected refuse(Code code, const char* reason, const std::string& what) {
  return Unexpected(Error{code, what, reason, {}, {}});
}

std::string join(const Path& path) {
  std::string out;
  for (const auto& part : path)
    out += '/' + part;
  return out.empty() ? "/" : out;
}

// The last part, looked at without following it. Nothing: it does not exist.
std::optional<struct stat> look(int root, const Path& path) {
  struct stat state {};
  if (path.empty()) {
    return fstat(root, &state) == 0 ? std::optional(state) : std::nullopt;
  }
  const auto parent = open_below(root, Path(path.begin(), path.end() - 1), O_PATH | O_DIRECTORY);
  if (!parent) return std::nullopt;
  const bool found = fstatat(parent.get(), path.back().c_str(), &state, AT_SYMLINK_NOFOLLOW) == 0;
  return found ? std::optional(state) : std::nullopt;
}

// Empty for a link that is gone meanwhile: nobody else writes here, so it is only caution.
std::string read_link(int root, const Path& path) {
  const auto parent = open_below(root, Path(path.begin(), path.end() - 1), O_PATH | O_DIRECTORY);
  char target[PATH_MAX];
  const auto size = readlinkat(parent.get(), path.back().c_str(), target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
}

// Puts the parts of a link's target in front of what is still to be walked.
void prepend(const std::string& target, Path& rest) {
  Path parts;
  std::string part;
  for (const char c : target + '/') {
    if (c != '/') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::move(part));
      part.clear();
    }
  }
  rest.insert(rest.begin(), parts.begin(), parts.end());
}

}  // namespace

// The kernel refuses to leave root by "..", by links or by /proc magic; no check of ours
// could be raced this way. Invalid on failure, with errno set.
UniqueFd open_below(int root, const Path& path, int flags) {
  std::string text;
  for (const auto& part : path)
    text += (text.empty() ? "" : "/") + part;
  if (text.empty()) text = ".";
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, root, text.c_str(), &how, sizeof how)));
}

// Source: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
bool is_whiteout(const struct stat& state) {
  return S_ISCHR(state.st_mode) && state.st_rdev == makedev(0, 0);
}

// A "trusted." attribute needs CAP_SYS_ADMIN, so a layer's own content cannot forge it.
bool is_opaque(int directory) {
  char value = 0;
  return fgetxattr(directory, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

// Leading slashes and dots carry no meaning in a layer; ".." is refused, not resolved.
Result<Path> clean_path(std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    return refuse(Code::exhausted, "LayerLimit", "a name of the layer is longer than 4096 bytes");
  }
  Path path;
  while (!name.empty()) {
    const auto slash = name.find('/');
    const auto part = name.substr(0, slash);
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return refuse(Code::invalid, "LayerEscape", "a name of the layer climbs out with \"..\"");
    }
    if (part.size() > kMaxPartBytes || path.size() == kMaxDepth) {
      return refuse(Code::exhausted, "LayerLimit", "a name of the layer is too long or too deep");
    }
    path.emplace_back(part);
  }
  return path;
}

MergedTree::MergedTree(int upper, std::vector<int> lowers)
    : upper_(upper), lowers_(std::move(lowers)) {}

std::optional<struct stat> MergedTree::find_upper(const Path& path) {
  return look(upper_, path);
}

// Topmost first. The first layer that has the path, or hides it, decides.
std::optional<struct stat> MergedTree::find_lower(const Path& path, int* layer) {
  for (const int lower : lowers_) {
    if (const auto state = look(lower, path)) {
      if (is_whiteout(*state)) return std::nullopt;
      if (layer != nullptr) *layer = lower;
      return state;
    }
    // A layer that replaces or empties one of the parents hides what is below it.
    for (std::size_t depth = path.size(); depth-- > 0;) {
      const Path parent(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(depth));
      const auto state = look(lower, parent);
      if (!state) continue;
      if (!S_ISDIR(state->st_mode)) return std::nullopt;
      const auto directory = open_below(lower, parent, O_RDONLY | O_DIRECTORY);
      if (directory && is_opaque(directory.get())) return std::nullopt;
    }
  }
  return std::nullopt;
}

// A whiteout in the upper layer ends the search: lower layers do not show through it.
std::optional<struct stat> MergedTree::find(const Path& path, std::string* link) {
  int layer = upper_;
  auto state = find_upper(path);
  if (state && is_whiteout(*state)) return std::nullopt;
  if (!state) state = find_lower(path, &layer);
  if (state && S_ISLNK(state->st_mode)) *link = read_link(layer, path);
  return state;
}

// Walks the links by itself, since no single directory on disk looks like the merged image.
// Absolute targets start at the image's root.
Result<Path> MergedTree::resolve(const Path& path) {
  Path done;
  Path rest = path;
  int hops = 0;
  while (!rest.empty()) {
    const auto part = rest.front();
    rest.erase(rest.begin());
    if (part == ".") continue;
    if (part == "..") {  // only out of a link's target; the root is its own parent
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(part);
    // What is held open has been found to be a directory before; the last part is not
    // followed.
    if (rest.empty() || open_.count(done) != 0) continue;
    std::string target;
    const auto state = find(done, &target);
    if (!state || S_ISDIR(state->st_mode)) continue;
    if (!S_ISLNK(state->st_mode)) {
      return refuse(Code::invalid, "ManifestInvalid",
                    "the layer puts a name below the file " + join(done));
    }
    if (++hops > kMaxLinkHops) {
      return refuse(Code::invalid, "ManifestInvalid", "the links of " + join(path) + " never end");
    }
    done.pop_back();
    if (!target.empty() && target.front() == '/') done.clear();
    prepend(target, rest);
  }
  return done;
}

Result<int> MergedTree::open_directory(const Path& path) {
  if (path.empty()) return upper_;
  if (const auto found = open_.find(path); found != open_.end()) return found->second.get();
  const Path parent_path(path.begin(), path.end() - 1);
  MOORED_TRY(const int parent, open_directory(parent_path));
  const char* name = path.back().c_str();
  const auto present = find_upper(path);
  if (present && is_whiteout(*present)) {
    return refuse(Code::invalid, "ManifestInvalid",
                  "the layer removes " + join(path) + " and puts something into it");
  }
  if (!present) {
    if (mkdirat(parent, name, 0755) < 0) {
      return Unexpected(system_error("make " + join(path), errno));
    }
  }
  UniqueFd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Unexpected(system_error("open " + join(path), errno));
  if (!present) {
    const auto below = find_lower(path);
    // A parent that only lower layers have appears here as they have it: in an overlay the
    // upper directory's owner and mode win.
    const bool known = below && S_ISDIR(below->st_mode);
    if (fchown(fd.get(), known ? below->st_uid : 0, known ? below->st_gid : 0) < 0 ||
        fchmod(fd.get(), known ? below->st_mode & 07777U : 0755U) < 0) {
      return Unexpected(system_error("set the owner of " + join(path), errno));
    }
  }
  // All at once: parents are opened again on demand, and the cost is small next to
  // unpacking.
  if (open_.size() >= kMaxOpen) open_.clear();
  return open_.emplace(path, std::move(fd)).first->second.get();
}

}  // namespace moored::image
