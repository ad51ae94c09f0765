#include <algorithm>
#include <array>

#include "runtime/container/plan.hpp"

namespace moored::container {
namespace {

using shim::Step;
using shim::StepType;

// A superset of what Kubernetes lists for procMount Default.
constexpr std::array<const char*, 12> kMasked{
    "/proc/acpi",       "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr std::array<const char*, 5> kReadOnly{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                               "/proc/sysrq-trigger"};

// The same on every machine, whatever the daemon was started with: as many open files as other
// container runtimes give, and as many processes as the cgroup allows (the kernel counts this limit
// for each uid over all pods, so that one pod could take it from another).
constexpr const char* kOpenFiles = "nofile=1048576";
constexpr const char* kProcesses = "nproc=unlimited";

Step make_step(StepType type) {
  Step step;
  step.type = type;
  return step;
}

Step target_step(StepType type, const std::string& target) {
  Step step = make_step(type);
  step.target = target;
  return step;
}

Step number_step(StepType type, std::uint64_t number) {
  Step step = make_step(type);
  step.number = number;
  return step;
}

// A new file system. The list goes to the file system, the options to the mount.
Step mount_step(const std::string& type, const std::string& target, const std::string& options,
                std::vector<std::string> list = {}) {
  Step step = target_step(StepType::mount, target);
  step.source = type;
  step.options = options;
  step.list = std::move(list);
  return step;
}

// The source is a path on the machine, opened before the root changes.
Step bind_step(const std::string& source, const std::string& target, const std::string& options) {
  Step step = target_step(StepType::bind, target);
  step.source = source;
  step.options = options;
  return step;
}

// A root directory without layers is the same thing with a single lower directory.
Step root_step(const ContainerSpec& spec, const ContainerPaths& paths) {
  Step step = target_step(StepType::overlay_root, paths.root);
  step.source = paths.writable + "/upper";
  step.options = "work=" + paths.writable + "/work";
  if (spec.no_new_privileges) step.options += ",nosuid";
  step.list = spec.lower_directories;
  return step;
}

// Number of parts; "/a" is one.
std::size_t depth_of(const std::string& path) {
  return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

// Parents before children, whatever order the mounts were given in.
std::vector<Mount> sorted_mounts(std::vector<Mount> mounts) {
  for (auto& mount : mounts) {
    while (mount.destination.size() > 1 && mount.destination.back() == '/') {
      mount.destination.pop_back();
    }
  }
  std::stable_sort(mounts.begin(), mounts.end(), [](const Mount& a, const Mount& b) {
    return depth_of(a.destination) < depth_of(b.destination);
  });
  return mounts;
}

// Whether a volume takes the place of something that would be made.
bool covers(const ContainerSpec& spec, const std::string& path) {
  return std::any_of(spec.mounts.begin(), spec.mounts.end(),
                     [&](const Mount& mount) { return mount.destination == path; });
}

// The device file systems, unless a volume covers /dev: nothing is made in a directory that the
// container can change meanwhile.
void plan_devices(const PodSandboxSpec& pod, const ContainerSpec& spec, const PodPaths& pod_at,
                  std::vector<Step>& steps) {
  if (covers(spec, "/dev")) return;
  steps.push_back(mount_step("tmpfs", "/dev", "nosuid,strictatime", {"mode=0755", "size=65536k"}));
  steps.push_back(target_step(StepType::devices, "/dev"));
  steps.push_back(mount_step("devpts", "/dev/pts", "nosuid,noexec",
                             {"newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  if (!covers(spec, "/dev/shm")) {
    steps.push_back(bind_step(pod.host_ipc ? "/dev/shm" : pod_at.shared_memory, "/dev/shm",
                              "nosuid,nodev,noexec"));
  }
  steps.push_back(mount_step("mqueue", "/dev/mqueue", "nosuid,nodev,noexec"));
  if (spec.tty) steps.push_back(number_step(StepType::console, spec.uid));
}

// Base, then volumes, then what hides: a volume can be put below /sys but cannot uncover it.
void plan_file_systems(const PodSandboxSpec& pod, const ContainerSpec& spec, const PodPaths& pod_at,
                       const MachineFacts& facts, std::vector<Step>& steps) {
  steps.push_back(mount_step("proc", "/proc", "nosuid,nodev,noexec"));
  plan_devices(pod, spec, pod_at, steps);
  steps.push_back(mount_step("sysfs", "/sys",
                             spec.privileged ? "nosuid,nodev,noexec" : "nosuid,nodev,noexec,ro"));
  // With v1 hierarchies /sys/fs/cgroup stays empty: programs then see no limits rather than
  // another version's files.
  if (facts.pure_v2) {
    steps.push_back(mount_step("cgroup2", "/sys/fs/cgroup",
                               spec.privileged ? "nosuid,nodev,noexec" : "nosuid,nodev,noexec,ro"));
  }
  for (const auto& mount : sorted_mounts(spec.mounts)) {
    if (mount.source.empty()) {
      steps.push_back(target_step(StepType::own_volume, mount.destination));
      continue;
    }
    Step step = bind_step(mount.source, mount.destination, mount.read_only ? "ro" : "");
    step.sub_path = mount.sub_path;
    steps.push_back(step);
  }
  if (spec.privileged || !spec.mask_paths) return;
  for (const char* path : kMasked)
    steps.push_back(target_step(StepType::mask, path));
  for (const char* path : kReadOnly)
    steps.push_back(target_step(StepType::read_only, path));
}

// Sorted and without repetition, so that the same spec gives the same bytes.
Step ids_step(const ContainerSpec& spec) {
  Step step = number_step(StepType::ids, spec.uid);
  step.second = spec.gid;
  // The primary group is a member of the set, as after a login.
  std::vector<std::uint32_t> groups{spec.gid};
  groups.insert(groups.end(), spec.groups.begin(), spec.groups.end());
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  for (const auto group : groups)
    step.list.push_back(std::to_string(group));
  return step;
}

// Order: what needs rights before what takes them; the filter last unless it needs rights itself.
void plan_rights(const ContainerSpec& spec, const std::string& seccomp, const MachineFacts& facts,
                 std::vector<Step>& steps) {
  const std::uint64_t wanted = spec.privileged ? facts.own_capabilities : spec.capabilities;
  Step program = make_step(spec.no_new_privileges ? StepType::seccomp : StepType::seccomp_early);
  program.source = seccomp;
  if (!seccomp.empty() && !spec.no_new_privileges) steps.push_back(program);
  Step limits = make_step(StepType::limits);
  limits.list = {kOpenFiles, kProcesses};
  steps.push_back(limits);
  steps.push_back(number_step(StepType::bounding, wanted));
  steps.push_back(ids_step(spec));
  steps.push_back(number_step(StepType::capabilities, spec.uid == 0 ? wanted : 0));
  if (spec.no_new_privileges) steps.push_back(make_step(StepType::no_new_privileges));
  Step environment = make_step(StepType::environment);
  environment.list = spec.environment;
  steps.push_back(environment);
  steps.push_back(make_step(StepType::ready));
  if (!seccomp.empty() && spec.no_new_privileges) steps.push_back(program);
}

}  // namespace

Result<std::vector<Step>> plan_child(const PodSandboxSpec& pod, const ContainerSpec& spec,
                                     const PodPaths& pod_at, const ContainerPaths& paths,
                                     const std::string& seccomp, const MachineFacts& facts) {
  if ((spec.capabilities & ~facts.own_capabilities) != 0 && !spec.privileged) {
    return fail(Code::invalid, "a capability is asked for that this daemon does not have");
  }
  std::vector<Step> steps;
  steps.push_back(make_step(StepType::session));
  steps.push_back(make_step(StepType::private_mounts));
  steps.push_back(make_step(StepType::cgroup_view));
  steps.push_back(root_step(spec, paths));
  plan_file_systems(pod, spec, pod_at, facts, steps);
  steps.push_back(make_step(StepType::pivot));
  if (spec.read_only_root) steps.push_back(make_step(StepType::read_only_root));
  Step cwd = target_step(StepType::working_directory,
                         spec.working_directory.empty() ? "/" : spec.working_directory);
  cwd.number = spec.uid;
  cwd.second = spec.gid;
  steps.push_back(cwd);
  plan_rights(spec, seccomp, facts, steps);
  Step last = make_step(StepType::execute);
  last.list = spec.arguments;
  steps.push_back(last);
  return steps;
}

}  // namespace moored::container
