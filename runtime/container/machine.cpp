#include "runtime/container/machine.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/container/namespaces.hpp"
#include "runtime/shim/entrance.hpp"
#include "runtime/sys/memfd.hpp"
#include "runtime/sys/mount.hpp"
#include "schema/host/file.hpp"

namespace moored::container {
namespace {

using std::chrono::milliseconds;

// Removing follows killing and waits only for the kernel to let go of a dead group.
constexpr milliseconds kKillTime{10'000};
constexpr milliseconds kRemoveTime{5'000};
constexpr const char* kShimGroup = "system/shims";
// Where the shim finds its pipe: the first number after the standard streams.
constexpr int kSyncDescriptor = 3;
// Far above any build of the shim: reached only by a wrong path.
constexpr std::size_t kMaxProgramBytes = 64U << 20U;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// Exactly the mode that was asked for, whatever the umask is.
Status make_directory(const HostStep& step) {
  MOORED_CHECK(make_directories(step.path, 0711));
  if (::chmod(step.path.c_str(), static_cast<mode_t>(step.mode)) != 0) {
    return failed("chmod " + step.path);
  }
  return {};
}

// Waits for the shim's word on the sync pipe.
Status await_shim(int pipe) {
  constexpr int kStartMilliseconds = 10'000;
  pollfd set{pipe, POLLIN, 0};
  if (::poll(&set, 1, kStartMilliseconds) <= 0)
    return fail(Code::timeout, "the shim does not start");
  std::array<char, 1024> word{};
  const auto got = ::read(pipe, word.data(), word.size());
  const std::string text(word.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  if (text == "ok") return {};
  return fail(Code::unavailable, text.empty() ? "the shim ended at once" : text);
}

}  // namespace

Status Machine::carry_out(const HostStep& step) {
  switch (step.type) {
    case HostStepType::directory:
      return make_directory(step);
    case HostStepType::file:
      return write_file_durably(step.path, step.text);
    case HostStepType::group:
      return tree_.make(step.path);
    case HostStepType::limits:
      return tree_.set_limits(step.path, step.limits, step.leaf);
    case HostStepType::devices:
      return tree_.restrict_devices(step.path);
    case HostStepType::namespaces:
      return make_namespaces(step.path, step.list, step.text);
    case HostStepType::sysctls:
      return write_sysctls(step.path, step.text, step.list);
    case HostStepType::shared_memory:
      return mount_shared_memory(step.path);
    case HostStepType::shim:
      return shims_.start_shim(step.path);
    case HostStepType::create:
      return shims_.create_container(step);
  }
  return fail(Code::internal, "a step without an implementation");
}

// Each undo succeeds on what was never made: a removal after a crash is the same list again.
Status Machine::undo(const HostStep& step) {
  switch (step.type) {
    case HostStepType::directory:
    case HostStepType::file:
      return remove_tree(step.path);
    case HostStepType::group:
      MOORED_CHECK(tree_.kill(step.path, kKillTime));
      return tree_.remove(step.path, kRemoveTime);
    case HostStepType::namespaces:
      return drop_namespaces(step.path, step.list);
    case HostStepType::shared_memory:
      return sys::unmount(step.path);
    case HostStepType::shim:
      return shims_.end_shim(step.path);
    case HostStepType::create:
      return shims_.delete_container(step);
    case HostStepType::limits:
    case HostStepType::devices:
    case HostStepType::sysctls:
      return {};  // they go with their group or namespace
  }
  return fail(Code::internal, "a step without an implementation");
}

// Read once: an upgrade that replaces the file changes only the shims of a later daemon.
Result<ShimProgram> ShimProgram::create(const std::string& path) {
  MOORED_TRY(const auto program, read_file(path, kMaxProgramBytes));
  MOORED_TRY(auto file, sys::make_sealed_file("moored-shim", program, true));
  return ShimProgram(std::move(file));
}

// The shim goes into a group of its own, outside of the pod's memory limit: a pod that runs out
// of memory must not take its own supervisor along.
Result<Child> ShimProgram::start(const std::string& pod_directory, cgroup::Tree& tree) const {
  MOORED_CHECK(tree.make(kShimGroup));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("make pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const UniqueFd log(::open((pod_directory + "/shim.log").c_str(),
                            O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!log) return failed("open " + pod_directory + "/shim.log");
  SpawnRequest request;
  // Run from the sealed copy in memory: nobody can change it between the check and the
  // start.
  request.program = "/proc/self/fd/" + std::to_string(file_.get());
  request.arguments = {"moored-shim", pod_directory};
  request.descriptors = {{write_end.get(), kSyncDescriptor}, {log.get(), 2}};
  MOORED_TRY(const auto entrances, shim::open_entrances(tree.entrance(kShimGroup).tasks_files));
  int number = kSyncDescriptor;
  for (const auto& entrance : entrances) request.descriptors.emplace_back(entrance.get(), ++number);
  request.new_session = true;
  MOORED_TRY(auto child, spawn(request));
  // Now only the shim holds the writing end, so its death reads as end of file.
  write_end.reset();
  auto ready = tree.attach(kShimGroup, child.pid);
  if (ready) ready = await_shim(read_end.get());
  if (!ready) {
    static_cast<void>(kill_group(child, SIGKILL));
    static_cast<void>(wait_child(child, milliseconds(5000)));
    return Unexpected(std::move(ready).error());
  }
  // Lowering needs CAP_SYS_RESOURCE; without it the shim keeps the daemon's own score.
  static_cast<void>(write_file("/proc/" + std::to_string(child.pid) + "/oom_score_adj", "-999"));
  return child;
}

}  // namespace moored::container
