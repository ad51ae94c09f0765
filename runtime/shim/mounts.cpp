#include "runtime/shim/mounts.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runtime/sys/mount.hpp"

namespace moored::shim {
namespace {

struct Node {
  const char* name;
  unsigned major;
  unsigned minor;
};
constexpr std::array<Node, 6> kNodes{{{"null", 1, 3},
                                      {"zero", 1, 5},
                                      {"full", 1, 7},
                                      {"random", 1, 8},
                                      {"urandom", 1, 9},
                                      {"tty", 5, 0}}};

struct Link {
  const char* name;
  const char* target;
};
constexpr std::array<Link, 5> kLinks{{{"ptmx", "pts/ptmx"},
                                      {"fd", "/proc/self/fd"},
                                      {"stdin", "/proc/self/fd/0"},
                                      {"stdout", "/proc/self/fd/1"},
                                      {"stderr", "/proc/self/fd/2"}}};

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// Names the descriptor itself; used for our own files only.
std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// The word after "name=" in a step's options.
std::string option_value(const Step& step, const std::string& name) {
  const std::string start = name + "=";
  for (std::size_t at = 0; at < step.options.size();) {
    auto end = step.options.find(',', at);
    if (end == std::string::npos) end = step.options.size();
    if (step.options.compare(at, start.size(), start) == 0) {
      return step.options.substr(at + start.size(), end - at - start.size());
    }
    at = end + 1;
  }
  return {};
}

sys::MountFlags flags_of(const Step& step) {
  sys::MountFlags flags;
  flags.read_only = step.has_option("ro");
  flags.no_suid = step.has_option("nosuid");
  flags.no_dev = step.has_option("nodev");
  flags.no_exec = step.has_option("noexec");
  flags.strict_atime = step.has_option("strictatime");
  return flags;
}

std::vector<sys::MountOption> options_of(const Step& step) {
  std::vector<sys::MountOption> options;
  for (const auto& entry : step.list) {
    const auto equals = entry.find('=');
    options.emplace_back(entry.substr(0, equals),
                         equals == std::string::npos ? "" : entry.substr(equals + 1));
  }
  return options;
}

// Behind a link the masks would be put on something else.
bool is_kernel_view(const std::string& type) {
  return type == "proc" || type == "sysfs";
}

// The place for a mount. What the kernel shows of itself may not be put behind a link.
Result<UniqueFd> open_target(int root, const Step& step) {
  if (!is_kernel_view(step.source)) return sys::make_in_root(root, step.target, false, 0755);
  auto target = sys::open_without_links(root, step.target, O_PATH | O_NOFOLLOW | O_DIRECTORY);
  if (!target && target.error().code == Code::not_found) {
    return sys::make_in_root(root, step.target, false, 0755);
  }
  return target;
}

Status make_nodes(int directory) {
  for (const auto& node : kNodes) {
    const dev_t device = makedev(node.major, node.minor);
    if (::mknodat(directory, node.name, S_IFCHR | 0666, device) != 0) {
      return failed(std::string("make device ") + node.name);
    }
  }
  return {};
}

// The host's null device, looked at through the very descriptor that is cloned.
Result<UniqueFd> clone_null_device() {
  const UniqueFd device(::open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!device) return failed("open /dev/null");
  struct stat status {};
  if (::fstat(device.get(), &status) != 0 || !S_ISCHR(status.st_mode) ||
      status.st_rdev != makedev(1, 3)) {
    return fail(Code::denied, "/dev/null of this machine is not the null device");
  }
  return sys::clone_mount(device.get(), "", false);
}

Result<UniqueFd> make_empty_mount() {
  const sys::MountFlags flags{true, true, true, true, false};
  return sys::make_mount("tmpfs", {{"nr_blocks", "1"}, {"nr_inodes", "1"}}, flags);
}

}  // namespace

Result<UniqueFd> mount_overlay(const Step& step) {
  std::vector<std::string> paths{step.source, option_value(step, "work")};
  paths.insert(paths.end(), step.list.begin(), step.list.end());
  // Descriptors instead of names: short enough for 127 layers in one page of options.
  std::vector<UniqueFd> directories;
  std::string options = "index=off";
  for (std::size_t i = 0; i < paths.size(); ++i) {
    directories.emplace_back(::open(paths[i].c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directories.back()) return failed("open " + paths[i]);
    options += i == 0 ? ",upperdir=" : i == 1 ? ",workdir=" : i == 2 ? ",lowerdir=" : ":";
    options += descriptor_path(directories.back().get());
  }
  unsigned long flags = MS_NODEV | MS_RELATIME;
  if (step.has_option("nosuid")) flags |= MS_NOSUID;
  if (::mount("overlay", step.target.c_str(), "overlay", flags, options.c_str()) != 0) {
    return failed("mount overlay");
  }
  UniqueFd root(::open(step.target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return failed("open root");
  return root;
}

// Made, then attached: the destination is resolved once.
Status mount_new(int root, const Step& step) {
  MOORED_TRY(const auto target, open_target(root, step));
  MOORED_TRY(const auto mount, sys::make_mount(step.source, options_of(step), flags_of(step)));
  return sys::attach_mount(mount.get(), target.get());
}

// A file is put on a file, a directory on a directory.
Status mount_bind(int root, const Step& step, int pinned) {
  struct stat status {};
  if (::fstat(pinned, &status) != 0) return failed("look at " + step.source);
  const bool file = !S_ISDIR(status.st_mode);
  MOORED_TRY(const auto target, sys::make_in_root(root, step.target, file, file ? 0644 : 0755));
  return sys::attach_mount(pinned, target.get());
}

// A clone of the root's own mount, so no bytes are copied.
Status mount_own_volume(int root, const Step& step) {
  MOORED_TRY(const auto target, sys::make_in_root(root, step.target, false, 0755));
  MOORED_TRY(const auto mount, sys::clone_mount(target.get(), "", false));
  return sys::attach_mount(mount.get(), target.get());
}

// Into the tmpfs that was attached a moment ago: the image cannot have a hand in it.
Status make_devices(int root, const Step& step) {
  MOORED_TRY(const auto directory,
             sys::open_without_links(root, step.target, O_RDONLY | O_DIRECTORY));
  // They have their mode at once: nothing is opened or changed by name afterwards.
  const mode_t before = ::umask(0);
  const auto made = make_nodes(directory.get());
  ::umask(before);
  MOORED_CHECK(made);
  for (const auto& link : kLinks) {
    if (::symlinkat(link.target, directory.get(), link.name) != 0) {
      return failed(std::string("link ") + link.name);
    }
  }
  for (const char* name : {"pts", "shm", "mqueue"}) {
    if (::mkdirat(directory.get(), name, 0755) != 0) return failed(std::string("make ") + name);
  }
  return {};
}

Status mount_console(int root, int terminal) {
  // A bind of what the descriptor is, never of a name below /dev/pts.
  MOORED_TRY(const auto mount, sys::clone_mount(AT_FDCWD, descriptor_path(terminal), false));
  MOORED_TRY(const auto target, sys::make_in_root(root, "/dev/console", true, 0600));
  return sys::attach_mount(mount.get(), target.get());
}

// The kernel may not have the path at all; then there is nothing to hide.
Status mask_path(int root, const Step& step, UniqueFd& empty) {
  auto target = sys::open_without_links(root, step.target, O_PATH | O_NOFOLLOW);
  if (!target && target.error().code == Code::not_found) return {};
  if (!target) return Unexpected(std::move(target).error());
  struct stat status {};
  if (::fstat(target->get(), &status) != 0) return failed("look at " + step.target);
  if (S_ISDIR(status.st_mode)) {
    MOORED_TRY(auto mount, empty ? sys::clone_mount(empty.get(), "", false) : make_empty_mount());
    MOORED_CHECK(sys::attach_mount(mount.get(), target->get()));
    if (!empty) empty = std::move(mount);
    return {};
  }
  MOORED_TRY(const auto null_device, clone_null_device());
  return sys::attach_mount(null_device.get(), target->get());
}

Status protect_path(int root, const Step& step) {
  auto target = sys::open_without_links(root, step.target, O_PATH | O_NOFOLLOW);
  if (!target && target.error().code == Code::not_found) return {};
  if (!target) return Unexpected(std::move(target).error());
  MOORED_TRY(const auto mount, sys::clone_mount(target->get(), "", true));
  sys::MountFlags flags;
  flags.read_only = true;
  flags.no_suid = true;
  flags.no_dev = true;
  flags.no_exec = true;
  MOORED_CHECK(sys::set_mount(mount.get(), flags, sys::Propagation::keep, true));
  return sys::attach_mount(mount.get(), target->get());
}

}  // namespace moored::shim
