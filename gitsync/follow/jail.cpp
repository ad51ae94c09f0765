#include "gitsync/follow/jail.hpp"

#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

#include "schema/host/confinement.hpp"

namespace moored::git {
namespace {

constexpr std::uint64_t kMemoryBytes = 2UL << 30U;
// One pack is the largest file; the meter refuses it at half of this already.
constexpr std::uint64_t kFileBytes = 1UL << 30U;
// A mirror holds two for each pack, and has at most a hundred of them.
constexpr std::uint64_t kDescriptors = 512;

// Where a program finds name servers, certificates and the modules that look names up.
constexpr const char* kSystemDirectories[] = {
    "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
    "/run/NetworkManager", "/proc"};

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
  FileRules rules;
  if (jail.local.empty()) {
    rules.allow(jail.mirror, FileAccess::write);
    rules.allow(kSystemDirectories, FileAccess::read);
  } else {
    rules.allow(lies_in_one_place(jail.local) ? jail.local : "/", FileAccess::read);
  }
  return std::move(rules).enforce();
}

// What a mirror and its servers need beyond the ordinary.
constexpr const char* kFetchingCalls[] = {
    "pwrite64", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "link", "linkat", "chmod",
    "fchmod", "fchmodat", "utime", "utimes", "utimensat", "umask", "connect", "bind",
    "getsockopt", "setsockopt", "getsockname", "getpeername", "sendmmsg", "recvmmsg",
    "socketpair", "pipe", "pipe2", "eventfd2", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait"};

// Sockets of the Internet and the one that the resolver asks for addresses; no local ones, behind
// which other programs of this machine wait. Threads, for the resolver, but no processes.
void allow_servers(CallFilter& filter) {
  filter.allow(kFetchingCalls);
  for (const unsigned family : {AF_INET, AF_INET6, AF_NETLINK}) {
    filter.allow_if("socket", 0, family);
  }
  // Of the controls of a descriptor only these two: standard error may be somebody's terminal.
  for (const unsigned control : {FIONBIO, FIONREAD}) filter.allow_if("ioctl", 1, control);
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  filter.allow_if("clone", 0, kThread, kThread);
}

Status restrict_calls(const Jail& jail) {
  CallFilter filter(CallFilter::Otherwise::absent);
  filter.allow_ordinary();
  if (jail.local.empty()) allow_servers(filter);
  // abort() sends a signal to its own process.
  filter.allow_if("tgkill", 0, static_cast<std::uint64_t>(::getpid()));
  return std::move(filter).load();
}

}  // namespace

Status enter_jail(const Jail& jail) {
  MOORED_CHECK(
      limit_resources({{"as", kMemoryBytes}, {"fsize", kFileBytes}, {"nofile", kDescriptors}}));
  const bool reads_closed_places = !jail.local.empty();
  MOORED_CHECK(give_up_rights(
      jail.user, reads_closed_places ? std::uint64_t{1} << CAP_DAC_READ_SEARCH : 0));
  MOORED_CHECK(restrict_files(jail));
  return restrict_calls(jail);
}

}  // namespace moored::git
