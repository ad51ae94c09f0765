#include "runtime/watch/root_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "runtime/sys/mount.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::watch {
namespace {

std::int64_t micros(const timespec& time) {
  return time.tv_sec * 1'000'000 + time.tv_nsec / 1000;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Overlay file systems mark what is gone by a device 0:0.
std::string describe(const struct stat& status) {
  if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0)) return "deleted";
  if (S_ISREG(status.st_mode)) return std::to_string(status.st_size) + " bytes, changed";
  if (S_ISLNK(status.st_mode)) return "a link, changed";
  return S_ISDIR(status.st_mode) ? "a directory, changed" : "a special file, changed";
}

class Search {
 public:
  Search(std::int64_t since_micros, std::size_t limit, std::size_t max_entries)
      : since_(since_micros), limit_(limit), max_entries_(max_entries) {}

  // Takes the descriptor over. path: of the directory, without a slash at the end.
  void visit(UniqueFd fd, const std::string& path) {
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
    if (!directory) return;
    const int at = fd.release();  // the directory owns it now
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++seen_ > max_entries_ || found_.size() >= limit_) return;
      judge(at, name, path + "/" + name);
    }
  }

  std::vector<ChangedFile> take() {
    std::sort(found_.begin(), found_.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    return std::move(found_);
  }

 private:
  void judge(int at, const std::string& name, const std::string& path) {
    struct stat status {};
    if (::fstatat(at, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
    const auto before = found_.size();
    if (S_ISDIR(status.st_mode)) {
      constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
      UniqueFd inner(::openat(at, name.c_str(), kFlags));
      if (inner) visit(std::move(inner), path);
    }
    if (found_.size() == before && micros(status.st_ctim) > since_) {
      found_.push_back({path, describe(status)});
    }
  }

  std::int64_t since_;
  std::size_t limit_;
  std::size_t max_entries_;
  std::size_t seen_ = 0;
  std::vector<ChangedFile> found_;
};

FileMark mark_of(const struct stat& status) {
  return {status.st_size, micros(status.st_mtim)};
}

}  // namespace

std::vector<ChangedFile> find_changed_files(const std::string& layer, std::int64_t since_micros,
                                            std::size_t limit, std::size_t max_entries) {
  Search search(since_micros, limit, max_entries);
  UniqueFd top(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (top) search.visit(std::move(top), {});
  return search.take();
}

std::optional<std::int64_t> read_change_time(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return micros(status.st_ctim);
}

FileMark read_mark(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? mark_of(status) : FileMark{};
}

// The container may have put a link in the file's place: it leads nowhere but inside.
std::optional<FileMark> read_mark_inside(int pid, const std::string& path) {
  const std::string root_path = "/proc/" + std::to_string(pid) + "/root";
  const UniqueFd root(::open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return std::nullopt;
  const auto file = sys::open_in_root(root.get(), path, O_PATH);
  struct stat status {};
  if (file && ::fstat(file->get(), &status) == 0) return mark_of(status);
  // Scarce descriptors and a failing disk say nothing of the file; whatever else is in the way
  // hides it.
  if (file || file.error().code == Code::exhausted || file.error().code == Code::unavailable) {
    return std::nullopt;
  }
  return FileMark{};
}

}  // namespace moored::watch
