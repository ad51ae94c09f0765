#include "runtime/registry/cell.hpp"

#include <cerrno>
#include <cstdint>

namespace moored::registry {
namespace {

constexpr std::uint64_t kMemoryBytes = 512UL << 20U;
constexpr std::uint64_t kDescriptors = 64;

// Resolver configuration and modules, certificates, random numbers.
constexpr const char* kReadable[] = {"/etc",     "/usr/lib",   "/usr/lib64", "/usr/share", "/lib",
                                     "/lib64",   "/run/systemd/resolve",     "/run/resolvconf",
                                     "/run/NetworkManager",    "/dev/urandom"};

// Not a list of what is allowed: the resolver's modules differ from machine to machine. What leads
// out of a process is taken away.
constexpr const char* kForbidden[] = {
    "execve",       "execveat",      "ptrace",        "process_vm_readv", "process_vm_writev",
    "mount",        "umount2",       "pivot_root",    "chroot",           "unshare",
    "setns",        "bpf",           "perf_event_open",  "userfaultfd",
    "keyctl",       "add_key",       "request_key",   "init_module",      "finit_module",
    "kexec_load",   "open_by_handle_at", "io_uring_setup", "kill",        "tkill",
    "pidfd_open",   "pidfd_getfd",   "memfd_create",  "personality",      "quotactl",
    "fsopen",       "fsmount",       "move_mount",    "open_tree",        "mknod",
    "mknodat",      "link",          "linkat",        "symlink",          "symlinkat",
    "chmod",        "fchmod",        "fchmodat",      "chown",            "fchown",
    "fchownat",     "setuid",        "setgid",        "setgroups",        "reboot"};

// The C library tries it and makes its threads by clone where it does not exist.
constexpr const char* kAbsent[] = {"clone3"};

}  // namespace

Status enter_cell(const WorkerUser& user) {
  MOORED_CHECK(limit_resources({{"as", kMemoryBytes}, {"fsize", 0}, {"nofile", kDescriptors}}));
  MOORED_CHECK(give_up_rights(user, 0));
  MOORED_CHECK(std::move(FileRules().allow(kReadable, FileAccess::read)).enforce());
  CallFilter filter(CallFilter::Otherwise::allow);
  filter.deny(kForbidden, EPERM).deny(kAbsent, ENOSYS);
  return std::move(filter).load();
}

}  // namespace moored::registry
