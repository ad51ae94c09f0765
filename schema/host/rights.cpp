#include "schema/host/rights.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <string>
#include <utility>

#include "schema/host/file.hpp"

namespace moored::rights {
namespace {

constexpr unsigned kCapabilityBits = 64;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// The two 32-bit halves that capget and capset speak.
struct Sets {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> half{};
};

// Also false for a capability that the kernel does not know.
bool is_bounded(unsigned capability) {
  return ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1;
}

}  // namespace

Result<std::uint64_t> read_known_capabilities() {
  MOORED_TRY(const auto text, read_file("/proc/sys/kernel/cap_last_cap", 64));
  unsigned last = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    last = last * 10 + static_cast<unsigned>(c - '0');
  }
  if (last == 0 || last >= kCapabilityBits) return fail(Code::corrupt, "cap_last_cap: " + text);
  return last + 1 == kCapabilityBits ? ~0ULL : (1ULL << (last + 1)) - 1;
}

Result<std::uint64_t> read_own_capabilities() {
  Sets sets;
  if (::syscall(SYS_capget, &sets.header, sets.half.data()) != 0)
    return failed("read capabilities");
  std::uint64_t own = sets.half[0].permitted | static_cast<std::uint64_t>(sets.half[1].permitted)
                                                   << 32U;
  for (unsigned i = 0; i < kCapabilityBits; ++i) {
    if ((own >> i & 1U) != 0 && !is_bounded(i)) own &= ~(1ULL << i);
  }
  return own;
}

Status limit_bounding_set(std::uint64_t keep) {
  // A capability that the kernel does not know reads as not bounded.
  for (unsigned i = 0; i < kCapabilityBits; ++i) {
    const bool drop = (keep >> i & 1U) == 0 && is_bounded(i);
    if (drop && ::prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
      return failed("drop capability " + std::to_string(i));
    }
  }
  return {};
}

// Ambient first: it can hold only what is permitted and inheritable, and must never be filled by
// what a program finds here.
Status set_capabilities(std::uint64_t permitted, std::uint64_t effective) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return failed("clear ambient capabilities");
  }
  Sets sets;
  sets.half[0].permitted = static_cast<std::uint32_t>(permitted);
  sets.half[1].permitted = static_cast<std::uint32_t>(permitted >> 32U);
  sets.half[0].effective = static_cast<std::uint32_t>(effective);
  sets.half[1].effective = static_cast<std::uint32_t>(effective >> 32U);
  if (::syscall(SYS_capset, &sets.header, sets.half.data()) != 0) return failed("set capabilities");
  return {};
}

// Groups before gid before uid: each call needs the rights that the next one gives away.
Status set_ids(std::uint32_t uid, std::uint32_t gid, const std::vector<std::uint32_t>& groups) {
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed("keep capabilities");
  // Raw calls: the C library's would signal every thread, and there is only this one.
  if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0) return failed("set groups");
  if (::syscall(SYS_setresgid, gid, gid, gid) != 0) return failed("set gid");
  if (::syscall(SYS_setresuid, uid, uid, uid) != 0) return failed("set uid");
  if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return failed("stop keeping capabilities");
  uid_t real_uid = 0, effective_uid = 0, saved_uid = 0;
  gid_t real_gid = 0, effective_gid = 0, saved_gid = 0;
  if (::getresuid(&real_uid, &effective_uid, &saved_uid) != 0 ||
      ::getresgid(&real_gid, &effective_gid, &saved_gid) != 0) {
    return failed("read ids back");
  }
  if (real_uid != uid || effective_uid != uid || saved_uid != uid || real_gid != gid ||
      effective_gid != gid || saved_gid != gid) {
    return fail(Code::internal, "the kernel gave other ids than asked for");
  }
  return {};
}

Status set_limit(const std::string& name, std::uint64_t value) {
  constexpr std::pair<std::string_view, __rlimit_resource> kLimits[] = {
      {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}, {"core", RLIMIT_CORE},
      {"as", RLIMIT_AS},         {"fsize", RLIMIT_FSIZE}, {"cpu", RLIMIT_CPU}};
  const auto* found = std::find_if(std::begin(kLimits), std::end(kLimits),
                                   [&](const auto& limit) { return limit.first == name; });
  if (found == std::end(kLimits)) return fail(Code::invalid, "unknown limit " + name);
  const auto resource = found->second;
  rlimit limit{value, value};
  if (::setrlimit(resource, &limit) == 0) return {};
  if (::getrlimit(resource, &limit) != 0) return failed("read limit " + name);
  limit.rlim_max = std::min<rlim_t>(value, limit.rlim_max);
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(resource, &limit) != 0) return failed("set limit " + name);
  return {};
}

Status set_no_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("set no_new_privs");
  return {};
}

// The kernel copies the program; a bad one is refused as a whole, so there is no half of a filter.
Status load_seccomp(std::string_view program) {
  constexpr std::size_t kMaxInstructions = 4096;
  const std::size_t count = program.size() / sizeof(sock_filter);
  if (count == 0 || count > kMaxInstructions || program.size() % sizeof(sock_filter) != 0) {
    return fail(Code::invalid, "seccomp program of " + std::to_string(program.size()) + " bytes");
  }
  std::vector<sock_filter> instructions(count);
  program.copy(reinterpret_cast<char*>(instructions.data()), program.size());
  sock_fprog filter{static_cast<unsigned short>(count), instructions.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
    return failed("load seccomp program");
  }
  return {};
}

Status join_new_keyring() {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS) {
    return failed("join session keyring");
  }
  return {};
}

Status set_dumpable(bool dumpable) {
  if (::prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0) != 0) return failed("set dumpable");
  return {};
}

}  // namespace moored::rights
