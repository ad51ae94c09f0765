#include "runtime/agent/atomic_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <set>

#include "schema/host/file.hpp"

namespace moored::agent {
namespace {

// The names that programs watching Kubernetes volumes know; a rename over the link is the
// swap.
constexpr const char* kLink = "..data";
constexpr const char* kNextLink = "..data_tmp";
constexpr int kMaxNames = 1000;  // tries to find a free name for the new directory

// What of a path is visible at the top of the volume.
std::string first_part(const std::string& path) { return path.substr(0, path.find('/')); }

// The modes that files and directories get: a group may read what it owns.
struct Ownership {
  std::optional<std::uint32_t> group;

  unsigned file_mode(unsigned mode) const { return group ? mode | 0440U : mode; }
  unsigned directory_mode() const { return group ? 02775U : 0755U; }
};

// The target of a link; empty when it is none.
std::string read_link(int directory, const char* name) {
  std::array<char, 4096> target;
  const ssize_t length = ::readlinkat(directory, name, target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

// Collects the plain files below a directory with content and mode; links and others count too.
Status read_files(const std::string& path, const std::string& prefix,
                  std::vector<VolumeFile>& files) {
  MOORED_TRY(const auto names, list_directory(path));
  for (const auto& name : names) {
    struct stat status {};
    const std::string full = path + "/" + name;
    if (::lstat(full.c_str(), &status) != 0) return Unexpected(system_error("read volume", errno));
    if (S_ISDIR(status.st_mode)) {
      MOORED_CHECK(read_files(full, prefix + name + "/", files));
      continue;
    }
    MOORED_TRY(auto content, read_file(full));
    files.push_back({prefix + name, std::move(content), status.st_mode & 07777U});
  }
  return {};
}

// True when the directory behind ..data holds just these files.
bool is_current(const std::string& directory, const std::string& target,
                std::vector<VolumeFile> wanted, const Ownership& owner) {
  if (target.empty() || target.find('/') != std::string::npos) return false;
  std::vector<VolumeFile> present;
  if (!read_files(directory + "/" + target, "", present)) return false;
  // Compared as they would lie on disk, so that a changed group alone also counts as a
  // change.
  for (auto& file : wanted) file.mode = owner.file_mode(file.mode);
  const auto by_path = [](const VolumeFile& a, const VolumeFile& b) { return a.path < b.path; };
  std::sort(present.begin(), present.end(), by_path);
  std::sort(wanted.begin(), wanted.end(), by_path);
  return present == wanted;
}

// The number at the end of a dated name; 0 when there is none.
std::int64_t get_number(const std::string& name) {
  const auto dot = name.rfind('.');
  if (dot == std::string::npos || dot + 1 >= name.size() || name.size() - dot > 18) return 0;
  std::int64_t number = 0;
  for (const char c : name.substr(dot + 1)) {
    if (c < '0' || c > '9') return 0;
    number = number * 10 + (c - '0');
  }
  return number;
}

// ..2026_01_02_03_04_05.<number>, made anew below the volume. The number is above the one before,
// so that a reader who still holds the old name never meets new files under it.
Result<std::string> make_dated_directory(int root, const Ownership& owner, Time stamp,
                                         const std::string& before) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(stamp).time_since_epoch().count();
  const std::time_t whole = seconds;
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  std::array<char, 64> text;
  const auto length = std::strftime(text.data(), text.size(), "..%Y_%m_%d_%H_%M_%S.", &parts);
  const std::string start(text.data(), length);
  const std::int64_t micros = stamp.time_since_epoch().count() % 1'000'000;
  // Microseconds make names of one second differ; the step past the one before keeps them
  // rising.
  const std::int64_t base = std::max(micros, get_number(before) + 1);
  for (int number = 0; number < kMaxNames; ++number) {
    const std::string name = start + std::to_string(base + number);
    if (::mkdirat(root, name.c_str(), 0755) == 0) {
      const auto mode = owner.directory_mode();
      if (owner.group && ::fchownat(root, name.c_str(), 0, *owner.group, 0) != 0) {
        return Unexpected(system_error("give volume to its group", errno));
      }
      if (::fchmodat(root, name.c_str(), mode, 0) != 0) {
        return Unexpected(system_error("set mode of volume", errno));
      }
      return name;
    }
    if (errno != EEXIST) return Unexpected(system_error("make volume directory", errno));
  }
  return fail(Code::exhausted, "no free name for a new version of the volume");
}

// Opens the directory that a file goes into, making missing ones.
Result<UniqueFd> open_parent(int top, const std::string& path, const Ownership& owner) {
  UniqueFd at(::fcntl(top, F_DUPFD_CLOEXEC, 0));
  std::size_t start = 0;
  for (auto end = path.find('/'); end != std::string::npos; end = path.find('/', start)) {
    const std::string part = path.substr(start, end - start);
    if (::mkdirat(at.get(), part.c_str(), 0755) == 0) {
      if (owner.group) {
        if (::fchownat(at.get(), part.c_str(), 0, *owner.group, AT_SYMLINK_NOFOLLOW) != 0) {
          return Unexpected(system_error("give volume to its group", errno));
        }
        ::fchmodat(at.get(), part.c_str(), owner.directory_mode(), 0);
      }
    } else if (errno != EEXIST) {
      return Unexpected(system_error("make volume directory", errno));
    }
    // By descriptors and without links: a part can never lead out of the new version.
    at.reset(::openat(at.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!at) return Unexpected(system_error("open volume directory", errno));
    start = end + 1;
  }
  return at;
}

// Writes one file of the new version. Nobody sees it yet, so it needs no rename of its own.
Status write_one(int top, const VolumeFile& file, const Ownership& owner) {
  MOORED_TRY(const UniqueFd parent, open_parent(top, file.path, owner));
  const std::string name = file.path.substr(file.path.rfind('/') + 1);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  const UniqueFd fd(::openat(parent.get(), name.c_str(), kFlags, 0600));
  if (!fd) return Unexpected(system_error("write volume file " + file.path, errno));
  std::string_view rest = file.content;
  while (!rest.empty()) {
    const ssize_t put = ::write(fd.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Unexpected(system_error("write volume file " + file.path, errno));
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  if (owner.group && ::fchown(fd.get(), 0, *owner.group) != 0) {
    return Unexpected(system_error("give volume to its group", errno));
  }
  if (::fchmod(fd.get(), owner.file_mode(file.mode)) != 0) {
    return Unexpected(system_error("set mode of volume file", errno));
  }
  return {};
}

// Makes the visible links that are missing and removes those whose file is gone.
Status fix_links(int root, const std::string& directory, const std::vector<VolumeFile>& files) {
  std::set<std::string> wanted;
  for (const auto& file : files) wanted.insert(first_part(file.path));
  MOORED_TRY(const auto names, list_directory(directory));
  const std::set<std::string> present(names.begin(), names.end());
  for (const auto& name : wanted) {
    if (present.count(name) != 0) continue;
    const std::string target = std::string(kLink) + "/" + name;
    if (::symlinkat(target.c_str(), root, name.c_str()) != 0 && errno != EEXIST) {
      return Unexpected(system_error("link volume file", errno));
    }
  }
  for (const auto& name : names) {
    // What is no link is where another volume is mounted.
    const bool ours = name.rfind("..", 0) == 0 || read_link(root, name.c_str()).empty();
    if (!ours && wanted.count(name) == 0) ::unlinkat(root, name.c_str(), 0);
  }
  return {};
}

// Takes away versions that ..data does not name, the leavings of crashes included.
void remove_old(const std::string& directory, const std::string& current) {
  const auto names = list_directory(directory);
  if (!names) return;
  for (const auto& name : *names) {
    const bool dated = name.rfind("..2", 0) == 0;
    // What stays behind is only garbage: the next write tries again.
    if (dated && name != current) (void)remove_tree(directory + "/" + name);
  }
}

}  // namespace

Result<bool> write_volume(const std::string& directory, const std::vector<VolumeFile>& files,
                          std::optional<std::uint32_t> group, Time stamp) {
  const Ownership owner{group};
  MOORED_CHECK(make_directories(directory, 0755));
  const UniqueFd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!root) return Unexpected(system_error("open volume", errno));
  if (group && ::fchown(root.get(), 0, *group) != 0) {
    return Unexpected(system_error("give volume to its group", errno));
  }
  if (::fchmod(root.get(), owner.directory_mode()) != 0) {
    return Unexpected(system_error("set mode of volume", errno));
  }
  // Writing what is there already would wake every program that watches the volume.
  const std::string before = read_link(root.get(), kLink);
  if (is_current(directory, before, files, owner)) {
    MOORED_CHECK(fix_links(root.get(), directory, files));
    remove_old(directory, before);
    return false;
  }
  MOORED_TRY(const std::string next, make_dated_directory(root.get(), owner, stamp, before));
  const UniqueFd top(::openat(root.get(), next.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return Unexpected(system_error("open volume", errno));
  for (const auto& file : files) MOORED_CHECK(write_one(top.get(), file, owner));
  // A crash between making this link and renaming it leaves it behind.
  if (::unlinkat(root.get(), kNextLink, 0) != 0 && errno != ENOENT) {
    return Unexpected(system_error("swap volume", errno));
  }
  // rename replaces atomically: a reader sees all files of one version, never a mixture.
  if (::symlinkat(next.c_str(), root.get(), kNextLink) != 0 ||
      ::renameat(root.get(), kNextLink, root.get(), kLink) != 0) {
    return Unexpected(system_error("swap volume", errno));
  }
  MOORED_CHECK(fix_links(root.get(), directory, files));
  remove_old(directory, next);
  return true;
}

}  // namespace moored::agent
