// The system call filter, run by an interpreter of its instructions.
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "runtime/container/seccomp.hpp"

using namespace moored;
using namespace moored::container;

namespace {

constexpr std::uint64_t kDefault = 0xa80425fb;
constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kDenied = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kUnknown = SECCOMP_RET_ERRNO | ENOSYS;
#if defined(__x86_64__)
constexpr std::uint32_t kNative = AUDIT_ARCH_X86_64;
constexpr std::uint32_t kForeign = AUDIT_ARCH_I386;
#else
constexpr std::uint32_t kNative = AUDIT_ARCH_AARCH64;
constexpr std::uint32_t kForeign = AUDIT_ARCH_ARM;
#endif

std::vector<sock_filter> build(std::uint64_t capabilities) {
  const auto bytes = make_seccomp_program(capabilities);
  REQUIRE(bytes);
  std::vector<sock_filter> program(bytes->size() / sizeof(sock_filter));
  bytes->copy(reinterpret_cast<char*>(program.data()), bytes->size());
  return program;
}

bool jumps(int operation, std::uint32_t a, std::uint32_t k) {
  switch (operation) {
    case BPF_JEQ:
      return a == k;
    case BPF_JGT:
      return a > k;
    case BPF_JGE:
      return a >= k;
    case BPF_JSET:
      return (a & k) != 0;
    default:
      FAIL("an unexpected comparison");
      return false;
  }
}

// What the kernel would answer for one call.
std::uint32_t run(const std::vector<sock_filter>& program, std::uint32_t architecture, int number,
                  std::array<std::uint64_t, 6> arguments = {}) {
  seccomp_data call{};
  call.nr = number;
  call.arch = architecture;
  for (std::size_t i = 0; i < 6; ++i)
    call.args[i] = arguments[i];
  std::uint32_t a = 0;
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const auto& i = program[pc];
    switch (BPF_CLASS(i.code)) {
      case BPF_LD:
        REQUIRE(i.k + 4 <= sizeof call);
        std::memcpy(&a, reinterpret_cast<const char*>(&call) + i.k, 4);
        break;
      case BPF_ALU:
        REQUIRE(BPF_OP(i.code) == BPF_AND);
        a &= i.k;
        break;
      case BPF_JMP:
        if (BPF_OP(i.code) == BPF_JA) {
          pc += i.k;
        } else {
          pc += jumps(BPF_OP(i.code), a, i.k) ? i.jt : i.jf;
        }
        break;
      case BPF_RET:
        return i.k;
      default:
        FAIL("an unexpected instruction");
        return 0;
    }
  }
  FAIL("the program runs off its end");
  return 0;
}

std::uint32_t call(const std::vector<sock_filter>& program, int number,
                   std::array<std::uint64_t, 6> arguments = {}) {
  return run(program, kNative, number, arguments);
}

}  // namespace

TEST_CASE("every call number gets an answer, and only the table is denied") {
  const auto program = build(kDefault);
  int denied = 0;
  for (int number = 0; number <= 1200; ++number) {
    const auto answer = call(program, number);
    const bool known = answer == kAllow || answer == kDenied || answer == kUnknown;
    REQUIRE(known);
    if (answer == kDenied) ++denied;
    if (number > highest_known_call()) REQUIRE(answer == kUnknown);
  }
  CHECK(denied > 50);
  CHECK(denied < 90);
  CHECK(program.size() <= 4096);
}

TEST_CASE("ordinary calls pass") {
  const auto program = build(kDefault);
  for (const int number :
       {SYS_read, SYS_write, SYS_openat, SYS_execve, SYS_exit_group, SYS_mmap, SYS_futex,
        SYS_socket, SYS_connect, SYS_ptrace, SYS_seccomp, SYS_prctl, SYS_capset, SYS_setresuid,
        SYS_close_range, SYS_openat2, SYS_clock_adjtime, SYS_name_to_handle_at, SYS_chroot}) {
    INFO(number);
    CHECK(call(program, number) == kAllow);
  }
}

TEST_CASE("dangerous calls are denied unless the capability is there") {
  struct Row {
    int number;
    int capability;  // -1: none allows it
  };
  const std::array<Row, 17> rows{{{SYS_mount, CAP_SYS_ADMIN},
                                  {SYS_umount2, CAP_SYS_ADMIN},
                                  {SYS_setns, CAP_SYS_ADMIN},
                                  {SYS_unshare, CAP_SYS_ADMIN},
                                  {SYS_open_tree, CAP_SYS_ADMIN},
                                  {SYS_bpf, CAP_BPF},
                                  {SYS_perf_event_open, CAP_PERFMON},
                                  {SYS_init_module, CAP_SYS_MODULE},
                                  {SYS_reboot, CAP_SYS_BOOT},
                                  {SYS_syslog, CAP_SYSLOG},
                                  {SYS_open_by_handle_at, CAP_DAC_READ_SEARCH},
                                  {SYS_pivot_root, -1},
                                  {SYS_keyctl, -1},
                                  {SYS_userfaultfd, -1},
                                  {SYS_io_uring_setup, -1},
                                  {SYS_swapon, -1},
                                  {SYS_kexec_load, -1}}};
  const auto plain = build(kDefault);
  const auto everything = build(~0ULL);
  for (const auto& row : rows) {
    INFO(row.number);
    CHECK(call(plain, row.number) == kDenied);
    CHECK(call(everything, row.number) == (row.capability < 0 ? kDenied : kAllow));
    if (row.capability < 0) continue;
    CHECK(call(build(kDefault | 1ULL << static_cast<unsigned>(row.capability)), row.number) ==
          kAllow);
  }
  CHECK(call(build(kDefault & ~(1ULL << CAP_SYS_CHROOT)), SYS_chroot) == kDenied);
}

TEST_CASE("clone makes no namespaces, clone3 does not exist") {
  const auto program = build(kDefault);
  CHECK(call(program, SYS_clone, {0x3d0f00}) == kAllow);  // a thread
  CHECK(call(program, SYS_clone, {17}) == kAllow);        // fork
  for (const std::uint64_t kind : {0x00020000ULL, 0x02000000ULL, 0x04000000ULL, 0x08000000ULL,
                                   0x10000000ULL, 0x20000000ULL, 0x40000000ULL}) {
    CHECK(call(program, SYS_clone, {kind | 17}) == kDenied);
  }
  CHECK(call(program, SYS_clone3) == kUnknown);
  const auto admin = build(kDefault | 1ULL << CAP_SYS_ADMIN);
  CHECK(call(admin, SYS_clone, {0x10000000}) == kAllow);
  CHECK(call(admin, SYS_clone3) == kAllow);
}

TEST_CASE("arguments are compared as the kernel reads them") {
  const auto program = build(~0ULL);
  constexpr std::uint64_t kHigh = 0xdead00000000;  // ignored by the kernel for these
  for (const std::uint64_t extra : {std::uint64_t{0}, kHigh}) {
    CHECK(call(program, SYS_socket, {38 | extra, 1, 0}) == kDenied);  // AF_ALG
    CHECK(call(program, SYS_socket, {40 | extra, 1, 0}) == kDenied);  // AF_VSOCK
    CHECK(call(program, SYS_socket, {2 | extra, 1, 0}) == kAllow);
    CHECK(call(program, SYS_ioctl, {0, 0x5412 | extra}) == kDenied);  // TIOCSTI
    CHECK(call(program, SYS_ioctl, {0, 0x541c | extra}) == kDenied);  // TIOCLINUX
    CHECK(call(program, SYS_ioctl, {0, 0x5401 | extra}) == kAllow);
    for (const std::uint64_t allowed : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL}) {
      CHECK(call(program, SYS_personality, {allowed | extra}) == kAllow);
    }
    CHECK(call(program, SYS_personality, {0x40000 | extra}) == kDenied);
    CHECK(call(program, SYS_personality, {0xffffffff | extra}) == kAllow);
  }
}

TEST_CASE("another architecture ends the process") {
  const auto program = build(~0ULL);
  CHECK(run(program, kForeign, 1) == SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
  CHECK(call(program, 0x40000000 | SYS_read) == SECCOMP_RET_KILL_PROCESS);  // x32
#endif
}

TEST_CASE("the same rights give the same program") {
  CHECK(*make_seccomp_program(kDefault) == *make_seccomp_program(kDefault));
  CHECK(*make_seccomp_program(kDefault) != *make_seccomp_program(~0ULL));
}
