#include <algorithm>
#include <set>

#include "runtime/container/plan.hpp"
#include "runtime/sys/mount.hpp"

namespace moored::container {
namespace {

HostStep step_at(HostStepType type, const std::string& path) {
  HostStep step;
  step.type = type;
  step.path = path;
  return step;
}

HostStep file(const std::string& path, std::string text) {
  HostStep step = step_at(HostStepType::file, path);
  step.text = std::move(text);
  return step;
}

HostStep directory(const std::string& path, unsigned mode) {
  HostStep step = step_at(HostStepType::directory, path);
  step.mode = mode;
  return step;
}

// A path inside the container in one spelling: "/a/b".
Result<std::string> normal_path(const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return fail(Code::invalid, "path \"" + path + "\" in the container is not absolute");
  }
  MOORED_TRY(const auto parts, sys::split_inside(path));
  std::string out;
  for (const auto& part : parts)
    out += "/" + part;
  return out.empty() ? std::string("/") : out;
}

// Whole parts: /procfs is not below /proc.
bool is_below(const std::string& path, const std::string& top) {
  return path == top || path.compare(0, top.size() + 1, top + "/") == 0;
}

// Places that nobody may cover: the kernel's own view, and the root itself.
Status check_mounts(const ContainerSpec& spec) {
  std::set<std::string> seen;
  for (const auto& mount : spec.mounts) {
    MOORED_TRY(const auto path, normal_path(mount.destination));
    if (path == "/" || is_below(path, "/proc") || path == "/sys") {
      return fail(Code::invalid, "a mount on " + path + " is not allowed");
    }
    if (!seen.insert(path).second) {
      return fail(Code::invalid, "two mounts on " + path);
    }
  }
  return {};
}

// What would make a path, a filter or a command mean something else than it says.
Status check_container(const ContainerSpec& spec) {
  if (!is_path_word(spec.name)) return fail(Code::invalid, "container name " + spec.name);
  if (spec.attempt < 0) return fail(Code::invalid, "attempt " + std::to_string(spec.attempt));
  if (spec.lower_directories.empty()) return fail(Code::invalid, "a container needs a root");
  if (spec.arguments.empty() || spec.arguments[0].empty()) {
    return fail(Code::invalid, "no command specified");
  }
  const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
  const auto& env = spec.environment;
  if (std::any_of(env.begin(), env.end(), has_nul) ||
      std::any_of(spec.arguments.begin(), spec.arguments.end(), has_nul)) {
    return fail(Code::invalid, "an argument or variable holds a NUL");
  }
  if (spec.seccomp_profile != "RuntimeDefault" && spec.seccomp_profile != "Unconfined" &&
      !spec.privileged) {
    // Never unconfined by mistake.
    return fail(Code::invalid,
                "seccomp profile \"" + spec.seccomp_profile + "\" is not carried out");
  }
  return check_mounts(spec);
}

// The node's wins over the pod's, as in Kubernetes.
std::string pid_namespace(const PodSandboxSpec& pod) {
  if (pod.host_pid) return "host";
  return pod.share_process_namespace ? "shared" : "new";
}

shim::ContainerOrder make_order(const PodSandboxSpec& pod, const ContainerSpec& spec,
                                const ContainerPaths& paths, const cgroup::Entrance& entrance) {
  shim::ContainerOrder order;
  order.name = spec.name;
  order.attempt = spec.attempt;
  order.id = spec.container_id;
  order.directory = paths.directory;
  order.pid_namespace = pid_namespace(pod);
  order.cgroup = entrance.v2_directory;
  order.tasks_files = entrance.tasks_files;
  order.oom_file = entrance.oom_file;
  order.log_path = spec.log_path;
  order.termination_path = spec.termination_message_path;
  order.oom_score_adjust = spec.oom_score_adjust;
  order.uid = spec.uid;
  order.gid = spec.gid;
  order.tty = spec.tty;
  order.stdin_open = spec.stdin_open;
  return order;
}

}  // namespace

ContainerPaths container_paths(const Roots& roots, const PodPaths& pod, const std::string& uid,
                               const std::string& name, int attempt) {
  ContainerPaths paths;
  paths.directory = pod.directory + "/c/" + name + "/" + std::to_string(attempt);
  paths.root = paths.directory + "/root";
  paths.spec = paths.directory + "/spec.json";
  paths.writable =
      roots.state_dir + "/containers/" + uid + "/" + name + "-" + std::to_string(attempt);
  paths.group = pod.group + (name == kPauseName ? std::string("/pause")
                                                : "/" + name + "-" + std::to_string(attempt));
  return paths;
}

// Named by the rights: containers with the same rights share the file.
std::string seccomp_file(const ContainerSpec& spec, const Roots& roots) {
  if (spec.privileged || spec.seccomp_profile != "RuntimeDefault") return {};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (int shift = 60; shift >= 0; shift -= 4)
    hex += kDigits[spec.capabilities >> shift & 15U];
  return roots.run_dir + "/seccomp/" + hex + ".bpf";
}

Result<std::vector<HostStep>> plan_container(const PodSandboxSpec& pod, const ContainerSpec& spec,
                                             const Roots& roots, const cgroup::Entrance& entrance,
                                             const MachineFacts& facts) {
  MOORED_CHECK(check_container(spec));
  const auto pod_at = pod_paths(roots, pod.uid, pod.qos_class);
  const auto paths = container_paths(roots, pod_at, pod.uid, spec.name, spec.attempt);
  auto order = make_order(pod, spec, paths, entrance);
  MOORED_TRY(order.steps, plan_child(pod, spec, pod_at, paths, seccomp_file(spec, roots), facts));
  std::vector<HostStep> steps;
  steps.push_back(directory(paths.directory, 0700));
  steps.push_back(directory(paths.root, 0755));
  steps.push_back(directory(paths.writable, 0700));
  steps.push_back(directory(paths.writable + "/upper", 0755));
  steps.push_back(directory(paths.writable + "/work", 0755));
  steps.push_back(step_at(HostStepType::group, paths.group));
  auto limits = step_at(HostStepType::limits, paths.group);
  limits.limits = spec.limits;
  limits.leaf = true;
  steps.push_back(limits);
  if (!spec.privileged) steps.push_back(step_at(HostStepType::devices, paths.group));
  steps.push_back(file(paths.directory + "/limits.json", format_limits(spec.limits)));
  steps.push_back(file(paths.spec, to_text(order)));
  auto create = step_at(HostStepType::create, paths.spec);
  create.text = spec.name;
  create.number = spec.attempt;
  steps.push_back(create);
  return steps;
}

// It has no limits of its own and no filter: it runs nothing but a loop around wait.
shim::ContainerOrder plan_pause(const ContainerPaths& paths, const cgroup::Entrance& entrance) {
  shim::ContainerOrder order;
  order.name = kPauseName;
  order.directory = paths.directory;
  order.pid_namespace = "pause";
  order.cgroup = entrance.v2_directory;
  order.tasks_files = entrance.tasks_files;
  order.oom_score_adjust = -998;
  using shim::StepType;
  for (const auto type : {StepType::session, StepType::private_mounts, StepType::overlay_root,
                          StepType::pivot, StepType::bounding, StepType::capabilities,
                          StepType::no_new_privileges, StepType::ready, StepType::pause}) {
    shim::Step step;
    step.type = type;
    if (type == StepType::overlay_root) {
      step.target = paths.root;
      step.source = paths.writable + "/upper";
      step.options = "work=" + paths.writable + "/work,nosuid";
      step.list = {paths.writable + "/lower"};
    }
    order.steps.push_back(step);
  }
  return order;
}

}  // namespace moored::container
