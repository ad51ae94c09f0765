#include "runtime/registry/cell.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "schema/host/unique_fd.hpp"

namespace moored::registry {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr rlim_t kMemoryBytes = RLIM_INFINITY;  // sanitizers reserve terabytes of addresses
#else
constexpr rlim_t kMemoryBytes = 512UL << 20U;
#endif
constexpr rlim_t kDescriptors = 64;

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kHandled =
    kRead | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

// Resolver configuration and modules, certificates, random numbers.
constexpr const char* kReadable[] = {"/etc",     "/usr/lib",   "/usr/lib64", "/usr/share", "/lib",
                                     "/lib64",   "/run/systemd/resolve",     "/run/resolvconf",
                                     "/run/NetworkManager",    "/dev/urandom"};

Status failed(const char* what) { return Unexpected(system_error(what, errno)); }

Status set_limit(int resource, rlim_t value) {
  const rlimit wanted{value, value};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &wanted) == 0) return {};
  return failed("set a resource limit");
}

Status restrict_files() {
  const auto version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return {};  // the user's own rights are what is left
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kHandled;
  const UniqueFd rules(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!rules) return failed("make a landlock rule set");
  for (const char* path : kReadable) {
    const UniqueFd place(open(path, O_PATH | O_CLOEXEC));
    if (!place) continue;  // not on this machine
    landlock_path_beneath_attr below{};
    const bool single = std::string_view(path) == "/dev/urandom";
    below.allowed_access = single ? std::uint64_t{LANDLOCK_ACCESS_FS_READ_FILE} : kRead;
    below.parent_fd = place.get();
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0) {
      return failed("add a landlock rule");
    }
  }
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) < 0) return failed("enter landlock");
  return {};
}

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

// Not a list of what is allowed: the resolver's modules differ from machine to machine. What leads
// out of a process is taken away.
constexpr const char* kForbidden[] = {
    "execve",       "execveat",      "ptrace",        "process_vm_readv", "process_vm_writev",
    "mount",        "umount2",       "pivot_root",    "chroot",           "unshare",
    "setns",        "clone3",        "bpf",           "perf_event_open",  "userfaultfd",
    "keyctl",       "add_key",       "request_key",   "init_module",      "finit_module",
    "kexec_load",   "open_by_handle_at", "io_uring_setup", "kill",        "tkill",
    "pidfd_open",   "pidfd_getfd",   "memfd_create",  "personality",      "quotactl",
    "fsopen",       "fsmount",       "move_mount",    "open_tree",        "mknod",
    "mknodat",      "link",          "linkat",        "symlink",          "symlinkat",
    "chmod",        "fchmod",        "fchmodat",      "chown",            "fchown",
    "fchownat",     "setuid",        "setgid",        "setgroups",        "reboot"};

Status restrict_calls() {
  const std::unique_ptr<void, ReleaseFilter> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(Code::exhausted, "make a system call filter: out of memory");
  for (const char* name : kForbidden) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // not on this architecture
    // The C library tries clone3 and falls back when it does not exist.
    const int answer = std::string_view(name) == "clone3" ? ENOSYS : EPERM;
    const int code = seccomp_rule_add(
        filter.get(), SCMP_ACT_ERRNO(static_cast<std::uint16_t>(answer)), number, 0);
    if (code < 0) return Unexpected(system_error("forbid a system call", -code));
  }
  const int code = seccomp_load(filter.get());
  return code < 0 ? Status(Unexpected(system_error("load the system call filter", -code)))
                  : Status();
}

}  // namespace

Status enter_cell() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failed("give up new privileges");
  // Passwords are in this memory: no core file, and nobody of the same user looks into it.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return failed("give up core files");
  MOORED_CHECK(set_limit(RLIMIT_AS, kMemoryBytes));
  MOORED_CHECK(set_limit(RLIMIT_FSIZE, 0));
  MOORED_CHECK(set_limit(RLIMIT_NOFILE, kDescriptors));
  MOORED_CHECK(set_limit(RLIMIT_CORE, 0));
  MOORED_CHECK(restrict_files());
  return restrict_calls();
}

}  // namespace moored::registry
