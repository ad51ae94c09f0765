#include "runtime/container/seccomp.hpp"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::container {
namespace {

// The kernel's limit (BPF_MAXINSNS); a longer program is refused when it is loaded.
constexpr std::size_t kMaxInstructions = 4096;
// Well above the newest call (about 470); only asked for names, which costs nothing.
constexpr int kMaxCallNumber = 1023;
// No capability allows it: no bit of any set matches.
constexpr std::uint64_t kNever = 0;
constexpr std::uint64_t bit(unsigned capability) {
  return 1ULL << capability;
}

// A call that is denied unless one of the capabilities is there.
struct Denied {
  const char* call;
  std::uint64_t allowed_with;
};
constexpr std::uint64_t kAdmin = bit(CAP_SYS_ADMIN);
constexpr Denied kDenied[] = {
    {"init_module", bit(CAP_SYS_MODULE)},
    {"finit_module", bit(CAP_SYS_MODULE)},
    {"delete_module", bit(CAP_SYS_MODULE)},
    {"create_module", kNever},
    {"get_kernel_syms", kNever},
    {"query_module", kNever},
    {"kexec_load", kNever},
    {"kexec_file_load", kNever},
    {"reboot", bit(CAP_SYS_BOOT)},
    {"mount", kAdmin},
    {"umount", kAdmin},
    {"umount2", kAdmin},
    {"pivot_root", kNever},
    {"open_tree", kAdmin},
    {"move_mount", kAdmin},
    {"fsopen", kAdmin},
    {"fsconfig", kAdmin},
    {"fsmount", kAdmin},
    {"fspick", kAdmin},
    {"mount_setattr", kAdmin},
    {"setns", kAdmin},
    {"unshare", kAdmin},
    {"add_key", kNever},
    {"request_key", kNever},
    {"keyctl", kNever},
    {"bpf", kAdmin | bit(CAP_BPF)},
    {"perf_event_open", kAdmin | bit(CAP_PERFMON)},
    {"kcmp", bit(CAP_SYS_PTRACE)},
    {"pidfd_getfd", bit(CAP_SYS_PTRACE)},
    {"process_madvise", bit(CAP_SYS_PTRACE)},
    {"userfaultfd", kNever},
    {"io_uring_setup", kNever},
    {"io_uring_enter", kNever},
    {"io_uring_register", kNever},
    {"mbind", bit(CAP_SYS_NICE)},
    {"set_mempolicy", bit(CAP_SYS_NICE)},
    {"get_mempolicy", bit(CAP_SYS_NICE)},
    {"set_mempolicy_home_node", bit(CAP_SYS_NICE)},
    {"migrate_pages", kNever},
    {"move_pages", kNever},
    {"settimeofday", bit(CAP_SYS_TIME)},
    {"clock_settime", bit(CAP_SYS_TIME)},
    {"swapon", kNever},
    {"swapoff", kNever},
    {"acct", bit(CAP_SYS_PACCT)},
    {"quotactl", kAdmin},
    {"quotactl_fd", kAdmin},
    {"iopl", bit(CAP_SYS_RAWIO)},
    {"ioperm", bit(CAP_SYS_RAWIO)},
    {"sethostname", kAdmin},
    {"setdomainname", kAdmin},
    {"syslog", bit(CAP_SYSLOG) | kAdmin},
    {"open_by_handle_at", bit(CAP_DAC_READ_SEARCH)},
    {"fanotify_init", kAdmin},
    {"lookup_dcookie", kAdmin},
    {"vhangup", bit(CAP_SYS_TTY_CONFIG)},
    {"chroot", bit(CAP_SYS_CHROOT)},
    {"uselib", kNever},
    {"ustat", kNever},
    {"sysfs", kNever},
    {"_sysctl", kNever},
    {"nfsservctl", kNever},
    {"vserver", kNever},
    {"tuxcall", kNever},
    {"security", kNever},
    {"afs_syscall", kNever},
    {"getpmsg", kNever},
    {"putpmsg", kNever},
};

// All CLONE_NEW* flags that clone takes, the cgroup one included.
constexpr std::uint64_t kNewNamespaces = 0x7e020000;
// Linux, 32-bit names (uname26, both) and "only ask"; others switch off address
// randomisation.
constexpr std::array<std::uint64_t, 5> kPersonalities{0, 0x8, 0x20000, 0x20008, 0xffffffff};
constexpr std::uint64_t kLow = 0xffffffff;  // the kernel looks at these bits only
// Both push characters into a terminal, as if its user had typed them.
constexpr std::uint64_t kTiocsti = 0x5412, kTioclinux = 0x541c;
// AF_ALG reaches seldom used kernel code; AF_VSOCK reaches the host around a namespace.
constexpr std::uint64_t kAlgFamily = 38, kVsockFamily = 40;

struct ReleaseContext {
  void operator()(void* context) const { seccomp_release(context); }
};

// One libseccomp context. The first refused rule is kept as the error.
class Filter {
 public:
  explicit Filter(std::uint32_t otherwise) : context_(seccomp_init(otherwise)) {
    if (!context_) error_ = ENOMEM;
    note(seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    // A binary tree instead of a list: a call costs some ten instructions instead of
    // hundreds.
    note(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  }

  // A call that this architecture does not have (number below 0) needs no rule.
  void rule(std::uint32_t action, int call) {
    if (call >= 0) note(seccomp_rule_add_array(context_.get(), action, call, 0, nullptr));
  }
  // With a comparison of the bits under mask of one argument.
  void rule(std::uint32_t action, int call, unsigned argument, std::uint64_t mask,
            std::uint64_t value) {
    const scmp_arg_cmp compare{argument, SCMP_CMP_MASKED_EQ, mask, value};
    if (call >= 0) note(seccomp_rule_add_array(context_.get(), action, call, 1, &compare));
  }

  // The library writes programs to descriptors only; memory takes the place of a file.
  Result<std::vector<sock_filter>> instructions() {
    const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return Unexpected(system_error("make memory file", errno));
    if (error_ == 0) note(seccomp_export_bpf(context_.get(), file.get()));
    if (error_ != 0) return Unexpected(system_error("build seccomp program", error_));
    MOORED_TRY(const auto bytes, read_file("/proc/self/fd/" + std::to_string(file.get())));
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    bytes.copy(reinterpret_cast<char*>(program.data()), program.size() * sizeof(sock_filter));
    return program;
  }

 private:
  void note(int code) {
    if (code < 0 && error_ == 0) error_ = -code;
  }

  std::unique_ptr<void, ReleaseContext> context_;
  int error_ = 0;
};

// Negative numbers are the library's own marks for calls of other architectures.
int number_of(const char* call) {
  const int number = seccomp_syscall_resolve_name(call);
  return number < 0 ? -1 : number;
}

// Everything that the library has a name for on this architecture.
std::set<int> known_calls() {
  std::set<int> known;
  const auto architecture = seccomp_arch_native();
  for (int i = 0; i <= kMaxCallNumber; ++i) {
    char* name = seccomp_syscall_resolve_num_arch(architecture, i);
    if (name != nullptr) known.insert(i);
    std::free(name);
  }
  return known;
}

// Everything known passes, except the table. Comparisons here only widen what passes.
Result<std::vector<sock_filter>> make_allowing(std::uint64_t capabilities) {
  Filter filter(SCMP_ACT_ERRNO(EPERM));
  auto allowed = known_calls();
  for (const auto& row : kDenied) {
    if ((row.allowed_with & capabilities) == 0) allowed.erase(number_of(row.call));
  }
  const int personality = number_of("personality");
  allowed.erase(personality);
  for (const auto value : kPersonalities) {
    filter.rule(SCMP_ACT_ALLOW, personality, 0, kLow, value);
  }
  // Threads and processes yes, new namespaces no: the flags are in a register and can be
  // seen.
  const int clone = number_of("clone");
  if ((capabilities & kAdmin) == 0) {
    allowed.erase(clone);
    filter.rule(SCMP_ACT_ALLOW, clone, 0, kNewNamespaces, 0);
  }
  for (const int call : allowed)
    filter.rule(SCMP_ACT_ALLOW, call);
  return filter.instructions();
}

// What must be denied by argument although the call is allowed.
Result<std::vector<sock_filter>> make_denying(std::uint64_t capabilities) {
  Filter filter(SCMP_ACT_ALLOW);
  const auto denied = SCMP_ACT_ERRNO(EPERM);
  const int ioctl = number_of("ioctl");
  filter.rule(denied, ioctl, 1, kLow, kTiocsti);
  filter.rule(denied, ioctl, 1, kLow, kTioclinux);
  const int socket = number_of("socket");
  filter.rule(denied, socket, 0, kLow, kAlgFamily);
  filter.rule(denied, socket, 0, kLow, kVsockFamily);
  // Its flags cannot be looked at; without it the C library uses clone.
  if ((capabilities & kAdmin) == 0) filter.rule(SCMP_ACT_ERRNO(ENOSYS), number_of("clone3"));
  return filter.instructions();
}

// Jumps count instructions to skip.
sock_filter statement(int code, std::uint32_t value, int jump_true = 0, int jump_false = 0) {
  return {static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(jump_true),
          static_cast<std::uint8_t>(jump_false), value};
}

// Numbers that no call of the table has get ENOSYS: those beyond it and those in its gaps. Other
// architectures, and x32 which the library tells by a high bit, are left to the library's part.
std::vector<sock_filter> make_prologue() {
  constexpr std::uint32_t kX32Bit = 0x40000000;
  std::vector<sock_filter> gaps;
  std::uint32_t next = 0;
  const auto append_gap = [&](std::uint32_t first, std::uint32_t last) {
    gaps.push_back(statement(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2));
    gaps.push_back(statement(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0));
    gaps.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  };
  for (const int call : known_calls()) {
    const auto number = static_cast<std::uint32_t>(call);
    if (number > next) append_gap(next, number - 1);
    next = number + 1;
  }
  append_gap(next, kX32Bit - 1);
  const auto size = static_cast<std::uint32_t>(gaps.size());
  std::vector<sock_filter> program{
      statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offsetof(seccomp_data, arch))),
      statement(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0),
      statement(BPF_JMP | BPF_JA, size + 1),
      statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offsetof(seccomp_data, nr)))};
  program.insert(program.end(), gaps.begin(), gaps.end());
  return program;
}

// One program: where the first would allow, the second decides.
std::vector<sock_filter> join_programs(std::vector<sock_filter> first,
                                       const std::vector<sock_filter>& second) {
  for (std::size_t i = 0; i < first.size(); ++i) {
    const bool allows = first[i].code == (BPF_RET | BPF_K) && first[i].k == SECCOMP_RET_ALLOW;
    if (!allows) continue;
    first[i] = statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(first.size() - i - 1));
  }
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

int highest_known_call() {
  static const int kHighest = *known_calls().rbegin();
  return kHighest;
}

// Prologue, then what is allowed, then what is denied by argument: one program, one load.
Result<std::string> make_seccomp_program(std::uint64_t capabilities) {
  MOORED_TRY(const auto allowing, make_allowing(capabilities));
  MOORED_TRY(const auto denying, make_denying(capabilities));
  auto program = make_prologue();
  const auto decision = join_programs(allowing, denying);
  program.insert(program.end(), decision.begin(), decision.end());
  if (program.size() > kMaxInstructions) {
    return fail(Code::exhausted, "the seccomp program has too many instructions");
  }
  return std::string(reinterpret_cast<const char*>(program.data()),
                     program.size() * sizeof(sock_filter));
}

}  // namespace moored::container
