#include "runtime/agent/volumes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/agent/atomic_writer.hpp"
#include "runtime/agent/environment.hpp"
#include "runtime/agent/nested_mounts.hpp"
#include "runtime/agent/resources.hpp"
#include "runtime/agent/volume_files.hpp"
#include "schema/host/file.hpp"

namespace moored::agent {
namespace {

constexpr int kMaxDepth = 256;  // of a tree that is given to a group

// The words of the FailedMount event.
Unexpected mount_failure(const std::string& volume, Code code, const std::string& why) {
  const std::string start = "MountVolume.SetUp failed for volume \"" + volume + "\" : ";
  return Unexpected(fail(code, start + why).take().because("FailedMount"));
}

// Words a failure of the system as a failed mount.
Status as_mount_failure(const std::string& volume, Status status) {
  if (status) return status;
  return mount_failure(volume, status.error().code, status.error().message);
}

std::optional<std::uint32_t> get_group(const Pod& pod) {
  if (!pod.spec.security_context || !pod.spec.security_context->fs_group) return std::nullopt;
  return static_cast<std::uint32_t>(*pod.spec.security_context->fs_group);
}

// True when something is mounted on the directory itself: it lies on another file system than its
// parent. The state directory may be a tmpfs too, so the type alone says nothing.
bool is_mount_point(const std::string& path) {
  struct stat own {};
  struct stat parent {};
  return ::lstat(path.c_str(), &own) == 0 && ::lstat((path + "/..").c_str(), &parent) == 0 &&
         own.st_dev != parent.st_dev;
}

std::string make_tmpfs_options(const Pod& pod, const EmptyDirVolume& volume) {
  std::optional<std::int64_t> size = make_pod_limits(pod.spec).memory_limit_bytes;
  if (volume.size_limit && volume.size_limit->value() > 0) {
    const std::int64_t own = volume.size_limit->bytes().value;
    size = size ? std::min(*size, own) : own;
  }
  return size ? "mode=0777,size=" + std::to_string(*size) : "mode=0777,size=50%";
}

// Only a real directory: a link in its place is an error.
UniqueFd open_directory(int parent, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  return UniqueFd(::openat(parent, name, kFlags));
}

// Changes owner and mode of everything below a directory, never through a link.
Status give_below(int directory, std::uint32_t group, int depth) {
  if (depth > kMaxDepth) return fail(Code::exhausted, "volume is deeper than 256 directories");
  const int copy = ::fcntl(directory, F_DUPFD_CLOEXEC, 0);
  DIR* stream = copy >= 0 ? ::fdopendir(copy) : nullptr;
  if (stream == nullptr) return Unexpected(system_error("read volume", errno));
  Status result;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    ::fchownat(directory, name.c_str(), static_cast<uid_t>(-1), group, AT_SYMLINK_NOFOLLOW);
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
    // The mode is changed by descriptor: the name may be a link by now.
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const UniqueFd below(::openat(directory, name.c_str(), kFlags));
    if (!below || ::fstat(below.get(), &status) != 0) continue;
    const unsigned add = S_ISDIR(status.st_mode) ? 02770U : 0660U;
    ::fchmod(below.get(), (status.st_mode & 07777U) | add);
    if (S_ISDIR(status.st_mode)) result = give_below(below.get(), group, depth + 1);
    if (!result) break;
  }
  ::closedir(stream);
  return result;
}

// Adds up the blocks of everything below a directory, in bytes, never through a link. A directory
// that goes away meanwhile counts as empty.
std::int64_t measure_below(int directory, int depth) {
  const int copy = depth > kMaxDepth ? -1 : ::fcntl(directory, F_DUPFD_CLOEXEC, 0);
  DIR* stream = copy >= 0 ? ::fdopendir(copy) : nullptr;
  if (stream == nullptr) return 0;
  std::int64_t total = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    struct stat status {};
    if (name == "." || name == "..") continue;
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    total += static_cast<std::int64_t>(status.st_blocks) * 512;
    if (!S_ISDIR(status.st_mode)) continue;
    const UniqueFd below = open_directory(directory, name.c_str());
    if (below) total += measure_below(below.get(), depth + 1);
  }
  ::closedir(stream);
  return total;
}

struct HostPathRule {
  std::string_view type;
  unsigned kind;         // S_IFMT bits; 0: anything
  bool create;
  std::string_view word;
};

// What a hostPath type asks for, or nullptr.
const HostPathRule* find_rule(const std::string& type) {
  static constexpr HostPathRule kRules[] = {
      {"", 0, false, ""},
      {"DirectoryOrCreate", S_IFDIR, true, "a directory"},
      {"Directory", S_IFDIR, false, "a directory"},
      {"FileOrCreate", S_IFREG, true, "a file"},
      {"File", S_IFREG, false, "a file"},
      {"Socket", S_IFSOCK, false, "a socket file"},
      {"CharDevice", S_IFCHR, false, "a character device"},
      {"BlockDevice", S_IFBLK, false, "a block device"},
  };
  for (const auto& rule : kRules) {
    if (rule.type == type) return &rule;
  }
  return nullptr;
}

}  // namespace

VolumeStore::VolumeStore(std::string state_dir, std::string run_dir)
    : state_dir_(std::move(state_dir)), run_dir_(std::move(run_dir)) {}

std::string VolumeStore::get_pod_directory(const std::string& uid) const {
  return state_dir_ + "/pods/" + uid;
}

// Secrets stay in memory, below run-dir; everything else lies below state-dir.
std::string VolumeStore::get_place(const Pod& pod, const Volume& volume) const {
  if (volume.host_path) return volume.host_path->path;
  const std::string& uid = pod.metadata.uid;
  if (is_secret_volume(volume)) return run_dir_ + "/volumes/" + uid + "/" + volume.name;
  return get_pod_directory(uid) + "/volumes/" + volume.name;
}

VolumePlaces VolumeStore::get_places(const Pod& pod) const {
  VolumePlaces places;
  for (const auto& volume : pod.spec.volumes) places[volume.name] = get_place(pod, volume);
  return places;
}

// World-writable as in Kubernetes; the pod's directories above it are not.
Status VolumeStore::make_empty_dir(const Pod& pod, const Volume& volume,
                                   const std::string& place) const {
  const bool existed = path_exists(place);
  MOORED_CHECK(make_directories(place, 0755));
  const bool memory = volume.empty_dir->medium == "Memory";
  if (memory && !is_mount_point(place)) {
    const std::string options = make_tmpfs_options(pod, *volume.empty_dir);
    if (::mount("tmpfs", place.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
      return Unexpected(system_error("mount tmpfs", errno));
    }
  } else if (existed) {
    return {};  // made by an earlier try: what containers changed stays theirs
  }
  if (::chmod(place.c_str(), 0777) != 0) return Unexpected(system_error("set mode", errno));
  const auto group = get_group(pod);
  return group ? give_to_group(place, *group) : Status{};
}

// True when a file and no directory is to be mounted.
bool VolumeStore::mounts_file(const Pod& pod, const VolumeMount& mount) const {
  for (const auto& volume : pod.spec.volumes) {
    if (volume.name != mount.name) continue;
    struct stat status {};
    const auto path = get_place(pod, volume) + (mount.sub_path.empty() ? "" : "/" + mount.sub_path);
    const bool known = volume.host_path || is_written_volume(volume);
    return known && ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
  }
  return false;
}

// A volume that containers cannot write to must have the places where others are mounted in it.
// After all volumes, because a part of one of them may be a file.
Status VolumeStore::make_mount_points(const Pod& pod, const Volume& volume) const {
  const std::string place = get_place(pod, volume);
  for (const auto& nested : find_nested_mounts(pod, volume.name)) {
    const std::string path = place + '/' + nested.path;
    if (path_exists(path)) continue;
    const bool file = mounts_file(pod, *nested.mount);
    const auto slash = nested.path.rfind('/');
    const auto above = slash == std::string::npos ? std::string() : nested.path.substr(0, slash);
    const auto& directories = file ? above : nested.path;
    if (!directories.empty()) MOORED_CHECK(make_sub_path(place, directories, 0755));
    if (file) MOORED_CHECK(as_mount_failure(volume.name, write_file(path, "", true, 0644)));
  }
  return {};
}

Result<VolumePlaces> VolumeStore::prepare(const FieldContext& context, const StateView& view,
                                          Time now) const {
  const Pod& pod = context.pod;
  MOORED_CHECK(make_directories(get_pod_directory(pod.metadata.uid), 0711));
  for (const auto& volume : pod.spec.volumes) {
    const std::string place = get_place(pod, volume);
    if (volume.host_path) {
      MOORED_CHECK(check_host_path(volume.name, *volume.host_path));
    } else if (volume.empty_dir) {
      MOORED_CHECK(as_mount_failure(volume.name, make_empty_dir(pod, volume, place)));
    } else if (is_written_volume(volume)) {
      MOORED_TRY(const auto files, make_volume_files(context, volume, view));
      const auto written = write_volume(place, files, get_group(pod), now);
      if (written) continue;
      return mount_failure(volume.name, written.error().code, written.error().message);
    }
  }
  for (const auto& volume : pod.spec.volumes) {
    if (is_written_volume(volume)) MOORED_CHECK(make_mount_points(pod, volume));
  }
  return get_places(pod);
}

Result<bool> VolumeStore::refresh(const FieldContext& context, const StateView& view,
                                  Time now) const {
  bool any = false;
  for (const auto& volume : context.pod.spec.volumes) {
    if (!is_written_volume(volume)) continue;
    const auto files = make_volume_files(context, volume, view);
    if (!files) continue;
    MOORED_TRY(const bool changed, write_volume(get_place(context.pod, volume), *files,
                                                get_group(context.pod), now));
    any = any || changed;
  }
  return any;
}

std::optional<std::string> VolumeStore::find_exceeded(const Pod& pod) const {
  for (const auto& volume : pod.spec.volumes) {
    if (!volume.empty_dir || !volume.empty_dir->size_limit) continue;
    if (volume.empty_dir->medium == "Memory") continue;  // its tmpfs is as large as it may be
    const Quantity& limit = *volume.empty_dir->size_limit;
    const UniqueFd root = open_directory(AT_FDCWD, get_place(pod, volume).c_str());
    if (!root || limit.value() <= 0 || measure_below(root.get(), 0) <= limit.value()) continue;
    return "Usage of EmptyDir volume \"" + volume.name + "\" exceeds the limit \"" + limit.text() +
           "\".";
  }
  const UniqueFd own = open_directory(AT_FDCWD, get_pod_directory(pod.metadata.uid).c_str());
  std::int64_t held = 0;
  for (const char* name : {"etc", "messages"}) {
    const UniqueFd directory = open_directory(own.get(), name);
    if (directory) held += measure_below(directory.get(), 0);
  }
  if (held <= kMaxOwnBytes) return std::nullopt;
  return "The pod's own files in /etc and its termination messages hold more than 10Mi.";
}

Result<std::string> VolumeStore::make_message_file(const std::string& uid,
                                                   const std::string& container,
                                                   int attempt) const {
  const std::string directory = get_pod_directory(uid) + "/messages";
  MOORED_CHECK(make_directories(directory, 0711));
  const std::string start = directory + "/" + container + "-";
  ::unlink((start + std::to_string(attempt - 2)).c_str());
  const std::string path = start + std::to_string(attempt);
  MOORED_CHECK(write_file(path, "", true, 0666));
  if (::chmod(path.c_str(), 0666) != 0) return Unexpected(system_error("set mode", errno));
  return path;
}

Status VolumeStore::remove(const std::string& uid) const {
  const std::string volumes = get_pod_directory(uid) + "/volumes";
  const auto names = list_directory(volumes);
  for (const auto& name : names.value_or(std::vector<std::string>{})) {
    const std::string place = volumes + "/" + name;
    // Not a mount: EINVAL, which is as good.
    if (is_mount_point(place)) ::umount2(place.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  MOORED_CHECK(remove_tree(run_dir_ + "/volumes/" + uid));
  return remove_tree(get_pod_directory(uid));
}

Status check_host_path(const std::string& volume, const HostPathVolume& host_path) {
  const std::string& path = host_path.path;
  const HostPathRule* rule = find_rule(host_path.type);
  if (rule == nullptr) {
    return mount_failure(volume, Code::invalid, "unknown hostPath type " + host_path.type);
  }
  if (rule->kind == 0 && rule->word.empty()) {
    // No type: nothing is checked, a missing directory is made as a container runtime would.
    if (!path_exists(path)) return as_mount_failure(volume, make_directories(path, 0755));
    return {};
  }
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd && errno == ENOENT && rule->create) {
    if (rule->kind == S_IFDIR) {
      MOORED_CHECK(as_mount_failure(volume, make_directories(path, 0755)));
    } else {
      MOORED_CHECK(as_mount_failure(volume, write_file(path, "", true, 0644)));
    }
    fd.reset(::open(path.c_str(), O_PATH | O_CLOEXEC));
  }
  struct stat status {};
  const bool found = fd && ::fstat(fd.get(), &status) == 0;
  if (found && (status.st_mode & S_IFMT) == rule->kind) return {};
  return mount_failure(volume, Code::not_found, "hostPath type check failed: " + path +
                                                    " is not " + std::string(rule->word));
}

Status make_sub_path(const std::string& volume_root, const std::string& sub_path,
                     unsigned mode) {
  const auto refuse = [&](const std::string& why) {
    return Unexpected(fail(Code::invalid, "subPath \"" + sub_path + "\" " + why)
                          .take()
                          .because("CreateContainerConfigError"));
  };
  if (sub_path.front() == '/') return refuse("must be relative");
  UniqueFd root(::open(volume_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return refuse("cannot be used: its volume is no directory");
  const UniqueFd& top = root;
  std::string done;
  std::size_t start = 0;
  while (start < sub_path.size()) {
    const auto end = std::min(sub_path.find('/', start), sub_path.size());
    const std::string part = sub_path.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("must not contain \"..\"");
    const std::string next = done.empty() ? part : done + "/" + part;
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const auto look = [&](const std::string& path) {
      return UniqueFd(static_cast<int>(
          ::syscall(SYS_openat2, top.get(), path.c_str(), &how, sizeof how)));
    };
    if (!look(next)) {
      if (errno != ENOENT) return refuse("leads out of its volume");
      const UniqueFd parent = look(done.empty() ? "." : done);
      if (!parent || (::mkdirat(parent.get(), part.c_str(), mode) != 0 && errno != EEXIST)) {
        return refuse("could not be made");
      }
      if (!look(next)) return refuse("leads out of its volume");
    }
    done = next;
  }
  return {};
}

Status give_to_group(const std::string& directory, std::uint32_t group) {
  const UniqueFd root = open_directory(AT_FDCWD, directory.c_str());
  struct stat status {};
  if (!root || ::fstat(root.get(), &status) != 0) {
    return Unexpected(system_error("open volume", errno));
  }
  if (::fchown(root.get(), static_cast<uid_t>(-1), group) != 0 ||
      ::fchmod(root.get(), (status.st_mode & 07777U) | 02770U) != 0) {
    return Unexpected(system_error("give volume to its group", errno));
  }
  return give_below(root.get(), group, 0);
}

}  // namespace moored::agent
