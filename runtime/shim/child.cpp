#include "runtime/shim/child.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/shim/entrance.hpp"
#include "runtime/shim/mounts.hpp"
#include "runtime/shim/terminal.hpp"
#include "runtime/sys/mount.hpp"
#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/host/file.hpp"
#include "schema/host/rights.hpp"

namespace moored::shim {
namespace {

constexpr gid_t kTtyGroup = 5;
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// For execve, which takes pointers to what it will not change.
std::vector<char*> make_pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const auto& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Waits for a word of the shim. The shim's end closing ends the child: nobody wants it any more.
Status wait_for(int control, std::string_view word) {
  std::array<char, 16> text{};
  for (;;) {
    const auto got = ::read(control, text.data(), text.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) ::_exit(kExitNotFound);
    if (std::string_view(text.data(), static_cast<std::size_t>(got)) == word) return {};
    return fail(Code::internal, "the shim said something else than " + std::string(word));
  }
}

class ChildRun {
 public:
  ChildRun(const std::vector<Step>& steps, const std::vector<Pinned>& pinned,
           const ChildStreams& streams)
      : steps_(steps), pinned_(pinned), streams_(streams) {}

  // One failing step ends the child; its name and reason are the start error that people read.
  [[noreturn]] void run() {
    const char* doing = "cgroup";
    Status status = enter_groups();
    if (status) {
      doing = "streams";
      status = start();
    }
    if (status && streams_.joined_process >= 0) {
      doing = "join";
      status = join();
    }
    for (std::size_t i = 0; i < steps_.size() && status; ++i) {
      doing = step_name(steps_[i].type);
      status = carry_out(steps_[i], pinned_[i]);
    }
    const std::string text = status ? "error the steps end without a program"
                                    : "error " + std::string(doing) + ": " + status.error().message;
    static_cast<void>(sys::send_message(streams_.control, text.substr(0, 4096)));
    ::_exit(status || status.error().code != Code::not_found ? kExitNotExecutable : kExitNotFound);
  }

 private:
  // First, so that nothing of the child is unaccounted. The score must precede dumpable=0, behind
  // which the file is no longer the child's own.
  Status enter_groups() const {
    for (const int entrance : streams_.entrances) MOORED_CHECK(enter_group(entrance));
    // Lowering needs CAP_SYS_RESOURCE, which this machine may not give: then it stays as it is.
    static_cast<void>(
        write_file("/proc/self/oom_score_adj", std::to_string(streams_.oom_score_adjust)));
    return {};
  }

  // Keeps only what is needed, so that a waiting child holds nobody else's pipe open.
  Status start() {
    std::vector<int> kept{streams_.in, streams_.out, streams_.err, streams_.control,
                          streams_.joined_process};
    kept.insert(kept.end(), {0, 1, 2});
    for (const auto& pins : pinned_) {
      for (const auto& fd : pins.descriptors)
        kept.push_back(fd.get());
    }
    std::sort(kept.begin(), kept.end());
    unsigned next = 0;
    for (const int fd : kept) {
      if (fd < 0) continue;
      const auto number = static_cast<unsigned>(fd);
      if (number > next) ::syscall(SYS_close_range, next, number - 1, 0U);
      next = std::max(next, number + 1);
    }
    ::syscall(SYS_close_range, next, ~0U, 0U);
    if (::setsid() < 0 && errno != EPERM) return failed("start session");
    const std::array<int, 3> wanted{streams_.in, streams_.out, streams_.err};
    for (int i = 0; i < 3; ++i) {
      if (::dup2(wanted[static_cast<std::size_t>(i)], i) < 0) return failed("set stream");
    }
    ::umask(0022);
    return {};
  }

  // Nobody inside may look into this process while it still has the shim's rights.
  Status join() const {
    MOORED_CHECK(rights::set_dumpable(false));
    return sys::join_namespaces(streams_.joined_process, CLONE_NEWNS | CLONE_NEWCGROUP);
  }

  Status carry_out(const Step& step, const Pinned& pins) {
    switch (step.type) {
      case StepType::session:
        MOORED_CHECK(rights::set_dumpable(false));
        return rights::join_new_keyring();
      case StepType::private_mounts:
        return sys::set_propagation("/", sys::Propagation::rslave);
      case StepType::overlay_root:
        return open_root(step);
      case StepType::mount:
        return mount_new(root_.get(), step);
      case StepType::bind:
        return mount_bind(root_.get(), step, pins.descriptors.at(0).get());
      case StepType::own_volume:
        return mount_own_volume(root_.get(), step);
      case StepType::devices:
        return make_devices(root_.get(), step);
      case StepType::console:
        return open_console(step);
      case StepType::cgroup_view:
        return sys::unshare_namespaces(CLONE_NEWCGROUP);
      case StepType::mask:
        return mask_path(root_.get(), step, empty_);
      case StepType::read_only:
        return protect_path(root_.get(), step);
      case StepType::pivot:
        return sys::pivot_into(root_.get());
      case StepType::read_only_root:
        return protect_root();
      case StepType::working_directory:
        return enter(step);
      default:
        return carry_out_rights(step, pins);
    }
  }

  Status carry_out_rights(const Step& step, const Pinned& pins) {
    switch (step.type) {
      case StepType::limits:
        return set_limits(step);
      case StepType::bounding:
        return rights::limit_bounding_set(step.number);
      case StepType::ids:
        return set_ids(step);
      case StepType::capabilities:
        return rights::set_capabilities(step.number, step.number);
      case StepType::no_new_privileges:
        return rights::set_no_new_privileges();
      case StepType::ready:
        return report_ready();
      case StepType::seccomp_early:
        return rights::load_seccomp(pins.program);
      case StepType::seccomp:
        return load_last(pins.program);
      case StepType::environment:
        environment_ = step.list;
        return {};
      case StepType::execute:
        return execute(step.list);
      case StepType::pause:
        pause();
      default:
        return fail(Code::internal, "a step without an implementation");
    }
  }

  // From here on every path of the container is reached through this descriptor.
  Status open_root(const Step& step) {
    MOORED_TRY(auto root, mount_overlay(step));
    root_ = std::move(root);
    return {};
  }

  // The terminal's other end goes to the shim, which reads it as the container's output.
  Status open_console(const Step& step) const {
    MOORED_TRY(const auto terminal, open_terminal(root_.get()));
    if (::fchown(terminal.slave.get(), static_cast<uid_t>(step.number), kTtyGroup) != 0) {
      return failed("give terminal away");
    }
    MOORED_CHECK(mount_console(root_.get(), terminal.slave.get()));
    MOORED_CHECK(enter_terminal(terminal.slave.get()));
    return sys::send_descriptor(streams_.control, "terminal", terminal.master.get());
  }

  // Not recursive: volumes keep what they were given.
  static Status protect_root() {
    MOORED_TRY(const auto root, sys::open_in_root(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    sys::MountFlags flags;
    flags.read_only = true;
    return sys::set_mount(root.get(), flags, sys::Propagation::keep, false);
  }

  // A missing directory is made and given to the container's user, as runtimes do.
  static Status enter(const Step& step) {
    const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return failed("open root");
    auto directory = sys::open_in_root(root.get(), step.target, O_PATH | O_DIRECTORY);
    if (!directory && directory.error().code == Code::not_found) {
      directory = sys::make_in_root(root.get(), step.target, false, 0755);
      if (directory && ::fchownat(directory->get(), "", static_cast<uid_t>(step.number),
                                  static_cast<gid_t>(step.second), AT_EMPTY_PATH) != 0) {
        return failed("give " + step.target + " to its user");
      }
    }
    if (!directory) return Unexpected(std::move(directory).error());
    if (::fchdir(directory->get()) != 0) return failed("enter " + step.target);
    std::array<char, 4096> path{};
    // The raw call shows what the C library hides: "(unreachable)" outside of the root.
    if (::syscall(SYS_getcwd, path.data(), path.size()) < 0) return failed("read directory");
    if (path[0] != '/') return fail(Code::denied, step.target + " is outside of the root");
    return {};
  }

  static Status set_limits(const Step& step) {
    for (const auto& entry : step.list) {
      const auto equals = entry.find('=');
      if (equals == std::string::npos) return fail(Code::corrupt, "limit " + entry);
      const auto text = entry.substr(equals + 1);
      const auto value = text == "unlimited" ? RLIM_INFINITY
                                             : std::strtoull(text.c_str(), nullptr, 10);
      MOORED_CHECK(rights::set_limit(entry.substr(0, equals), value));
    }
    return {};
  }

  static Status set_ids(const Step& step) {
    std::vector<std::uint32_t> groups;
    for (const auto& group : step.list) {
      groups.push_back(static_cast<std::uint32_t>(std::strtoul(group.c_str(), nullptr, 10)));
    }
    return rights::set_ids(static_cast<std::uint32_t>(step.number),
                           static_cast<std::uint32_t>(step.second), groups);
  }

  // All rights are gone by now; what waits here is what will run.
  Status report_ready() const {
    MOORED_CHECK(sys::send_message(streams_.control, "ready"));
    return wait_for(streams_.control, "start");
  }

  // From here on only exec, write and exit may follow.
  Status load_last(const std::string& program) {
    prepare_exec();
    return rights::load_seccomp(program);
  }

  // No blocked signals, and nothing inherited but 0, 1 and 2. CLOEXEC and not close: the line to
  // the shim must live until exec, its closing is what says that exec succeeded.
  void prepare_exec() {
    if (prepared_) return;
    prepared_ = true;
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  }

  // Of the container's variables, not of ours.
  std::string_view search_path() const {
    for (const std::string_view entry : environment_) {
      if (entry.substr(0, 5) == "PATH=") return entry.substr(5);
    }
    return kDefaultPath;
  }

  // Like execvp, but with the container's path; EACCES is kept while the search goes on.
  Status execute(const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0].empty()) return fail(Code::invalid, "no command");
    prepare_exec();
    const auto argv = make_pointers(arguments);
    const auto envp = make_pointers(environment_);
    const std::string& name = arguments[0];
    int error = ENOENT;
    if (name.find('/') != std::string::npos) {
      ::execve(name.c_str(), argv.data(), envp.data());
      error = errno;
    } else {
      std::string_view rest = search_path();
      while (error == ENOENT || error == EACCES || error == ENOTDIR) {
        const auto colon = rest.find(':');
        const std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
        ::execve(candidate.c_str(), argv.data(), envp.data());
        if (errno != ENOENT && errno != ENOTDIR) error = errno;
        if (colon == std::string_view::npos) break;
        rest = rest.substr(colon + 1);
      }
    }
    return Unexpected(system_error("exec \"" + name + "\"", error));
  }

  // The first process of a shared pid namespace. Everything it could be used for is gone by now.
  [[noreturn]] void pause() const {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    ::sigprocmask(SIG_SETMASK, &wanted, nullptr);
    ::close(streams_.control);
    for (;;) {
      int signal = 0;
      sigwait(&wanted, &signal);
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
    }
  }

  const std::vector<Step>& steps_;
  const std::vector<Pinned>& pinned_;
  ChildStreams streams_;
  UniqueFd root_;
  UniqueFd empty_;  // what masked directories are hidden behind
  std::vector<std::string> environment_;
  bool prepared_ = false;
};

}  // namespace

[[noreturn]] void run_child(const std::vector<Step>& steps, const std::vector<Pinned>& pinned,
                            const ChildStreams& streams) {
  ChildRun(steps, pinned, streams).run();
}

}  // namespace moored::shim
