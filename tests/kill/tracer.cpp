// moored-tracer: kills a process in front of the N-th system call by which it changes something.
//
//   moored-tracer --at N --pid PID          counts in a process that runs already
//   moored-tracer --at N -- PROGRAM ARG...  counts from the start of a program
//   moored-tracer --at N --child NAME ...   counts in the next child or copy of that name instead
//   moored-tracer --at N --fail FAULT --times K ...   lets K calls from the N-th on fail instead:
//     full (no room: writes to files), io (a broken disk: writes and syncs), files (no descriptor
//     is left), processes (none can be made); the others are not counted
//
// Threads are followed and counted together, in the order in which the kernel shows them. Says
// "ready" when it counts, and at the end one line of JSON: the call, the file it was about and its
// number, or how many calls there were when the process ended, or SIGTERM came, before the N-th.
// The traced program needs no knowledge of this one. Calls are let fail on x86-64 only.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

// A call that changes something outside of the process. fd: the argument that is a descriptor.
struct Call {
  long number;
  const char* name;
  int fd;
};
constexpr int kNoFd = -1;
constexpr Call kCalls[] = {
    {SYS_write, "write", 0},           {SYS_pwrite64, "pwrite64", 0},
    {SYS_writev, "writev", 0},         {SYS_pwritev, "pwritev", 0},
    {SYS_fsync, "fsync", 0},           {SYS_fdatasync, "fdatasync", 0},
    {SYS_ftruncate, "ftruncate", 0},   {SYS_fallocate, "fallocate", 0},
    {SYS_rename, "rename", kNoFd},     {SYS_renameat, "renameat", kNoFd},
    {SYS_renameat2, "renameat2", kNoFd}, {SYS_unlink, "unlink", kNoFd},
    {SYS_unlinkat, "unlinkat", kNoFd}, {SYS_mkdir, "mkdir", kNoFd},
    {SYS_mkdirat, "mkdirat", kNoFd},   {SYS_rmdir, "rmdir", kNoFd},
    {SYS_symlinkat, "symlinkat", kNoFd}, {SYS_fchmod, "fchmod", 0},
    {SYS_mount, "mount", kNoFd},       {SYS_umount2, "umount2", kNoFd},
    {SYS_move_mount, "move_mount", kNoFd}, {SYS_setns, "setns", 0},
    {SYS_unshare, "unshare", kNoFd},   {SYS_bind, "bind", 0},
    {SYS_connect, "connect", 0},       {SYS_sendto, "sendto", 0},
    {SYS_sendmsg, "sendmsg", 0},       {SYS_sendmmsg, "sendmmsg", 0},
    {SYS_clone, "clone", kNoFd},       {SYS_clone3, "clone3", kNoFd},
    {SYS_vfork, "vfork", kNoFd},       {SYS_execve, "execve", kNoFd},
    {SYS_kill, "kill", kNoFd},         {SYS_pidfd_send_signal, "pidfd_send_signal", 0},
    {SYS_flock, "flock", 0},
};

// Calls that give a new descriptor.
constexpr Call kOpenings[] = {
    {SYS_openat, "openat", kNoFd},       {SYS_socket, "socket", kNoFd},
    {SYS_accept4, "accept4", kNoFd},     {SYS_pipe2, "pipe2", kNoFd},
    {SYS_eventfd2, "eventfd2", kNoFd},   {SYS_memfd_create, "memfd_create", kNoFd},
    {SYS_pidfd_open, "pidfd_open", kNoFd}, {SYS_epoll_create1, "epoll_create1", kNoFd},
    {SYS_open_tree, "open_tree", kNoFd}, {SYS_fsopen, "fsopen", kNoFd},
    {SYS_fsmount, "fsmount", kNoFd},     {SYS_inotify_init1, "inotify_init1", kNoFd},
    {SYS_timerfd_create, "timerfd_create", kNoFd},
};

// What fails, and with which error.
struct Fault {
  const char* name;
  int error;
};
constexpr Fault kFaults[] = {
    {"full", ENOSPC}, {"io", EIO}, {"files", EMFILE}, {"processes", EAGAIN}};

constexpr unsigned long kFollowThreads = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
                                         PTRACE_O_TRACEEXEC;
constexpr unsigned long kFollowChildren = PTRACE_O_TRACEVFORK | PTRACE_O_TRACEFORK;

struct Options {
  long at = LONG_MAX;
  pid_t pid = 0;
  std::string child;
  const Fault* fault = nullptr;  // nullptr: the process is killed
  long times = 1;
  char** program = nullptr;
};

volatile sig_atomic_t stop_wanted = 0;
void want_stop(int) { stop_wanted = stop_wanted + 1; }

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "moored-tracer: %s: %s\n", what, std::strerror(errno));
  std::exit(2);
}

long trace(int request, pid_t task, void* address, unsigned long value) {
  return ::ptrace(static_cast<__ptrace_request>(request), task, address, value);
}

#if defined(__x86_64__)
constexpr std::size_t kNumberPlace = offsetof(user, regs.orig_rax);
constexpr std::size_t kAnswerPlace = offsetof(user, regs.rax);
#else
constexpr std::size_t kNumberPlace = 0;
constexpr std::size_t kAnswerPlace = 0;
#endif

void poke(pid_t task, std::size_t place, unsigned long value) {
  trace(PTRACE_POKEUSER, task, reinterpret_cast<void*>(place), value);
}

std::string read_name(pid_t task) {
  std::array<char, 64> text{};
  const int fd = ::open(("/proc/" + std::to_string(task) + "/comm").c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? 0 : ::read(fd, text.data(), text.size() - 1);
  if (fd >= 0) ::close(fd);
  std::string name(text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

// What a program was called by: the last part of its first argument. Its own name is that of the
// file it came from, which may be a number.
std::string read_called(pid_t task) {
  std::array<char, PATH_MAX> text{};
  const std::string path = "/proc/" + std::to_string(task) + "/cmdline";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  static_cast<void>(fd >= 0 && ::read(fd, text.data(), text.size() - 1) > 0);
  if (fd >= 0) ::close(fd);
  const std::string called = text.data();
  return called.substr(called.rfind('/') + 1);
}

// Whether a task is not the first of its process.
bool is_thread(pid_t task) {
  const std::string number = std::to_string(task);
  const std::string path = "/proc/" + number + "/status";
  std::array<char, 4096> text{};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  static_cast<void>(fd >= 0 && ::read(fd, text.data(), text.size() - 1) > 0);
  if (fd >= 0) ::close(fd);
  return std::string(text.data()).find("\nTgid:\t" + number + "\n") == std::string::npos;
}

// What a descriptor of a task refers to; only letters that need no escaping in JSON.
std::string read_target(pid_t task, std::uint64_t fd) {
  std::array<char, PATH_MAX> text{};
  const std::string link = "/proc/" + std::to_string(task) + "/fd/" + std::to_string(fd);
  const ssize_t got = ::readlink(link.c_str(), text.data(), text.size());
  std::string target(text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  std::erase_if(target, [](char c) { return c == '"' || c == '\\' || c < ' '; });
  return target;
}

const Call* find_call(const Call* begin, const Call* end, std::uint64_t number) {
  const auto found = std::find_if(
      begin, end, [&](const Call& one) { return one.number == static_cast<long>(number); });
  return found == end ? nullptr : found;
}

// Whether a call can fail in this way. Only files are on the disk that is full or broken.
bool can_fail(const Fault& fault, const Call& call, const std::string& target) {
  const std::string name = call.name;
  if (fault.error == EAGAIN) return name == "clone" || name == "clone3" || name == "vfork";
  const bool kernel = target.rfind("/proc/", 0) == 0 || target.rfind("/sys/", 0) == 0;
  const bool file = target.rfind('/', 0) == 0 && !kernel && target.rfind("/memfd:", 0) != 0;
  const bool sync = name == "fsync" || name == "fdatasync";
  const bool write = name.find("write") != std::string::npos || name == "ftruncate" ||
                     name == "fallocate";
  if (fault.error == EIO) return file && (write || sync);
  const bool entry = name.rfind("mkdir", 0) == 0 || name.rfind("rename", 0) == 0;
  return (file && write) || entry;
}

class Tracer {
 public:
  explicit Tracer(Options options) : options_(std::move(options)) {}
  int run();

 private:
  unsigned long follow() const {
    return kFollowThreads | (options_.child.empty() ? 0 : kFollowChildren);
  }
  void start();
  void attach();
  void take(pid_t task, int status);
  void take_event(pid_t task, int event, int status);
  bool counts(pid_t task);
  const Call* find_counted(pid_t task, const __ptrace_syscall_info& what,
                           std::string& target) const;
  void fail(pid_t task);
  void interrupt_all();
  void let_go(pid_t task);
  void go_on(pid_t task, unsigned long signal);
  void say_end() const;

  Options options_;
  std::set<pid_t> tasks_;       // all that are traced
  std::set<pid_t> ignored_;     // followed, not counted: the process, when a child is waited for
  bool child_found_ = false;
  bool stopping_ = false;       // SIGTERM came: every task is let go
  int stops_ = 0;               // signals that were heard of
  long count_ = 0;
  std::set<pid_t> failing_;     // whose call was let fail, and has not returned yet
  std::string killed_;          // JSON of the first call that did not happen
};

// The child waits until it is traced; counting begins when it has become the program.
void Tracer::start() {
  std::array<int, 2> gate{};
  if (::pipe2(gate.data(), O_CLOEXEC) != 0) give_up("pipe");
  const pid_t pid = ::fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) {
    char byte = 0;
    static_cast<void>(!::read(gate[0], &byte, 1));
    ::dup2(STDERR_FILENO, STDOUT_FILENO);  // standard output is for what the tracer says
    ::execvp(options_.program[0], options_.program);
    give_up(options_.program[0]);
  }
  options_.pid = pid;
  if (trace(PTRACE_SEIZE, pid, nullptr, follow()) != 0) give_up("seize");
  tasks_.insert(pid);
  if (!options_.child.empty()) ignored_.insert(pid);
  static_cast<void>(!::write(gate[1], "g", 1));
  ::close(gate[0]);
  ::close(gate[1]);
}

// Every thread there is, and those that come while we look.
void Tracer::attach() {
  const std::string path = "/proc/" + std::to_string(options_.pid) + "/task";
  for (bool again = true; again;) {
    again = false;
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) give_up("no such process");
    while (const dirent* entry = ::readdir(directory)) {
      const auto task = static_cast<pid_t>(std::atoi(entry->d_name));
      if (task == 0 || tasks_.count(task) > 0) continue;
      if (trace(PTRACE_SEIZE, task, nullptr, follow()) != 0) continue;
      tasks_.insert(task);
      if (!options_.child.empty()) ignored_.insert(task);
      trace(PTRACE_INTERRUPT, task, nullptr, 0);
      again = true;
    }
    ::closedir(directory);
  }
  if (tasks_.empty()) give_up("seize");
}

void Tracer::go_on(pid_t task, unsigned long signal) {
  const bool silent = ignored_.count(task) > 0;
  trace(silent ? PTRACE_CONT : PTRACE_SYSCALL, task, nullptr, signal);
}

// One that ended before the event of its birth was taken is not waited for.
void Tracer::interrupt_all() {
  std::erase_if(tasks_, [](pid_t one) {
    return trace(PTRACE_INTERRUPT, one, nullptr, 0) != 0 && errno == ESRCH;
  });
}

void Tracer::let_go(pid_t task) {
  trace(PTRACE_DETACH, task, nullptr, 0);
  tasks_.erase(task);
  ignored_.erase(task);
}

// The call, if it is one that is counted.
const Call* Tracer::find_counted(pid_t task, const __ptrace_syscall_info& what,
                                 std::string& target) const {
  const Fault* fault = options_.fault;
  if (fault != nullptr && fault->error == EMFILE) {
    return find_call(std::begin(kOpenings), std::end(kOpenings), what.entry.nr);
  }
  const Call* call = find_call(std::begin(kCalls), std::end(kCalls), what.entry.nr);
  if (call != nullptr && call->fd != kNoFd) {
    target = read_target(task, what.entry.args[static_cast<std::size_t>(call->fd)]);
    // Threads of one process wake each other through these, and logs are nobody's state.
    const bool log = what.entry.args[0] == 1 || what.entry.args[0] == 2;
    if (target.find("eventfd") != std::string::npos || log) return nullptr;
  }
  if (call == nullptr || fault == nullptr) return call;
  return can_fail(*fault, *call, target) ? call : nullptr;
}

// True when this is the call in front of which the process has to die, or that has to fail.
bool Tracer::counts(pid_t task) {
  __ptrace_syscall_info what{};
  trace(PTRACE_GET_SYSCALL_INFO, task, reinterpret_cast<void*>(sizeof what),
        reinterpret_cast<unsigned long>(&what));
  if (what.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
  std::string target;
  const Call* call = find_counted(task, what, target);
  if (call == nullptr || ++count_ < options_.at) return false;
  if (!killed_.empty()) return count_ < options_.at + options_.times;
  killed_ = "{\"killed\": true, \"call\": \"" + std::string(call->name) + "\", \"target\": \"" +
            target + "\", \"thread\": \"" + read_name(task) + "\", \"number\": " +
            std::to_string(count_) + "}";
  return true;
}

// The kernel is given a call that there is not; its answer is written over when it comes.
void Tracer::fail(pid_t task) {
  poke(task, kNumberPlace, ~0UL);
  failing_.insert(task);
}

// New threads and children, and programs that begin.
void Tracer::take_event(pid_t task, int event, int status) {
  if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_FORK) {
    unsigned long fresh = 0;
    trace(PTRACE_GETEVENTMSG, task, nullptr, reinterpret_cast<unsigned long>(&fresh));
    const auto made = static_cast<pid_t>(fresh);
    tasks_.insert(made);
    // A process of the name may copy itself and run no program.
    const bool copied = !options_.child.empty() && !child_found_ && !is_thread(made) &&
                        read_called(task) == options_.child;
    child_found_ |= copied;
    const bool quiet = ignored_.count(task) > 0 || event != PTRACE_EVENT_CLONE;
    if (quiet && !copied) ignored_.insert(made);
  } else if (event == PTRACE_EVENT_EXEC && !options_.child.empty() && task != options_.pid) {
    const bool wanted = read_called(task) == options_.child && !child_found_;
    if (!wanted) return let_go(task);
    child_found_ = true;
    ignored_.erase(task);
    trace(PTRACE_SETOPTIONS, task, nullptr, kFollowThreads);
  } else if (event == PTRACE_EVENT_STOP) {
    const int signal = WSTOPSIG(status);
    const bool group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
                       signal == SIGTTOU;
    if (group) {
      trace(PTRACE_LISTEN, task, nullptr, 0);
      return;
    }
  }
  go_on(task, 0);
}

void Tracer::take(pid_t task, int status) {
  if (WIFEXITED(status) || WIFSIGNALED(status)) {
    tasks_.erase(task);
    ignored_.erase(task);
    return;
  }
  tasks_.insert(task);
  const bool answered = WSTOPSIG(status) == (SIGTRAP | 0x80) && failing_.erase(task) > 0;
  if (answered) poke(task, kAnswerPlace, static_cast<unsigned long>(-1L * options_.fault->error));
  if (stopping_) return let_go(task);
  const int event = status >> 16;
  if (event != 0) return take_event(task, event, status);
  if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
    return go_on(task, static_cast<unsigned long>(WSTOPSIG(status)));
  }
  if (options_.fault != nullptr) {
    if (!answered && counts(task)) fail(task);
  } else if (killed_.empty() && counts(task)) {
    // Of a thread the whole process dies; the call is never made.
    ::kill(task, SIGKILL);
  }
  go_on(task, 0);
}

void Tracer::say_end() const {
  if (!killed_.empty()) {
    std::printf("%s\n", killed_.c_str());
  } else {
    std::printf("{\"killed\": false, \"calls\": %ld}\n", count_);
  }
  std::fflush(stdout);
}

int Tracer::run() {
  options_.program != nullptr ? start() : attach();
  std::printf("ready\n");
  std::fflush(stdout);
  while (!tasks_.empty()) {
    int status = 0;
    const pid_t task = ::waitpid(-1, &status, __WALL);
    if (task < 0 && errno != EINTR) break;
    // Each signal asks anew, as one may come when nobody listens.
    if (stop_wanted != stops_) {
      stops_ = stop_wanted;
      stopping_ = true;
      interrupt_all();
    }
    if (task > 0) take(task, status);
    // Whoever counted in a child is done when that is dead.
    const bool dead = !killed_.empty() && options_.fault == nullptr;
    if (dead && !options_.child.empty() && !stopping_) {
      stopping_ = true;
      interrupt_all();
    }
  }
  say_end();
  return 0;
}

Options parse(int count, char** words) {
  Options options;
  for (int n = 1; n < count; ++n) {
    const std::string word = words[n];
    if (word == "--" && n + 1 < count) {
      options.program = words + n + 1;
      break;
    }
    if (n + 1 >= count) break;
    const char* value = words[++n];
    if (word == "--at") options.at = std::atol(value);
    if (word == "--pid") options.pid = static_cast<pid_t>(std::atoi(value));
    if (word == "--child") options.child = value;
    if (word == "--times") options.times = std::atol(value);
    if (word == "--fail") {
      const auto fault =
          std::find_if(std::begin(kFaults), std::end(kFaults),
                       [&](const Fault& one) { return std::strcmp(one.name, value) == 0; });
      const bool possible = fault != std::end(kFaults) && kNumberPlace != 0;
      if (!possible) options.at = 0;  // refused below
      if (fault != std::end(kFaults)) options.fault = fault;
    }
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  Options options = parse(count, words);
  if (options.at < 1 || (options.pid <= 0 && options.program == nullptr)) {
    std::fprintf(stderr, "usage: moored-tracer --at N [--child NAME] [--times K]"
                         " [--fail full|io|files|processes] (--pid PID | -- PROGRAM …)\n");
    return 2;
  }
  struct sigaction action {};
  action.sa_handler = &want_stop;
  ::sigaction(SIGTERM, &action, nullptr);
  return Tracer(std::move(options)).run();
}
