#include "runtime/container/namespaces.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/shim/record.hpp"
#include "runtime/sys/mount.hpp"
#include "runtime/sys/process.hpp"
#include "schema/host/file.hpp"
#include "schema/host/own_thread.hpp"

namespace moored::container {
namespace {

// 64 MiB, what container runtimes give. The directory below holds pins and sockets only.
constexpr const char* kSharedMemorySize = "65536k";
constexpr const char* kRunDirSize = "256m";
constexpr std::size_t kMaxShimBytes = 4096;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// The kind is passed on so that a pin of another kind is refused by the kernel.
Status enter(const std::string& path, std::uint64_t kind) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed("open namespace " + path);
  return sys::join_namespaces(fd.get(), kind);
}

// Dots or slashes, as Kubernetes takes both; the list of names was checked by the planner.
Status write_setting(const std::string& setting) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos) return fail(Code::invalid, "sysctl " + setting);
  std::string name = setting.substr(0, equals);
  std::replace(name.begin(), name.end(), '.', '/');
  MOORED_TRY(const auto parts, sys::split_inside(name));
  static_cast<void>(parts);  // refuses ".."
  return write_file("/proc/sys/" + name, setting.substr(equals + 1));
}

// The directory is one that only root can have made.
Status attach_at(const std::string& path, int mount) {
  const UniqueFd target(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target) return failed("open " + path);
  return sys::attach_mount(mount, target.get());
}

}  // namespace

// /proc/sys shows the settings of the thread that opens it, so the thread moves first. The
// mount namespace stays ours: only paths of ours are opened.
Status write_sysctls(const std::string& pod_directory, const std::vector<std::string>& settings) {
  MOORED_TRY(const auto text, read_file(pod_directory + "/shim.json", kMaxShimBytes));
  MOORED_TRY(const auto about, shim::Record::parse(text.substr(0, text.find('\n'))));
  const std::string own = "/proc/" + std::to_string(about.number_of("pid")) + "/ns/";
  return run_on_own_thread([&]() -> Status {
    MOORED_CHECK(enter(own + "net", CLONE_NEWNET));
    MOORED_CHECK(enter(own + "ipc", CLONE_NEWIPC));
    for (const auto& setting : settings)
      MOORED_CHECK(write_setting(setting));
    return {};
  });
}

// As large as container runtimes make it; it counts to the memory of whoever writes.
Status mount_shared_memory(const std::string& path) {
  sys::MountFlags flags;
  flags.no_suid = flags.no_dev = flags.no_exec = true;
  MOORED_TRY(const auto mount,
             sys::make_mount("tmpfs", {{"mode", "1777"}, {"size", kSharedMemorySize}}, flags));
  return attach_at(path, mount.get());
}

// A later daemon finds the mount of an earlier one, with its pods, and leaves it alone.
Status prepare_run_dir(const std::string& path) {
  MOORED_CHECK(make_directories(path, 0711));
  MOORED_TRY(const bool mounted, sys::is_mount_point(path));
  if (mounted) return {};
  struct statfs where {};
  if (::statfs(path.c_str(), &where) != 0) return failed("look at " + path);
  sys::MountFlags flags;
  flags.no_suid = flags.no_dev = true;
  // On tmpfs already: a bind of itself is a mount of its own, whose propagation can be
  // changed.
  const bool memory = static_cast<unsigned long>(where.f_type) == TMPFS_MAGIC;
  auto mount = memory ? sys::clone_mount(AT_FDCWD, path, false)
                      : sys::make_mount("tmpfs", {{"mode", "0711"}, {"size", kRunDirSize}}, flags);
  if (!mount) return Unexpected(std::move(mount).error());
  MOORED_CHECK(attach_at(path, mount->get()));
  // Pins must not multiply into other mount namespaces, nor follow into containers.
  return sys::set_propagation(path, sys::Propagation::rprivate);
}

Status release_run_dir(const std::string& path) {
  return sys::unmount(path);
}

}  // namespace moored::container
