#include "schema/host/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace moored {
namespace {

// Deeper directories are first moved up to the top of the tree, so that descriptors and stack
// stay bounded whatever a container has built.
constexpr int kMaxOpenDepth = 32;

Unexpected failed(const char* verb, const std::string& path) {
  return Unexpected(system_error(std::string(verb) + " " + path, errno));
}

// Directory and last component; "." stands for a path without a slash.
std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

// Reads to the end and does not ask for the size first: files of /proc and cgroups say 0.
Result<std::string> read_descriptor(int fd, const std::string& path, std::size_t limit) {
  std::string content;
  std::array<char, 16384> chunk{};
  for (;;) {
    const auto got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path);
    if (got == 0) return content;
    if (content.size() + static_cast<std::size_t>(got) > limit) {
      return fail(Code::exhausted,
                  "read " + path + ": longer than " + std::to_string(limit) + " bytes");
    }
    content.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

Status write_all(int fd, const std::string& path, std::string_view content) {
  // An empty text is one write too: that is what files of the kernel expect.
  do {
    const auto put = ::write(fd, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write", path);
    content.remove_prefix(static_cast<std::size_t>(put));
  } while (!content.empty());
  return {};
}

// The bytes must be on the disk before the rename is, otherwise a crash leaves an empty file under
// the final name. fchmod because the umask has cut the mode of openat.
Status write_and_sync(int directory, const std::string& temporary, const std::string& path,
                      std::string_view content, unsigned mode) {
  const UniqueFd fd(::openat(directory, temporary.c_str(),
                             O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return failed("create", path);
  if (::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0) return failed("chmod", path);
  MOORED_CHECK(write_all(fd.get(), path, content));
  if (::fdatasync(fd.get()) != 0) return failed("sync", path);
  return {};
}

// closedir also closes the descriptor that fdopendir was given.
struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The names in an open directory, without . and .., in the order of the file system.
Result<std::vector<std::string>> read_names(int directory, const std::string& path) {
  UniqueFd copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return failed("open", path);
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(copy.get()));
  if (!stream) return failed("list", path);
  copy.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return failed("list", path);
  return names;
}

// The device number does not do: a bind mount has that of its source. AT_NO_AUTOMOUNT, because
// looking must not mount anything.
Result<std::uint64_t> read_mount_id(int fd, const char* name, int flags, const std::string& path) {
  struct statx status {};
  if (::statx(fd, name, flags | AT_NO_AUTOMOUNT, STATX_MNT_ID, &status) != 0) {
    return failed("look at", path);
  }
  return static_cast<std::uint64_t>(status.stx_mnt_id);
}

// Empties directories of one mount, top down, through descriptors only.
class TreeRemover {
 public:
  TreeRemover(int top, std::uint64_t mount_id) : top_(top), mount_id_(mount_id) {}

  Status empty(int directory, const std::string& path, int depth) {
    // Moving deep directories up adds names to the top, hence a second look until it is empty.
    for (;;) {
      MOORED_TRY(const auto names, read_names(directory, path));
      if (names.empty()) return {};
      for (const auto& name : names)
        MOORED_CHECK(remove_entry(directory, name, path, depth));
      if (depth > 0) return {};
    }
  }

 private:
  // Tries unlink first and lets the kernel say that it is a directory: a check beforehand could be
  // outrun by whoever still writes there. Symbolic links are removed and never followed.
  Status remove_entry(int directory, const std::string& name, const std::string& parent,
                      int depth) {
    const std::string path = parent + "/" + name;
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return failed("remove", path);
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    const UniqueFd child(
        ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child) return failed("open", path);
    MOORED_TRY(const auto mount, read_mount_id(child.get(), "", AT_EMPTY_PATH, path));
    if (mount != mount_id_) return fail(Code::conflict, "remove " + path + ": a mount is inside");
    if (depth >= kMaxOpenDepth) return move_up(directory, name, path);
    MOORED_CHECK(empty(child.get(), path, depth + 1));
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return failed("remove", path);
    }
    return {};
  }

  // The number never repeats within one removal; a rename inside one mount moves no bytes.
  Status move_up(int directory, const std::string& name, const std::string& path) {
    const std::string up = ".moored-deep-" + std::to_string(moved_++);
    if (::renameat(directory, name.c_str(), top_, up.c_str()) != 0) return failed("move", path);
    return {};
  }

  int top_;
  std::uint64_t mount_id_;
  std::uint64_t moved_ = 0;
};

}  // namespace

// O_NOCTTY: opening a terminal must not make it the daemon's controlling one.
Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
  if (!fd) return failed("open", path);
  return read_descriptor(fd.get(), path, limit);
}

Result<std::string> read_file_at(int directory, const std::string& name, std::size_t limit) {
  // O_NONBLOCK: a FIFO in this place must not hold the caller.
  const UniqueFd fd(
      ::openat(directory, name.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return failed("open", name);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return failed("look at", name);
  if (!S_ISREG(status.st_mode)) return fail(Code::invalid, "open " + name + ": not a regular file");
  return read_descriptor(fd.get(), name, limit);
}

// New name, sync, rename, sync of the directory: readers see the old content or the new one, also
// after a power cut. The temporary's name is fixed, so a crash leaves one file at most.
Status write_file_durably(const std::string& path, std::string_view content, unsigned mode) {
  const auto parts = split_path(path);
  const std::string temporary = "." + parts.second + ".tmp";
  const UniqueFd directory(::open(parts.first.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return failed("open", parts.first);
  auto written = write_and_sync(directory.get(), temporary, path, content, mode);
  if (written &&
      ::renameat(directory.get(), temporary.c_str(), directory.get(), parts.second.c_str()) != 0) {
    written = failed("rename", path);
  }
  if (!written) {
    ::unlinkat(directory.get(), temporary.c_str(), 0);
    return written;
  }
  if (::fsync(directory.get()) != 0) return failed("sync", parts.first);
  return {};
}

// In place, for files of the kernel and for marks whose loss does no harm.
Status write_file(const std::string& path, std::string_view content, bool create, unsigned mode) {
  const int flags = O_WRONLY | O_TRUNC | O_CLOEXEC | (create ? O_CREAT : 0);
  const UniqueFd fd(::open(path.c_str(), flags, mode));
  if (!fd) return failed("open", path);
  return write_all(fd.get(), path, content);
}

// From the last part upwards, as nearly always only that one is missing. EEXIST is judged at the
// end only: a part may be a symbolic link to a directory, which mkdir cannot tell from a file.
Status make_directories(const std::string& path, unsigned mode) {
  if (path.empty()) return fail(Code::invalid, "make directory: empty path");
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) return {};
  if (errno == ENOENT) {
    const auto end = path.find_last_not_of('/');
    const auto slash = end == std::string::npos ? end : path.find_last_of('/', end);
    if (slash == std::string::npos || slash == 0) return failed("make directory", path);
    MOORED_CHECK(make_directories(path.substr(0, slash), mode));
    if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) return {};
  }
  if (errno != EEXIST) return failed("make directory", path);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return failed("look at", path);
  if (!S_ISDIR(status.st_mode)) {
    errno = ENOTDIR;
    return failed("make directory", path);
  }
  return {};
}

// What is not there is removed already, so that a teardown can be repeated. Mounts are refused:
// emptying one would delete the volume of somebody who still uses it.
Status remove_tree(const std::string& path) {
  const auto parts = split_path(path);
  const UniqueFd parent(::open(parts.first.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent && errno == ENOENT) return {};
  if (!parent) return failed("open", parts.first);
  const char* name = parts.second.c_str();
  if (::unlinkat(parent.get(), name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return failed("remove", path);
  const UniqueFd top(::openat(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return failed("open", path);
  MOORED_TRY(const auto outside, read_mount_id(parent.get(), "", AT_EMPTY_PATH, path));
  MOORED_TRY(const auto inside, read_mount_id(top.get(), "", AT_EMPTY_PATH, path));
  if (outside != inside) return fail(Code::conflict, "remove " + path + ": it is a mount");
  TreeRemover remover(top.get(), inside);
  MOORED_CHECK(remover.empty(top.get(), path, 0));
  if (::unlinkat(parent.get(), name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return failed("remove", path);
  }
  return {};
}

// lstat: a dangling symbolic link occupies its name as well.
bool path_exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return failed("open", path);
  MOORED_TRY(auto names, read_names(directory.get(), path));
  std::sort(names.begin(), names.end());
  return names;
}

// flock goes with the open file and ends with the process, however it ends; locks of fcntl would be
// lost as soon as anybody in the process closes the same file.
Result<UniqueFd> lock_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return failed("open", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(Code::conflict, "lock " + path + ": held by another");
    return failed("lock", path);
  }
  return fd;
}

}  // namespace moored
