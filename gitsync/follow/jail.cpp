#include "gitsync/follow/jail.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>

#include "schema/host/unique_fd.hpp"

namespace moored::git {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // sanitizers reserve terabytes, and trace themselves at the end
#else
constexpr bool kSanitized = false;
#endif
constexpr rlim_t kMemoryBytes = 2UL << 30U;
// One pack is the largest file; the meter refuses it at half of this already.
constexpr rlim_t kFileBytes = 1UL << 30U;
// A mirror holds two for each pack, and has at most a hundred of them.
constexpr rlim_t kDescriptors = 512;

// Rights that landlock's second version can withhold.
constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite =
    kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kHandled =
    kWrite | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;

// Where a program finds name servers, certificates and the modules that look names up.
constexpr const char* kSystemDirectories[] = {
    "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
    "/run/NetworkManager", "/proc"};

// Landlock and capset have no wrapper in the C library.
Status failed(const char* what) {
  return Unexpected(system_error(what, errno));
}

Status limit(__rlimit_resource resource, rlim_t value) {
  rlimit now{};
  if (getrlimit(resource, &now) != 0) return failed("read a resource limit");
  // A lower limit that was set from outside stays.
  if (value > now.rlim_max) value = now.rlim_max;
  const rlimit wanted{value, value};
  return setrlimit(resource, &wanted) != 0 ? failed("set a resource limit") : Status();
}

Status set_limits() {
  if (!kSanitized) MOORED_CHECK(limit(RLIMIT_AS, kMemoryBytes));
  MOORED_CHECK(limit(RLIMIT_FSIZE, kFileBytes));
  MOORED_CHECK(limit(RLIMIT_NOFILE, kDescriptors));
  return limit(RLIMIT_CORE, 0);
}

Status set_capabilities(std::uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (syscall(SYS_capget, &header, sets.data()) != 0) return failed("read capabilities");
  for (std::size_t i = 0; i < sets.size(); ++i) {
    // Never more than there is: a daemon in a container may lack what would be kept.
    sets[i].permitted &= static_cast<std::uint32_t>(kept >> (32U * i));
    sets[i].effective = sets[i].permitted;
    sets[i].inheritable = 0;
  }
  return syscall(SYS_capset, &header, sets.data()) != 0 ? failed("drop capabilities") : Status();
}

// The bounding set goes first, while CAP_SETPCAP is still there. Groups go before the user: without
// his rights they could no longer be given up.
Status become(const Jail& jail) {
  for (unsigned capability = 0; geteuid() == 0 && capability <= CAP_LAST_CAP; ++capability) {
    const bool gone = prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 || errno == EINVAL;
    if (!gone && errno != EPERM) return failed("drop a capability");
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed("keep capabilities for a moment");
  if (jail.user) {
    const auto [uid, gid] = *jail.user;
    if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0 ||
        setresuid(uid, uid, uid) != 0) {
      return failed("become the user of the worker");
    }
  }
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return failed("keep no capabilities");
  return set_capabilities(jail.local.empty() ? 0 : std::uint64_t{1} << CAP_DAC_READ_SEARCH);
}

// A directory that is not there needs no rule.
Status allow_below(int rules, const std::string& path, std::uint64_t access) {
  const UniqueFd directory(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!directory && errno == ENOENT) return {};
  if (!directory) return Unexpected(system_error("open " + path, errno));
  landlock_path_beneath_attr below{};
  below.allowed_access = access;
  below.parent_fd = directory.get();
  if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) != 0) {
    return failed("add a landlock rule");
  }
  return {};
}

// A linked work tree and a repository with alternates have objects in places of their own.
bool lies_in_one_place(const std::string& local) {
  struct stat found {};
  const bool linked = ::stat((local + "/.git").c_str(), &found) == 0 && S_ISREG(found.st_mode);
  const auto borrows = [](const std::string& repository) {
    return ::access((repository + "/objects/info/alternates").c_str(), F_OK) == 0;
  };
  return !linked && !borrows(local) && !borrows(local + "/.git");
}

Status restrict_files(const Jail& jail) {
  const auto version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 2) return {};  // absent, or without renaming between directories
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kHandled;
  const UniqueFd rules(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!rules) return failed("make a landlock rule set");
  if (jail.local.empty()) {
    MOORED_CHECK(allow_below(rules.get(), jail.mirror, kWrite));
    for (const char* path : kSystemDirectories) MOORED_CHECK(allow_below(rules.get(), path, kRead));
  } else {
    const std::string root = lies_in_one_place(jail.local) ? jail.local : "/";
    MOORED_CHECK(allow_below(rules.get(), root, kRead));
  }
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) return failed("enter landlock");
  return {};
}

// What any program calls that reads files, allocates memory and answers on its socket.
constexpr const char* kReadingCalls[] = {
    "read", "readv", "pread64", "preadv", "write", "writev", "close", "lseek", "fstat", "stat",
    "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2",
    "open", "openat", "openat2", "readlink", "readlinkat", "getdents64", "getcwd", "fcntl", "dup",
    "dup2", "dup3", "mmap", "munmap", "mremap", "mprotect", "madvise", "msync", "brk", "futex",
    "futex_waitv", "membarrier", "getrandom", "clock_gettime", "clock_getres", "gettimeofday",
    "time", "nanosleep", "clock_nanosleep", "getpid", "gettid", "getppid", "getuid", "geteuid",
    "getgid", "getegid", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "exit",
    "exit_group", "sched_yield", "sched_getaffinity", "prlimit64", "getrlimit", "sysinfo",
    "uname", "restart_syscall", "set_robust_list", "set_tid_address", "rseq", "poll", "ppoll",
    "select", "pselect6", "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown"};

// And what a mirror and its servers need beyond that.
constexpr const char* kFetchingCalls[] = {
    "pwrite64", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "link", "linkat", "chmod",
    "fchmod", "fchmodat", "utime", "utimes", "utimensat", "umask", "connect", "bind",
    "getsockopt", "setsockopt", "getsockname", "getpeername", "sendmmsg", "recvmmsg",
    "socketpair", "pipe", "pipe2", "eventfd2", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait"};

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// Calls that this architecture does not have are passed over.
template <std::size_t N>
Status allow(const Filter& filter, const char* const (&names)[N]) {
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;
    const int code = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
    if (code < 0) return Unexpected(system_error(std::string("allow ") + name, -code));
  }
  return {};
}

Status allow_if(const Filter& filter, int number, scmp_arg_cmp condition) {
  const int code = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, number, 1, &condition);
  return code < 0 ? Status(Unexpected(system_error("allow a system call", -code))) : Status();
}

// Sockets of the Internet and the one that the resolver asks for addresses; no local ones, behind
// which other programs of this machine wait. Threads, for the resolver, but no processes.
Status allow_servers(const Filter& filter) {
  MOORED_CHECK(allow(filter, kFetchingCalls));
  for (const unsigned family : {AF_INET, AF_INET6, AF_NETLINK}) {
    MOORED_CHECK(allow_if(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, family)));
  }
  // Of the controls of a descriptor only these two: standard error may be somebody's terminal.
  for (const unsigned control : {FIONBIO, FIONREAD}) {
    MOORED_CHECK(allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, control)));
  }
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  return allow_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, kThread, kThread));
}

// What is not allowed does not exist: the C library then takes the older way where it knows one.
Status restrict_calls(const Jail& jail) {
  if (kSanitized) return {};
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!filter) return fail(Code::exhausted, "make a system call filter: out of memory");
  MOORED_CHECK(allow(filter, kReadingCalls));
  if (jail.local.empty()) MOORED_CHECK(allow_servers(filter));
  // abort() sends a signal to its own process.
  MOORED_CHECK(allow_if(filter, SCMP_SYS(tgkill),
                        SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()))));
  const int code = seccomp_load(filter.get());
  return code < 0 ? Status(Unexpected(system_error("load the system call filter", -code)))
                  : Status();
}

}  // namespace

// Not dumpable: workers of other sources run as the same user and hold other secrets.
Status enter_jail(const Jail& jail) {
  MOORED_CHECK(set_limits());
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("give up new privileges");
  MOORED_CHECK(become(jail));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed("give up being traced");
  MOORED_CHECK(restrict_files(jail));
  return restrict_calls(jail);
}

}  // namespace moored::git
