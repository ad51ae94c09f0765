#include "runtime/image/jail.hpp"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "schema/host/unique_fd.hpp"

namespace moored::image {
namespace {

constexpr rlim_t kMemoryBytes = 512U << 20U;
constexpr rlim_t kCpuSeconds = 900;

// Rights of files and directories that landlock's second version can withhold.
constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kHandled =
    kRead | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |
    LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kWrite = kHandled & ~std::uint64_t{LANDLOCK_ACCESS_FS_EXECUTE} &
                                 ~std::uint64_t{LANDLOCK_ACCESS_FS_MAKE_BLOCK} &
                                 ~std::uint64_t{LANDLOCK_ACCESS_FS_MAKE_SOCK};

// Owners, modes, whiteouts, capabilities of files, and the overlay's own attributes.
constexpr std::array<unsigned, 7> kKept{CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
                                        CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};

Status failed(const char* what) {
  return Unexpected(system_error(what, errno));
}

Status set_limit(__rlimit_resource resource, rlim_t value) {
  rlimit limit{};
  if (getrlimit(resource, &limit) < 0) return failed("read a resource limit");
  limit.rlim_cur = std::min(value, limit.rlim_max);
  limit.rlim_max = limit.rlim_cur;
  return setrlimit(resource, &limit) < 0 ? failed("set a resource limit") : Status();
}

Status drop_capabilities() {
  for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    const bool kept = std::find(kKept.begin(), kKept.end(), capability) != kKept.end();
    if (!kept && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL) {
      return failed("drop a capability");
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (syscall(SYS_capget, &header, sets.data()) < 0) return failed("read capabilities");
  std::array<std::uint32_t, 2> wanted{};
  for (const unsigned capability : kKept)
    wanted[capability / 32] |= 1U << (capability % 32);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sets[i].permitted &= wanted[i];
    sets[i].effective = sets[i].permitted;
    sets[i].inheritable = 0;
  }
  return syscall(SYS_capset, &header, sets.data()) < 0 ? failed("drop capabilities") : Status();
}

Status add_rule(int rules, int directory, std::uint64_t access) {
  landlock_path_beneath_attr below{};
  below.allowed_access = access;
  below.parent_fd = directory;
  if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0) {
    return failed("add a landlock rule");
  }
  return {};
}

Status restrict_files(int target, const std::vector<int>& lowers) {
  const auto version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 2) return {};  // absent, or without links between directories
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kHandled;
  const UniqueFd rules(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!rules) return failed("make a landlock rule set");
  MOORED_CHECK(add_rule(rules.get(), target, kWrite));
  for (const int lower : lowers)
    MOORED_CHECK(add_rule(rules.get(), lower, kRead));
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) < 0) return failed("enter landlock");
  return {};
}

// Everything that unpacking, the allocator and the end of the process call.
constexpr const char* kCalls[] = {
    "read",     "pread64",    "write",       "pwrite64",     "close",          "lseek",
    "fstat",    "newfstatat", "statx",       "openat",       "openat2",        "mkdirat",
    "mknodat",  "symlinkat",  "linkat",      "unlinkat",     "readlinkat",     "fchown",
    "fchownat", "fchmod",     "fchmodat",    "utimensat",    "ftruncate",      "fallocate",
    "fsync",    "fdatasync",  "fsetxattr",   "fgetxattr",    "flistxattr",     "getdents64",
    "fcntl",    "dup",        "mmap",        "munmap",       "mremap",         "mprotect",
    "madvise",  "brk",        "futex",       "getrandom",    "clock_gettime",  "gettimeofday",
    "getpid",   "gettid",     "tgkill",      "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "exit",     "exit_group", "sched_yield", "prlimit64",    "sysinfo",        "restart_syscall",
    "umask",    "poll",       "ppoll"};

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

Status restrict_calls() {
  const std::unique_ptr<void, ReleaseFilter> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return fail(Code::exhausted, "make a system call filter: out of memory");
  for (const char* name : kCalls) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // not on this architecture
    const int code = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
    if (code < 0) return Unexpected(system_error("allow a system call", -code));
  }
  const int code = seccomp_load(filter.get());
  return code < 0 ? Status(Unexpected(system_error("load the system call filter", -code)))
                  : Status();
}

}  // namespace

Status enter_jail(int target, const std::vector<int>& lowers, std::int64_t max_file_bytes) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failed("give up new privileges");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return failed("give up core files");
#ifndef __SANITIZE_ADDRESS__  // whose shadow alone is larger
  MOORED_CHECK(set_limit(RLIMIT_AS, kMemoryBytes));
#endif
  MOORED_CHECK(set_limit(RLIMIT_CPU, kCpuSeconds));
  MOORED_CHECK(set_limit(RLIMIT_FSIZE, static_cast<rlim_t>(max_file_bytes)));
  MOORED_CHECK(restrict_files(target, lowers));
  MOORED_CHECK(drop_capabilities());
  return restrict_calls();
}

}  // namespace moored::image
