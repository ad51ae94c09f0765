// Rows of the security settings and of the small references that env and volumes share.
#include "schema/model/checks.hpp"
#include "schema/model/container.hpp"

namespace moored {
namespace {

constexpr std::string_view kAgent = "runtime/agent";
constexpr std::string_view kBy = "runtime/container";

constexpr std::array<std::string_view, 2> kProcMounts{"Default", "Unmasked"};
constexpr std::array<std::string_view, 2> kSeccompTypes{"RuntimeDefault", "Unconfined"};

// The names of capabilities(7), without CAP_.
constexpr std::array<std::string_view, 41> kCapabilities{
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

// Any letter case and the prefix CAP_ are understood, so that policy can judge every spelling.
std::optional<Error> check_capability(std::string_view text) {
  std::string word(text);
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (word.rfind("CAP_", 0) == 0) word.erase(0, 4);
  const bool known = std::find(kCapabilities.begin(), kCapabilities.end(), word) !=
                     kCapabilities.end();
  if (known || word == "ALL") return std::nullopt;
  return invalid_value(quoted(text) + " is not a capability",
                       "use a name of capabilities(7) without CAP_, or ALL");
}

// Profiles of the node's own files are not loaded.
std::optional<Error> check_localhost_profile(std::string_view path) {
  return invalid_value("the profile " + quoted(path) + " cannot be loaded",
                       "remove localhostProfile and use the type RuntimeDefault");
}

constexpr std::array<std::string_view, 11> kFieldPaths{
    "metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels",
    "metadata.annotations", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs"};

// The paths of both forms: environment variables and files.
std::optional<Error> check_field_path(std::string_view path) {
  if (std::find(kFieldPaths.begin(), kFieldPaths.end(), path) != kFieldPaths.end()) {
    return std::nullopt;
  }
  for (const std::string_view map : {"metadata.labels['", "metadata.annotations['"}) {
    if (path.substr(0, map.size()) != map || path.substr(path.size() - 2) != "']") continue;
    if (path.size() > map.size() + 2) return std::nullopt;
  }
  return invalid_value("the field path " + quoted(path) + " is not known",
                       "use " + word_list(kFieldPaths) + ", or metadata.labels['KEY']");
}

constexpr std::array<std::string_view, 4> kResourcePaths{
    "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"};
constexpr std::array<std::string_view, 1> kCoreVersion{"v1"};

// A division by zero, or an amount that grows instead of shrinking.
std::optional<Error> check_divisor(const void* value) {
  if (static_cast<const Quantity*>(value)->milli() > 0) return std::nullopt;
  return invalid_value("the divisor is not above zero", "use 1, 1m, 1Ki, 1Mi and the like");
}

}  // namespace

// Source: core/v1 Capabilities.
template <>
const TypeSchema& schema_of<Capabilities>() {
  using T = Capabilities;
  static constexpr Field kFields[] = {
      field<&T::add>("add", {.check = &each_check<&check_capability>, .carried_by = kBy,
                             .doc = "Capabilities beyond the usual ones."}),
      field<&T::drop>("drop", {.check = &each_check<&check_capability>, .carried_by = kBy,
                               .doc = "Capabilities taken away; ALL means every one."}),
  };
  static constexpr TypeSchema kSchema{"Capabilities", kFields};
  return kSchema;
}

// Source: core/v1 SeccompProfile. RuntimeDefault is compiled in; no profile files are read.
template <>
const TypeSchema& schema_of<SeccompProfile>() {
  using T = SeccompProfile;
  static constexpr Field kFields[] = {
      field<&T::type>("type", {.flags = kRequired, .check = &words_check<kSeccompTypes>,
                               .carried_by = kBy,
                               .doc = "RuntimeDefault or Unconfined."}),
      field<&T::localhost_profile>("localhostProfile",
                                   {.check = &text_check<&check_localhost_profile>,
                                    .carried_by = kBy,
                                    .doc = "Profiles of one's own are not loaded."}),
  };
  static constexpr TypeSchema kSchema{"SeccompProfile", kFields};
  return kSchema;
}

// Source: core/v1 SecurityContext. What may be asked for is judged by policy, not here.
template <>
const TypeSchema& schema_of<SecurityContext>() {
  using T = SecurityContext;
  static constexpr Field kFields[] = {
      field<&T::capabilities>("capabilities", {.carried_by = kBy,
                                               .doc = "Rights of the super-user by name."}),
      field<&T::privileged>("privileged", {.carried_by = kBy,
                                           .doc = "Whether it may do what the node's root may."}),
      refused("seLinuxOptions", "labels are not set; remove it"),
      refused("windowsOptions", "this is a Linux node; remove it"),
      field<&T::run_as_user>("runAsUser", {.check = kId, .carried_by = kBy,
                                           .doc = "User id; the image's when left out."}),
      field<&T::run_as_group>("runAsGroup", {.check = kId, .carried_by = kBy,
                                             .doc = "Group id; the image's when left out."}),
      field<&T::run_as_non_root>("runAsNonRoot", {.carried_by = kBy,
                                                  .doc = "Refuse to start as user 0."}),
      field<&T::read_only_root_filesystem>("readOnlyRootFilesystem",
                                           {.carried_by = kBy,
                                            .doc = "Whether the image's files are read-only."}),
      field<&T::allow_privilege_escalation>(
          "allowPrivilegeEscalation",
          {.carried_by = kBy, .doc = "false: programs gain no rights by being executed."}),
      field<&T::proc_mount>("procMount", {.check = &words_check<kProcMounts>, .carried_by = kBy,
                                          .doc = "Default or Unmasked."}),
      field<&T::seccomp_profile>("seccompProfile", {.carried_by = kBy,
                                                    .doc = "Which system calls are allowed."}),
      refused("appArmorProfile", "profiles are not loaded; remove it"),
  };
  static constexpr TypeSchema kSchema{"SecurityContext", kFields};
  return kSchema;
}

// Source: core/v1 ConfigMapKeySelector and SecretKeySelector, which are the same.
template <>
const TypeSchema& schema_of<KeySelector>() {
  using T = KeySelector;
  static constexpr Field kFields[] = {
      field<&T::key>("key", {.flags = kRequired, .check = &full_text_check<&check_map_key>,
                             .carried_by = kAgent, .doc = "Key to take."}),
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = kAgent, .doc = "Name in the pod's namespace."}),
      field<&T::optional>("optional", {.carried_by = kAgent, .doc = "Whether it may be missing."}),
  };
  static constexpr TypeSchema kSchema{"KeySelector", kFields};
  return kSchema;
}

// Source: core/v1 ObjectFieldSelector.
template <>
const TypeSchema& schema_of<ObjectFieldSelector>() {
  using T = ObjectFieldSelector;
  static constexpr Field kFields[] = {
      field<&T::api_version>("apiVersion", {.fallback = "\"v1\"",
                                            .check = &words_check<kCoreVersion>,
                                            .carried_by = kAgent, .doc = "v1."}),
      field<&T::field_path>("fieldPath", {.flags = kRequired,
                                          .check = &full_text_check<&check_field_path>,
                                          .carried_by = kAgent,
                                          .doc = "Field of the pod, such as metadata.name."}),
  };
  static constexpr TypeSchema kSchema{"ObjectFieldSelector", kFields};
  return kSchema;
}

// Source: core/v1 ResourceFieldSelector.
template <>
const TypeSchema& schema_of<ResourceFieldSelector>() {
  using T = ResourceFieldSelector;
  static constexpr Field kFields[] = {
      field<&T::container_name>("containerName", {.check = &text_check<&check_dns_label>,
                                                  .carried_by = kAgent,
                                                  .doc = "Container; needed in volumes."}),
      field<&T::resource>("resource", {.flags = kRequired, .check = &words_check<kResourcePaths>,
                                       .carried_by = kAgent,
                                       .doc = "limits.cpu, requests.memory and the like."}),
      field<&T::divisor>("divisor", {.check = &check_divisor, .carried_by = kAgent,
                                     .doc = "Unit of the result, rounded up; 1 when left out."}),
  };
  static constexpr TypeSchema kSchema{"ResourceFieldSelector", kFields};
  return kSchema;
}

}  // namespace moored
