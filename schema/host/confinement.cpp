#include "schema/host/confinement.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "schema/host/rights.hpp"

namespace moored {
namespace {

// Rights that landlock's second version can withhold; the first cannot give renaming between
// directories to anybody.
constexpr int kLandlockVersion = 2;
constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kRead = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite =
    kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kWriteSpecial = kWrite | LANDLOCK_ACCESS_FS_MAKE_SYM |
                                        LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                        LANDLOCK_ACCESS_FS_MAKE_CHAR;
constexpr std::uint64_t kHandled = kWriteSpecial | LANDLOCK_ACCESS_FS_EXECUTE |
                                   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
// Of these a rule for a single file can speak.
constexpr std::uint64_t kOfFiles = kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE;

// Landlock has no wrapper in the C library.
Status failed(const char* what) {
  return Unexpected(system_error(what, errno));
}

std::uint64_t rights_of(FileAccess access) {
  switch (access) {
    case FileAccess::read: return kRead;
    case FileAccess::write: return kWrite;
    case FileAccess::write_special: return kWriteSpecial;
  }
  return 0;
}

Status add_rule(int rules, int place, FileAccess access) {
  struct stat found {};
  if (::fstat(place, &found) != 0) return failed("look at a place for a landlock rule");
  landlock_path_beneath_attr below{};
  below.allowed_access = rights_of(access) & (S_ISDIR(found.st_mode) ? kHandled : kOfFiles);
  below.parent_fd = place;
  if (::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) != 0) {
    return failed("add a landlock rule");
  }
  return {};
}

constexpr const char* kOrdinaryCalls[] = {
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

std::uint32_t action_of(CallFilter::Otherwise otherwise) {
  switch (otherwise) {
    case CallFilter::Otherwise::allow: return SCMP_ACT_ALLOW;
    case CallFilter::Otherwise::absent: return SCMP_ACT_ERRNO(ENOSYS);
    case CallFilter::Otherwise::denied: return SCMP_ACT_ERRNO(EPERM);
  }
  return SCMP_ACT_KILL_PROCESS;
}

}  // namespace

// The bounding set goes first, while the right to lower it is still there; without that right it is
// of no use to anybody either, because nothing is gained by executing. Being another user makes the
// process traceable again, so that this comes last.
Status give_up_rights(const WorkerUser& user, std::uint64_t kept_capabilities) {
  MOORED_CHECK(rights::set_limit("core", 0));
  MOORED_CHECK(rights::set_no_new_privileges());
  MOORED_TRY(const std::uint64_t own, rights::read_own_capabilities());
  const std::uint64_t kept = own & kept_capabilities;
  if ((own >> CAP_SETPCAP & 1U) != 0) MOORED_CHECK(rights::limit_bounding_set(0));
  if (user) MOORED_CHECK(rights::set_ids(user->first, user->second, {}));
  MOORED_CHECK(rights::set_capabilities(kept, kept));
  return rights::set_dumpable(false);
}

Status limit_resources(std::initializer_list<std::pair<const char*, std::uint64_t>> limits) {
  for (const auto& [name, value] : limits) {
    if (kSanitized && std::string_view(name) == "as") continue;
    MOORED_CHECK(rights::set_limit(name, value));
  }
  return {};
}

bool FileRules::is_available() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >=
         kLandlockVersion;
}

FileRules::FileRules() {
  if (!is_available()) return;
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kHandled;
  rules_ = UniqueFd(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes,
                                               sizeof attributes.handled_access_fs, 0)));
  if (!rules_) status_ = failed("make a landlock rule set");
}

FileRules& FileRules::allow(const std::string& path, FileAccess access) {
  if (!rules_ || !status_) return *this;
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (place) return allow(place.get(), access);
  if (errno != ENOENT && errno != ENOTDIR) {
    status_ = Unexpected(system_error("open " + path + " for a landlock rule", errno));
  }
  return *this;
}

FileRules& FileRules::allow(std::span<const char* const> paths, FileAccess access) {
  for (const char* path : paths) allow(path, access);
  return *this;
}

FileRules& FileRules::allow(int descriptor, FileAccess access) {
  if (rules_ && status_) status_ = add_rule(rules_.get(), descriptor, access);
  return *this;
}

Status FileRules::enforce() && {
  MOORED_CHECK(std::move(status_));
  if (!rules_) return {};
  if (::syscall(SYS_landlock_restrict_self, rules_.get(), 0) != 0) return failed("enter landlock");
  return {};
}

void CallFilter::Release::operator()(void* filter) const {
  seccomp_release(filter);
}

CallFilter::CallFilter(Otherwise otherwise) {
  if (kSanitized) return;
  filter_.reset(seccomp_init(action_of(otherwise)));
  if (!filter_) status_ = fail(Code::exhausted, "make a system call filter: out of memory");
}

void CallFilter::add(const char* call, std::uint32_t action) {
  const int number = seccomp_syscall_resolve_name(call);
  if (!filter_ || !status_ || number == __NR_SCMP_ERROR) return;
  const int code = seccomp_rule_add(filter_.get(), action, number, 0);
  if (code < 0) {
    status_ = Unexpected(system_error(std::string("filter the system call ") + call, -code));
  }
}

CallFilter& CallFilter::allow(std::span<const char* const> calls) {
  for (const char* call : calls) add(call, SCMP_ACT_ALLOW);
  return *this;
}

CallFilter& CallFilter::allow_ordinary() {
  return allow(kOrdinaryCalls);
}

CallFilter& CallFilter::allow_if(const char* call, unsigned index, std::uint64_t value,
                                 std::uint64_t mask) {
  const int number = seccomp_syscall_resolve_name(call);
  if (!filter_ || !status_ || number == __NR_SCMP_ERROR) return *this;
  const scmp_arg_cmp condition{index, SCMP_CMP_MASKED_EQ, mask, value};
  const int code =
      seccomp_rule_add_array(filter_.get(), SCMP_ACT_ALLOW, number, 1, &condition);
  if (code < 0) {
    status_ = Unexpected(system_error(std::string("filter the system call ") + call, -code));
  }
  return *this;
}

CallFilter& CallFilter::deny(std::span<const char* const> calls, int error) {
  for (const char* call : calls) add(call, SCMP_ACT_ERRNO(static_cast<std::uint16_t>(error)));
  return *this;
}

Status CallFilter::load() && {
  MOORED_CHECK(std::move(status_));
  if (!filter_) return {};
  const int code = seccomp_load(filter_.get());
  if (code < 0) return Unexpected(system_error("load the system call filter", -code));
  return {};
}

}  // namespace moored
