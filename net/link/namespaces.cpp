#include "net/link/namespaces.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "schema/host/file.hpp"
#include "schema/host/own_thread.hpp"

namespace moored::net {
namespace {

constexpr const char* kOwnNamespace = "/proc/thread-self/ns/net";

Status failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// The thread's entry of /proc, not the process's: only this thread is in the new namespace.
Status pin_own_namespace(const std::string& pin) {
  const UniqueFd file(open(pin.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed("create " + pin);
  if (mount(kOwnNamespace, pin.c_str(), nullptr, MS_BIND, nullptr) < 0) {
    return failed("pin a network namespace on " + pin);
  }
  return {};
}

}  // namespace

// Pinned last: a namespace that can be found has everything in it.
Status make_namespace(const std::string& pin, const std::function<Status()>& inside) {
  if (open_namespace(pin)) return fail(Code::conflict, pin + " already pins a namespace");
  return run_on_own_thread([&]() -> Status {
    if (unshare(CLONE_NEWNET) < 0) return failed("make a network namespace");
    MOORED_CHECK(inside());
    return pin_own_namespace(pin);
  });
}

// A plain file is left when the machine restarts; only NSFS says that a namespace is on it.
Result<UniqueFd> open_namespace(const std::string& pin) {
  UniqueFd file(open(pin.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return Unexpected(system_error("open namespace " + pin, errno));
  struct statfs place {};
  if (fstatfs(file.get(), &place) < 0) return Unexpected(system_error("look at " + pin, errno));
  if (place.f_type != NSFS_MAGIC) return fail(Code::not_found, pin + " pins no namespace");
  return file;
}

Status run_inside(int network_namespace, const std::function<Status()>& inside) {
  return run_on_own_thread([&]() -> Status {
    if (setns(network_namespace, CLONE_NEWNET) < 0) return failed("enter a network namespace");
    return inside();
  });
}

Status run_in_empty_namespace(const std::function<Status()>& inside) {
  return run_on_own_thread([&]() -> Status {
    if (unshare(CLONE_NEWNET) < 0) return failed("make a network namespace");
    return inside();
  });
}

Status remove_pin(const std::string& pin) {
  // More than one mount lies on the pin when something else has mounted there: take them all.
  constexpr int kMaxStacked = 16;
  for (int i = 0; i < kMaxStacked; ++i) {
    if (umount2(pin.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
    if (errno == EINVAL || errno == ENOENT) break;  // nothing is mounted there (any more)
    return failed("unpin " + pin);
  }
  if (unlink(pin.c_str()) < 0 && errno != ENOENT) return failed("remove " + pin);
  return {};
}

// A lock on the namespace's inode: daemons of one namespace exclude each other, wherever
// their files lie. The kernel drops it with the descriptor.
Result<UniqueFd> lock_namespace() {
  UniqueFd file(open(kOwnNamespace, O_RDONLY | O_CLOEXEC));
  if (!file) return Unexpected(system_error("open the network namespace", errno));
  while (flock(file.get(), LOCK_EX) < 0) {
    if (errno != EINTR) return Unexpected(system_error("lock the network namespace", errno));
  }
  return file;
}

Status write_sysctl(const std::string& path, const std::string& value) {
  return write_file("/proc/sys/net/" + path, value);
}

Result<std::string> read_sysctl(const std::string& path) {
  MOORED_TRY(auto text, read_file("/proc/sys/net/" + path, 4096));
  // The kernel ends every value with a newline, which is not part of it.
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

}  // namespace moored::net
