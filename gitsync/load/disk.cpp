// A directory on disk as a set of manifests, for validate and plan --path.
#include "gitsync/load/disk.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "gitsync/load/loader.hpp"
#include "gitsync/repo/names.hpp"
#include "gitsync/repo/tree.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::git {
namespace {

namespace fs = std::filesystem;

// Walks one directory tree; what it finds is relative to its root.
class DiskWalk {
 public:
  explicit DiskWalk(fs::path root) : root_(std::move(root)) {}

  // Names come sorted, so the order of objects does not depend on the file system.
  Status walk(const std::string& prefix, std::size_t depth) {
    if (depth > kMaxTreeDepth) {
      set_.diagnostics.add_error(Error{Code::exhausted, "the directory is too deep", "TreeLimit",
                                       Place{show_text(prefix), 0, 0, {}}, {}});
      return {};
    }
    MOORED_TRY(const auto names, list_directory((root_ / prefix).string()));
    for (const auto& name : names) {
      if (name.front() == '.' || set_.files.size() > kMaxManifestFiles) continue;
      MOORED_CHECK(take(prefix + name, name, depth));
    }
    return {};
  }

  // The walk stopped one past the limit, which tells it from exactly the limit.
  ManifestSet finish() {
    if (set_.files.size() > kMaxManifestFiles) {
      set_.diagnostics.add_error(Error{Code::exhausted, "more than 20,000 manifests", "TreeLimit",
                                       {}, {}});
    }
    return std::move(set_);
  }

 private:
  Status take(const std::string& path, const std::string& name, std::size_t depth) {
    // Links are seen as links; a directory link is never entered.
    struct stat status {};
    if (lstat((root_ / path).c_str(), &status) != 0) {
      return Unexpected(system_error("look at " + show_text(path), errno));
    }
    if (S_ISDIR(status.st_mode)) return walk(path + '/', depth + 1);
    if (is_kustomization_name(name)) {
      set_.kustomizations.push_back(path);
    } else if (is_manifest_name(name)) {
      if (S_ISLNK(status.st_mode) && !leads_inside(path)) return {};
      set_.files.push_back({path, path});
    }
    return {};
  }

  // A link counts when it ends at a regular file below the root.
  bool leads_inside(const std::string& path) {
    std::error_code failure;
    const fs::path target = fs::canonical(root_ / path, failure);
    const fs::path base = failure ? fs::path() : fs::canonical(root_, failure);
    const auto [end, rest] = std::mismatch(base.begin(), base.end(), target.begin(), target.end());
    const bool inside = !failure && end == base.end() && rest != target.end();
    if (inside && fs::is_regular_file(target, failure)) return true;
    set_.diagnostics.add_error(Error{Code::invalid, "the link leads to no file of the directory",
                                     "SymlinkRefused", Place{show_text(path), 0, 0, {}},
                                     "link to a file inside the directory"});
    return false;
  }

  fs::path root_;
  ManifestSet set_;
};

}  // namespace

Result<ManifestSet> list_directory_manifests(const std::string& directory) {
  DiskWalk walk(directory);
  MOORED_CHECK(walk.walk({}, 0));
  ManifestSet set = walk.finish();
  DirectoryReader reader(directory);
  for (auto& file : set.files) {
    MOORED_TRY(const std::size_t size, reader.read_size(file));
    if (size > kMaxManifestBytes) continue;  // the loader says so; its content is never read
    MOORED_TRY(const std::string text, reader.read(file));
    file.id = sha256_hex(text);
  }
  return set;
}

// Follows the link that the listing has judged.
Result<std::size_t> DirectoryReader::read_size(const ManifestFile& file) {
  struct stat status {};
  if (stat((directory_ + '/' + file.path).c_str(), &status) != 0) {
    return Unexpected(system_error("look at " + show_text(file.path), errno));
  }
  return static_cast<std::size_t>(status.st_size);
}

// The limit holds again here: the file may have grown since it was listed.
Result<std::string> DirectoryReader::read(const ManifestFile& file) {
  return read_file(directory_ + '/' + file.path, kMaxManifestBytes);
}

}  // namespace moored::git
