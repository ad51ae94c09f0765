#include <algorithm>
#include <array>

#include "runtime/container/plan.hpp"

namespace moored::container {
namespace {

// Namespaced and harmless. Source: Kubernetes' list of safe sysctls.
constexpr std::array<std::string_view, 12> kSafeSysctls{"kernel.shm_rmid_forced",
                                                        "net.ipv4.ip_local_port_range",
                                                        "net.ipv4.tcp_syncookies",
                                                        "net.ipv4.ping_group_range",
                                                        "net.ipv4.ip_unprivileged_port_start",
                                                        "net.ipv4.ip_local_reserved_ports",
                                                        "net.ipv4.tcp_keepalive_time",
                                                        "net.ipv4.tcp_fin_timeout",
                                                        "net.ipv4.tcp_keepalive_intvl",
                                                        "net.ipv4.tcp_keepalive_probes",
                                                        "net.ipv4.tcp_rmem",
                                                        "net.ipv4.tcp_wmem"};

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

HostStep directory(const std::string& path) {
  HostStep step;
  step.type = HostStepType::directory;
  step.path = path;
  return step;
}

HostStep file(const std::string& path, std::string text) {
  HostStep step;
  step.type = HostStepType::file;
  step.path = path;
  step.text = std::move(text);
  return step;
}

HostStep step_at(HostStepType type, const std::string& path) {
  HostStep step;
  step.type = type;
  step.path = path;
  return step;
}

// The node's own host name goes with the node's network, as in Kubernetes.
std::vector<std::string> new_namespaces(const PodSandboxSpec& spec) {
  std::vector<std::string> kinds;
  if (!spec.host_ipc) kinds.emplace_back("ipc");
  if (!spec.host_network) kinds.emplace_back("uts");
  return kinds;
}

shim::PodOrder make_order(const PodSandboxSpec& spec, const std::string& net_namespace,
                          const PodPaths& paths) {
  shim::PodOrder order;
  order.uid = spec.uid;
  order.directory = paths.directory;
  if (!net_namespace.empty()) order.namespaces.push_back("net=" + net_namespace);
  order.new_namespaces = new_namespaces(spec);
  order.hostname = spec.hostname;
  return order;
}

// Everything that becomes a path or is written to /proc/sys.
Status check_pod(const PodSandboxSpec& spec, const std::string& net_namespace) {
  if (!is_path_word(spec.uid)) return fail(Code::invalid, "pod uid " + spec.uid);
  if (spec.host_network != net_namespace.empty()) {
    return fail(Code::invalid, "a pod has a network namespace exactly when it is not the node's");
  }
  if (spec.hostname.size() > 64) return fail(Code::invalid, "host name " + spec.hostname);
  for (const auto& entry : spec.sysctls) {
    const auto why = why_sysctl_forbidden(entry.first, spec);
    if (!why.empty()) {
      return Unexpected(
          Error{Code::invalid, "sysctl " + entry.first + " " + why, "SysctlForbidden", {}, {}});
    }
    const bool printable = std::all_of(entry.second.begin(), entry.second.end(),
                                       [](char c) { return (c >= 0x20 && c < 0x7f) || c == '\t'; });
    if (!printable || entry.second.empty() || entry.second.size() > 4096) {
      return Unexpected(
          Error{Code::invalid, "the value of sysctl " + entry.first, "SysctlForbidden", {}, {}});
    }
  }
  return {};
}

}  // namespace

// Stricter than a DNS name where a path could be meant: no leading dot, no slash.
bool is_path_word(const std::string& word) {
  if (word.empty() || word.size() > 253 || word.front() == '.' || word.front() == '-') return false;
  return std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

std::string why_sysctl_forbidden(const std::string& name, const PodSandboxSpec& pod) {
  std::string dotted = name;
  std::replace(dotted.begin(), dotted.end(), '/', '.');
  const auto found = std::find(kSafeSysctls.begin(), kSafeSysctls.end(), dotted);
  if (found == kSafeSysctls.end()) return "is not allowed on this node";
  if (starts_with(dotted, "net.") && pod.host_network) return "would change the node's network";
  if (starts_with(dotted, "kernel.") && pod.host_ipc) return "would change the node's ipc";
  return {};
}

std::string pod_group(const std::string& uid, const std::string& qos_class) {
  if (qos_class == "Guaranteed") return "pods/pod" + uid;
  return (qos_class == "Burstable" ? "pods/burstable/pod" : "pods/besteffort/pod") + uid;
}

// One directory holds all of a pod, so that removing it forgets it.
PodPaths pod_paths(const Roots& roots, const std::string& uid, const std::string& qos_class) {
  PodPaths paths;
  paths.directory = roots.run_dir + "/pods/" + uid;
  paths.shared_memory = paths.directory + "/shm";
  paths.socket = paths.directory + "/shim.sock";
  paths.group = pod_group(uid, qos_class);
  return paths;
}

Result<std::vector<HostStep>> plan_pod(const PodSandboxSpec& spec, const std::string& net_namespace,
                                       const Roots& roots) {
  MOORED_CHECK(check_pod(spec, net_namespace));
  const auto paths = pod_paths(roots, spec.uid, spec.qos_class);
  std::vector<HostStep> steps;
  steps.push_back(directory(paths.directory));
  steps.push_back(file(paths.directory + "/pod.json", format_pod(spec, net_namespace)));
  steps.push_back(
      file(paths.directory + "/sandbox.json", to_text(make_order(spec, net_namespace, paths))));
  steps.push_back(file(paths.directory + "/limits.json", format_limits(spec.limits)));
  steps.push_back(step_at(HostStepType::group, paths.group));
  auto limits = step_at(HostStepType::limits, paths.group);
  limits.limits = spec.limits;
  steps.push_back(limits);
  if (!spec.host_ipc) {
    steps.push_back(directory(paths.shared_memory));
    steps.push_back(step_at(HostStepType::shared_memory, paths.shared_memory));
  }
  steps.push_back(step_at(HostStepType::shim, paths.directory));
  auto sysctls = step_at(HostStepType::sysctls, paths.directory);
  for (const auto& entry : spec.sysctls)
    sysctls.list.push_back(entry.first + "=" + entry.second);
  if (!sysctls.list.empty()) steps.push_back(sysctls);
  return steps;
}

}  // namespace moored::container
