#include "schema/validate/pod_security.hpp"

#include <algorithm>
#include <array>

#include "schema/model/grammar.hpp"

namespace moored {
namespace {

using Level = AdmissionPolicy::Level;

constexpr std::array<std::string_view, 13> kBaselineCapabilities{
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"};
constexpr std::array<std::string_view, 12> kSafeSysctls{
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem"};
constexpr std::string_view kAppArmorKey = "container.apparmor.security.beta.kubernetes.io/";

// One spelling: upper case, without CAP_.
std::string canonical_capability(std::string_view text) {
  std::string word(text);
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (word.rfind("CAP_", 0) == 0) word.erase(0, 4);
  return word;
}

// The judge of one pod; errors carry full paths.
class Judge {
 public:
  Judge(const PodSpec& spec, const ObjectMeta& meta, Level level, std::string path)
      : spec_(spec), meta_(meta), level_(level), path_(std::move(path)) {}

  std::vector<Error> judge() {
    if (level_ == Level::privileged) return {};
    judge_pod_baseline();
    each_container([this](const Container& c, const std::string& at) { judge_baseline(c, at); });
    if (level_ == Level::restricted) {
      judge_pod_restricted();
      each_container(
          [this](const Container& c, const std::string& at) { judge_restricted(c, at); });
    }
    return std::move(errors_);
  }

 private:
  template <class Visit>
  void each_container(Visit visit) {
    for (std::size_t i = 0; i < spec_.init_containers.size(); ++i) {
      visit(spec_.init_containers[i], "initContainers" + index_path(i));
    }
    for (std::size_t i = 0; i < spec_.containers.size(); ++i) {
      visit(spec_.containers[i], "containers" + index_path(i));
    }
  }

  void forbid(const std::string& field, std::string message, std::string fix) {
    forbid_at(path_ + "." + field, std::move(message), std::move(fix));
  }

  void forbid_at(std::string full_path, std::string message, std::string fix) {
    Error error{Code::denied,
                std::move(message) + ", which the policy " + std::string(level_name(level_)) +
                    " forbids",
                "Forbidden", {}, std::move(fix)};
    error.place.field = std::move(full_path);
    errors_.push_back(std::move(error));
  }

  void judge_pod_baseline() {
    const std::string fix = "remove it, or ask the operator for the policy privileged";
    if (spec_.host_network) forbid("hostNetwork", "the pod uses the node's network", fix);
    if (spec_.host_pid) forbid("hostPID", "the pod sees the node's processes", fix);
    if (spec_.host_ipc) forbid("hostIPC", "the pod shares the node's IPC", fix);
    for (std::size_t i = 0; i < spec_.volumes.size(); ++i) {
      if (!spec_.volumes[i].host_path) continue;
      forbid("volumes" + index_path(i) + ".hostPath", "the volume is a path of the node",
             "use emptyDir, configMap or secret, or ask the operator for the policy privileged");
    }
    if (spec_.security_context) judge_pod_context(*spec_.security_context);
    judge_annotations();
  }

  void judge_pod_context(const PodSecurityContext& context) {
    judge_seccomp(context.seccomp_profile, "securityContext");
    for (std::size_t i = 0; i < context.sysctls.size(); ++i) {
      std::string name = context.sysctls[i].name;
      std::replace(name.begin(), name.end(), '/', '.');
      if (std::find(kSafeSysctls.begin(), kSafeSysctls.end(), name) != kSafeSysctls.end()) {
        continue;
      }
      forbid("securityContext.sysctls" + index_path(i) + ".name",
             "the kernel setting " + quoted(name) + " is not known to stay inside the pod",
             "remove it");
    }
  }

  // Profiles were once switched off by annotations; no such annotation has an effect here.
  void judge_annotations() {
    for (const auto& [key, value] : meta_.annotations) {
      if (key.rfind(kAppArmorKey, 0) != 0 || value != "unconfined") continue;
      forbid_at(metadata_path() + ".annotations" + key_path(key), "the profile is switched off",
                "remove it");
    }
  }

  // spec.template.spec has its metadata at spec.template.metadata.
  std::string metadata_path() const {
    const auto dot = path_.rfind('.');
    return (dot == std::string::npos ? "" : path_.substr(0, dot + 1)) + "metadata";
  }

  void judge_seccomp(const std::optional<SeccompProfile>& profile, const std::string& at) {
    if (!profile || profile->type != "Unconfined") return;
    forbid(at + ".seccompProfile.type", "the filter of system calls is switched off",
           "use RuntimeDefault");
  }

  void judge_baseline(const Container& container, const std::string& at) {
    for (std::size_t i = 0; i < container.ports.size(); ++i) {
      if (container.ports[i].host_port == 0 || spec_.host_network) continue;
      forbid(at + ".ports" + index_path(i) + ".hostPort", "the container takes a port of the node",
             "use a Service, or ask the operator for the policy privileged");
    }
    for (std::size_t i = 0; i < container.volume_mounts.size(); ++i) {
      if (container.volume_mounts[i].mount_propagation != "Bidirectional") continue;
      forbid(at + ".volumeMounts" + index_path(i) + ".mountPropagation",
             "mounts of the container reach the node", "use None or HostToContainer");
    }
    if (!container.security_context) return;
    const auto& context = *container.security_context;
    const std::string in = at + ".securityContext";
    if (context.privileged == true) {
      forbid(in + ".privileged", "the container may do what the node's root may",
             "remove it, or ask the operator for the policy privileged");
    }
    if (context.proc_mount == "Unmasked") {
      forbid(in + ".procMount", "the kernel's files are not masked", "use Default");
    }
    judge_seccomp(context.seccomp_profile, in);
    if (context.capabilities) judge_added(*context.capabilities, in);
  }

  void judge_added(const Capabilities& capabilities, const std::string& in) {
    for (std::size_t i = 0; i < capabilities.add.size(); ++i) {
      const auto word = canonical_capability(capabilities.add[i]);
      const bool allowed = level_ == Level::restricted
                               ? word == "NET_BIND_SERVICE"
                               : std::find(kBaselineCapabilities.begin(),
                                           kBaselineCapabilities.end(),
                                           word) != kBaselineCapabilities.end();
      if (allowed) continue;
      forbid(in + ".capabilities.add" + index_path(i),
             "the capability " + quoted(capabilities.add[i]) + " is added",
             "remove it, or ask the operator for the policy " +
                 std::string(level_ == Level::restricted ? "baseline" : "privileged"));
    }
  }

  void judge_pod_restricted() {
    if (!spec_.security_context) return;
    const auto& context = *spec_.security_context;
    if (context.run_as_user == 0) {
      forbid("securityContext.runAsUser", "the pod runs as user 0", "use another user");
    }
    if (context.run_as_non_root == false) {
      forbid("securityContext.runAsNonRoot", "the pod may run as user 0", "set it to true");
    }
  }

  void judge_restricted(const Container& container, const std::string& at) {
    static const SecurityContext kEmpty;
    static const PodSecurityContext kEmptyPod;
    const auto& own = container.security_context ? *container.security_context : kEmpty;
    const auto& pod = spec_.security_context ? *spec_.security_context : kEmptyPod;
    const std::string in = at + ".securityContext";
    if (own.allow_privilege_escalation != false) {
      forbid(in + ".allowPrivilegeEscalation", "programs may gain rights by being executed",
             "set it to false");
    }
    const bool non_root = own.run_as_non_root.value_or(pod.run_as_non_root.value_or(false));
    if (!non_root && !(pod.run_as_non_root == false && !own.run_as_non_root)) {
      forbid(in + ".runAsNonRoot", "the container may run as user 0", "set it to true");
    }
    if (own.run_as_user == 0) {
      forbid(in + ".runAsUser", "the container runs as user 0", "use another user");
    }
    if (!own.seccomp_profile && !pod.seccomp_profile) {
      forbid(in + ".seccompProfile", "no filter of system calls is chosen",
             "set its type to RuntimeDefault");
    }
    const bool drops_all =
        own.capabilities &&
        std::any_of(own.capabilities->drop.begin(), own.capabilities->drop.end(),
                    [](const auto& word) { return canonical_capability(word) == "ALL"; });
    if (!drops_all) {
      forbid(in + ".capabilities.drop", "not all capabilities are dropped", "write drop: [ALL]");
    }
  }

  const PodSpec& spec_;
  const ObjectMeta& meta_;
  Level level_;
  std::string path_;
  std::vector<Error> errors_;
};

}  // namespace

std::vector<Error> check_pod_security(const PodSpec& spec, const ObjectMeta& meta, Level level,
                                      const std::string& path) {
  return Judge(spec, meta, level, path).judge();
}

// Levels are ordered from what allows most to what allows least.
AdmissionPolicy tighten(AdmissionPolicy policy, Level floor) {
  policy.default_level = std::max(policy.default_level, floor);
  for (auto& [name, level] : policy.namespace_levels) level = std::max(level, floor);
  return policy;
}

std::string_view level_name(Level level) {
  switch (level) {
    case Level::privileged: return "privileged";
    case Level::baseline: return "baseline";
    case Level::restricted: return "restricted";
  }
  return "baseline";
}

}  // namespace moored
