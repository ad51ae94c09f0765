// The shim's half of the steps: opens on the host what the child will attach.
#include <fcntl.h>

#include <cerrno>

#include "runtime/shim/child.hpp"
#include "runtime/sys/mount.hpp"
#include "schema/host/file.hpp"

namespace moored::shim {
namespace {

constexpr std::size_t kMaxProgramBytes = 4096 * 8;

Result<UniqueFd> open_path(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC | flags));
  if (!fd) return Unexpected(system_error("open " + path, errno));
  return fd;
}

// Private unless asked for: a mount made in a volume stays where it was made.
sys::Propagation propagation_of(const Step& step) {
  if (step.has_option("rshared")) return sys::Propagation::rshared;
  if (step.has_option("rslave")) return sys::Propagation::rslave;
  return sys::Propagation::rprivate;
}

// The sub-path is resolved now and held by its descriptor; names may change afterwards.
Status pin_bind(const Step& step, Pinned& pins) {
  MOORED_TRY(auto source, open_path(step.source, 0));
  if (!step.sub_path.empty()) {
    MOORED_TRY(auto inner, sys::make_beneath(source.get(), step.sub_path, 0750));
    source = std::move(inner);
  }
  const bool recursive = !step.has_option("flat");
  MOORED_TRY(auto mount, sys::clone_mount(source.get(), "", recursive));
  sys::MountFlags flags;
  flags.read_only = step.has_option("ro");
  flags.no_suid = step.has_option("nosuid");
  flags.no_dev = step.has_option("nodev");
  flags.no_exec = step.has_option("noexec");
  MOORED_CHECK(sys::set_mount(mount.get(), flags, propagation_of(step), recursive));
  pins.descriptors.push_back(std::move(mount));
  return {};
}

// Read here, loaded in the child: the file is out of its reach.
Status pin_program(const Step& step, Pinned& pins) {
  MOORED_TRY(pins.program, read_file(step.source, kMaxProgramBytes));
  return {};
}

// Most steps need nothing of the host.
Status pin(const Step& step, Pinned& pins) {
  switch (step.type) {
    case StepType::bind:
      return pin_bind(step, pins);
    case StepType::seccomp:
    case StepType::seccomp_early:
      return pin_program(step, pins);
    default:
      return {};
  }
}

}  // namespace

Result<std::vector<Pinned>> pin_steps(const std::vector<Step>& steps) {
  std::vector<Pinned> pinned(steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto status = pin(steps[i], pinned[i]);
    if (!status) return Unexpected(std::move(status).error().context(step_name(steps[i].type)));
  }
  return pinned;
}

}  // namespace moored::shim
