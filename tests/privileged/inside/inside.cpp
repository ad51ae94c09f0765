// A program for the inside of containers: does what no shell can, and prints what came of it.
//   inside ids          real, effective and saved uid
//   inside key [add]    the serial of the session keyring, and whether the tests' key is in reach;
//                       add: puts that key into it first
//   inside calls        a line for each system call that goes deep into the kernel
//   inside machines     the same for the other ways into it, each in a process of its own
//   inside burn N       keeps the processor busy for N milliseconds of its own time
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

constexpr const char* kKey = "moored-test";
constexpr int kVsock = 40;
constexpr long kX32 = 0x40000000;

const char* outcome(long result) {
  if (result >= 0) return "done";
  switch (errno) {
    case EPERM: return "EPERM";
    case ENOSYS: return "ENOSYS";
    default: return std::strerror(errno);
  }
}

int show_ids() {
  uid_t real = 0, effective = 0, saved = 0;
  if (::getresuid(&real, &effective, &saved) != 0) return 1;
  std::printf("%u %u %u\n", real, effective, saved);
  return 0;
}

int show_keys(bool add) {
  if (add && ::syscall(SYS_add_key, "user", kKey, "x", 1, KEY_SPEC_SESSION_KEYRING) < 0) {
    std::perror("add_key");
    return 1;
  }
  const long ring = ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
  const long found =
      ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", kKey, 0);
  std::printf("%ld %s\n", ring, found >= 0 ? "found" : outcome(found));
  return 0;
}

// A clone that succeeds has a child, which ends at once.
long try_clone(unsigned long flags) {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) ::_exit(0);
  if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  return pid;
}

int show_calls() {
  char letter = 'x';
  clone_args none{};
  const auto say = [](const char* name, long result) {
    std::printf("%s %s\n", name, outcome(result));
  };
  say("alg", ::socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  say("vsock", ::socket(kVsock, SOCK_STREAM | SOCK_CLOEXEC, 0));
  say("userfaultfd", ::syscall(SYS_userfaultfd, 0));
  say("io_uring_setup", ::syscall(SYS_io_uring_setup, 1, nullptr));
  say("keyctl", ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  say("bpf", ::syscall(SYS_bpf, 0, nullptr, 0));
  say("clone-user", try_clone(CLONE_NEWUSER));
  say("clone3", ::syscall(SYS_clone3, &none, sizeof none));
  say("unshare", ::unshare(CLONE_NEWUSER));
  say("sti", ::ioctl(0, TIOCSTI, &letter));
  say("personality", ::syscall(SYS_personality, 0x0400000));
  say("clone", try_clone(0));
  return 0;
}

long call_x32() { return ::syscall(kX32 | SYS_getpid); }

long call_i386() {
  long result = 20;  // getpid of the older machine
#if defined(__x86_64__)
  asm volatile("int $0x80" : "+a"(result)::"memory");
#endif
  return result;
}

int show_machines() {
  struct Way {
    const char* name;
    long (*call)();
  };
  for (const auto& way : {Way{"x32", &call_x32}, Way{"i386", &call_i386}}) {
    std::fflush(stdout);
    const pid_t pid = ::fork();
    if (pid == 0) {
      static_cast<void>(way.call());
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    std::printf("%s %s\n", way.name,
                WIFSIGNALED(status) ? "killed" : "lives");
  }
  return 0;
}

int burn(long milliseconds) {
  rusage used{};
  do {
    if (::getrusage(RUSAGE_SELF, &used) != 0) return 1;
  } while ((used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000 <
           milliseconds);
  std::puts("burnt");
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const auto is = [&](const char* word) { return count > 1 && std::strcmp(words[1], word) == 0; };
  if (is("ids")) return show_ids();
  if (is("key")) return show_keys(count > 2);
  if (is("calls")) return show_calls();
  if (is("machines")) return show_machines();
  if (is("burn") && count > 2) return burn(std::strtol(words[2], nullptr, 10));
  return 2;
}
