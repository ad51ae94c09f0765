#include "runtime/image/jail.hpp"

#include <linux/capability.h>

#include <cstdint>

namespace moored::image {
namespace {

constexpr std::uint64_t kMemoryBytes = 512U << 20U;
constexpr std::uint64_t kCpuSeconds = 900;

// Owners, modes, whiteouts, capabilities of files, and the overlay's own attributes, which the
// kernel shows and takes under CAP_SYS_ADMIN only: of what else that one allows, the filter of
// system calls leaves nothing.
constexpr unsigned kKept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
                              CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};

std::uint64_t kept_capabilities() {
  std::uint64_t bits = 0;
  for (const unsigned capability : kKept) bits |= std::uint64_t{1} << capability;
  return bits;
}

Status restrict_files(int target, const std::vector<int>& lowers) {
  FileRules rules;
  rules.allow(target, FileAccess::write_special);
  for (const int lower : lowers) rules.allow(lower, FileAccess::read);
  return std::move(rules).enforce();
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

}  // namespace

Status enter_jail(const WorkerUser& user, int target, const std::vector<int>& lowers,
                  std::int64_t max_file_bytes) {
  MOORED_CHECK(limit_resources({{"as", kMemoryBytes},
                                {"cpu", kCpuSeconds},
                                {"fsize", static_cast<std::uint64_t>(max_file_bytes)}}));
  MOORED_CHECK(give_up_rights(user, kept_capabilities()));
  MOORED_CHECK(restrict_files(target, lowers));
  CallFilter filter(CallFilter::Otherwise::denied);
  filter.allow(kCalls);
  return std::move(filter).load();
}

}  // namespace moored::image
