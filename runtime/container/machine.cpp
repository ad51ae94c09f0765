#include "runtime/container/machine.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "runtime/container/namespaces.hpp"
#include "runtime/sys/mount.hpp"
#include "schema/host/file.hpp"

namespace moored::container {
namespace {

using std::chrono::milliseconds;

// Removing follows killing and waits only for the kernel to let go of a dead group.
constexpr milliseconds kKillTime{10'000};
constexpr milliseconds kRemoveTime{5'000};

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
    case HostStepType::sysctls:
      return write_sysctls(step.path, step.list);
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

}  // namespace moored::container
