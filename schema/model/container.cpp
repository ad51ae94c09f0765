#include "schema/model/container.hpp"

#include <set>

#include "schema/model/checks.hpp"

namespace moored {
namespace {

constexpr std::string_view kAgent = "runtime/agent";
constexpr std::string_view kBy = "runtime/container";

constexpr std::array<std::string_view, 3> kProtocols{"TCP", "UDP", "SCTP"};
constexpr std::array<std::string_view, 3> kPullPolicies{"Always", "IfNotPresent", "Never"};
constexpr std::array<std::string_view, 2> kMessagePolicies{"File", "FallbackToLogsOnError"};
constexpr std::array<std::string_view, 1> kSidecarPolicies{"Always"};
// The others would let a container mount into the node.
constexpr std::array<std::string_view, 1> kPropagations{"None"};

// Every amount is zero or more and has a well-formed name.
std::optional<Error> check_resource_list(const void* value) {
  for (const auto& [name, amount] : *static_cast<const ResourceList*>(value)) {
    auto error = check_resource_name(name);
    if (!error && amount.milli() < 0) {
      error = invalid_value("the amount " + amount.text() + " is negative",
                            "use zero or more");
    }
    if (error) {
      error->place.field = key_path(name);
      return error;
    }
  }
  return std::nullopt;
}

// What the scheduler counts and the kernel limits: no devices, huge pages or disk space. Names in
// known were judged before.
std::optional<Error> check_granted(const ResourceList& list, const ResourceList& known) {
  constexpr std::array<std::string_view, 2> kGranted{"cpu", "memory"};
  for (const auto& [name, amount] : list) {
    if (std::find(kGranted.begin(), kGranted.end(), name) != kGranted.end()) continue;
    if (known.count(name) > 0) continue;
    auto error = invalid_value("the resource " + quoted(name) + " is not counted here",
                               "use " + word_list(kGranted));
    error.place.field = key_path(name);
    return error;
  }
  return std::nullopt;
}

// A request above its limit could never be used.
void check_resources(const void* object, std::vector<Error>& errors) {
  const auto& resources = *static_cast<const ResourceRequirements*>(object);
  if (auto error = check_granted(resources.limits, {})) {
    add_at(errors, "limits", *std::move(error));
  }
  if (auto error = check_granted(resources.requests, resources.limits)) {
    add_at(errors, "requests", *std::move(error));
  }
  for (const auto& [name, request] : resources.requests) {
    const auto limit = resources.limits.find(name);
    if (limit == resources.limits.end() || request <= limit->second) continue;
    add_at(errors, "requests" + key_path(name),
           invalid_value("the request " + request.text() + " is above the limit " +
                             limit->second.text(),
                         "lower the request or raise the limit"));
  }
}

// A missing request is the limit.
void complete_resources(void* object) {
  auto& resources = *static_cast<ResourceRequirements*>(object);
  for (const auto& [name, limit] : resources.limits) {
    if (limit.milli() >= 0) resources.requests.emplace(name, limit);
  }
}

// Kubernetes would take the first; which one was meant cannot be known.
void check_env_source(const void* object, std::vector<Error>& errors) {
  const auto& source = *static_cast<const EnvVarSource*>(object);
  const int count = int{source.field_ref.has_value()} +
                    int{source.resource_field_ref.has_value()} +
                    int{source.config_map_key_ref.has_value()} +
                    int{source.secret_key_ref.has_value()};
  if (count == 1) return;
  add_at(errors, "", invalid_value(std::to_string(count) + " sources are given",
                                   "give exactly one of fieldRef, resourceFieldRef, "
                                   "configMapKeyRef and secretKeyRef"));
}

// An empty value beside valueFrom is what tools write; it says nothing.
void check_env(const void* object, std::vector<Error>& errors) {
  const auto& env = *static_cast<const EnvVar*>(object);
  if (!env.value.empty() && env.value_from) {
    add_at(errors, "valueFrom", invalid_value("value and valueFrom are both given",
                                              "keep one of them"));
  }
}

// Neither or both: which object is meant cannot be known.
void check_env_from(const void* object, std::vector<Error>& errors) {
  const auto& source = *static_cast<const EnvFromSource*>(object);
  if (source.config_map_ref.has_value() != source.secret_ref.has_value()) return;
  add_at(errors, "", invalid_value("the source is not clear",
                                   "give exactly one of configMapRef and secretRef"));
}

// Both would name the part of the volume.
void check_mount(const void* object, std::vector<Error>& errors) {
  const auto& mount = *static_cast<const VolumeMount*>(object);
  if (!mount.sub_path.empty() && !mount.sub_path_expr.empty()) {
    add_at(errors, "subPathExpr", invalid_value("subPath and subPathExpr are both given",
                                                "keep one of them"));
  }
}

// The kernel ends arguments and variables at the first NUL.
std::optional<Error> check_env_value(std::string_view value) {
  if (value.find('\0') == std::string_view::npos) return std::nullopt;
  return invalid_value("the value holds a NUL character", "remove it");
}

// No two entries of a list share a name; empty names do not count.
template <class Item, class Name>
void check_unique(const std::vector<Item>& items, Name name, std::string_view list,
                  std::string_view member, std::vector<Error>& errors) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string& text = name(items[i]);
    if (text.empty() || seen.insert(text).second) continue;
    add_at(errors, std::string(list) + index_path(i) + "." + std::string(member),
           invalid_value(quoted(text) + " is used twice", "choose another one"));
  }
}

// no_new_privs and a privileged container contradict each other. Source: core/v1 validation.
void check_context_conflicts(const SecurityContext& context, std::vector<Error>& errors) {
  if (context.allow_privilege_escalation != false) return;
  const bool admin =
      context.capabilities && std::any_of(context.capabilities->add.begin(),
                                          context.capabilities->add.end(), [](const auto& word) {
                                            return word == "SYS_ADMIN" || word == "CAP_SYS_ADMIN";
                                          });
  if (context.privileged == true || admin) {
    add_at(errors, "securityContext.allowPrivilegeEscalation",
           invalid_value("a privileged container cannot forbid privilege escalation",
                         "remove privileged or SYS_ADMIN, or allowPrivilegeEscalation"));
  }
}

// One success ends the doubt about a container that is to be killed.
void check_liveness_threshold(const std::optional<Probe>& probe, std::string_view name,
                              std::vector<Error>& errors) {
  if (!probe || probe->success_threshold == 1) return;
  add_at(errors, std::string(name) + ".successThreshold",
         invalid_value(std::to_string(probe->success_threshold) + " is not allowed here",
                       "use 1"));
}

// What the rows cannot see: names used twice, and probes in places where they differ.
void check_container(const void* object, std::vector<Error>& errors) {
  const auto& container = *static_cast<const Container*>(object);
  check_unique(container.ports, [](const auto& p) -> const std::string& { return p.name; },
               "ports", "name", errors);
  check_unique(container.volume_mounts,
               [](const auto& m) -> const std::string& { return m.mount_path; }, "volumeMounts",
               "mountPath", errors);
  check_liveness_threshold(container.liveness_probe, "livenessProbe", errors);
  check_liveness_threshold(container.startup_probe, "startupProbe", errors);
  if (container.readiness_probe && container.readiness_probe->termination_grace_period_seconds) {
    add_at(errors, "readinessProbe.terminationGracePeriodSeconds",
           invalid_value("a readiness probe kills nothing", "remove the field"));
  }
  if (container.security_context) check_context_conflicts(*container.security_context, errors);
}

// Always for the tag "latest", as Kubernetes chooses it.
void complete_container(void* object) {
  auto& container = *static_cast<Container*>(object);
  if (!container.image_pull_policy.empty()) return;
  const auto parts = split_image_reference(container.image);
  const bool moves = parts.tag == "latest" || (parts.tag.empty() && parts.digest.empty());
  container.image_pull_policy = moves ? "Always" : "IfNotPresent";
}

}  // namespace

// Source: core/v1 ContainerPort. With host network hostPort becomes containerPort (PodSpec).
template <>
const TypeSchema& schema_of<ContainerPort>() {
  using T = ContainerPort;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.check = &text_check<&check_port_name>, .carried_by = kAgent,
                               .doc = "Name that probes and Services can use."}),
      field<&T::host_port>("hostPort", {.check = kPort, .carried_by = "net/pod",
                                        .doc = "Port of the node that leads here."}),
      field<&T::container_port>("containerPort", {.flags = kRequired, .check = kPort,
                                                  .carried_by = "net/pod",
                                                  .doc = "Port that the container listens on."}),
      field<&T::protocol>("protocol", {.fallback = "\"TCP\"",
                                       .check = &words_check<kProtocols>,
                                       .carried_by = "net/pod",
                                       .doc = "TCP, UDP or SCTP."}),
      field<&T::host_ip>("hostIP", {.check = &text_check<&check_ip_address>,
                                    .carried_by = "net/pod",
                                    .doc = "Address of the node that hostPort is bound to."}),
  };
  static constexpr TypeSchema kSchema{"ContainerPort", kFields};
  return kSchema;
}

// Source: core/v1 ResourceRequirements. Only what the machine can count is granted.
template <>
const TypeSchema& schema_of<ResourceRequirements>() {
  using T = ResourceRequirements;
  static constexpr Field kFields[] = {
      field<&T::limits>("limits", {.check = &check_resource_list, .carried_by = "runtime/cgroup",
                                   .doc = "What the container cannot exceed."}),
      field<&T::requests>("requests", {.check = &check_resource_list,
                                       .carried_by = "reconciler/scheduler",
                                       .doc = "What is set aside; the limits when left out."}),
      refused("claims", "devices are not handed out; remove the claims"),
  };
  static constexpr TypeSchema kSchema{"ResourceRequirements", kFields, &check_resources,
                                      &complete_resources};
  return kSchema;
}

// Source: core/v1 VolumeMount.
template <>
const TypeSchema& schema_of<VolumeMount>() {
  using T = VolumeMount;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_label>,
                               .carried_by = kAgent, .doc = "Name of a volume of the pod."}),
      field<&T::read_only>("readOnly", {.carried_by = kBy, .doc = "Whether writing is refused."}),
      refused("recursiveReadOnly", "use readOnly"),
      field<&T::mount_path>("mountPath", {.flags = kRequired,
                                          .check = &full_text_check<&check_mount_path>,
                                          .carried_by = kBy,
                                          .doc = "Where the volume appears in the container."}),
      field<&T::sub_path>("subPath", {.check = &text_check<&check_relative_path>,
                                      .carried_by = kBy,
                                      .doc = "Part of the volume to mount."}),
      field<&T::mount_propagation>("mountPropagation",
                                   {.check = &words_check<kPropagations>, .carried_by = kBy,
                                    .doc = "None: later mounts are not passed on."}),
      field<&T::sub_path_expr>("subPathExpr", {.check = &text_check<&check_relative_path>,
                                               .carried_by = kAgent,
                                               .doc = "As subPath, with $(VARIABLE) expanded."}),
  };
  static constexpr TypeSchema kSchema{"VolumeMount", kFields, &check_mount};
  return kSchema;
}

// Source: core/v1 EnvVarSource.
template <>
const TypeSchema& schema_of<EnvVarSource>() {
  using T = EnvVarSource;
  static constexpr Field kFields[] = {
      field<&T::field_ref>("fieldRef", {.carried_by = kAgent, .doc = "A field of the pod."}),
      field<&T::resource_field_ref>("resourceFieldRef",
                                    {.carried_by = kAgent, .doc = "A request or limit."}),
      field<&T::config_map_key_ref>("configMapKeyRef",
                                    {.carried_by = kAgent, .doc = "A key of a ConfigMap."}),
      field<&T::secret_key_ref>("secretKeyRef",
                                {.carried_by = kAgent, .doc = "A key of a Secret."}),
      refused("fileKeyRef", "use configMapKeyRef or secretKeyRef"),
  };
  static constexpr TypeSchema kSchema{"EnvVarSource", kFields, &check_env_source};
  return kSchema;
}

// Source: core/v1 EnvVar.
template <>
const TypeSchema& schema_of<EnvVar>() {
  using T = EnvVar;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_env_name>,
                               .carried_by = kAgent, .doc = "Name of the variable."}),
      field<&T::value>("value", {.check = &text_check<&check_env_value>, .carried_by = kAgent,
                                 .doc = "Value; $(NAME) stands for earlier variables."}),
      field<&T::value_from>("valueFrom", {.carried_by = kAgent,
                                          .doc = "Where the value comes from."}),
  };
  static constexpr TypeSchema kSchema{"EnvVar", kFields, &check_env};
  return kSchema;
}

// Source: core/v1 ConfigMapEnvSource and SecretEnvSource, which are the same.
template <>
const TypeSchema& schema_of<EnvFromReference>() {
  using T = EnvFromReference;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = kAgent, .doc = "Name in the pod's namespace."}),
      field<&T::optional>("optional", {.carried_by = kAgent, .doc = "Whether it may be missing."}),
  };
  static constexpr TypeSchema kSchema{"EnvFromReference", kFields};
  return kSchema;
}

// Source: core/v1 EnvFromSource. Keys that are no variable names are left out at the start.
template <>
const TypeSchema& schema_of<EnvFromSource>() {
  using T = EnvFromSource;
  static constexpr Field kFields[] = {
      field<&T::prefix>("prefix", {.check = &text_check<&check_env_name>, .carried_by = kAgent,
                                   .doc = "Put in front of every name."}),
      field<&T::config_map_ref>("configMapRef", {.carried_by = kAgent,
                                                 .doc = "All keys of a ConfigMap."}),
      field<&T::secret_ref>("secretRef", {.carried_by = kAgent, .doc = "All keys of a Secret."}),
  };
  static constexpr TypeSchema kSchema{"EnvFromSource", kFields, &check_env_from};
  return kSchema;
}

// Source: core/v1 Container and its defaults.
template <>
const TypeSchema& schema_of<Container>() {
  using T = Container;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_label>,
                               .carried_by = kAgent, .doc = "Name, unique in the pod."}),
      field<&T::image>("image", {.flags = kRequired,
                                 .check = &full_text_check<&check_image_reference>,
                                 .carried_by = "runtime/image",
                                 .doc = "Image to run."}),
      field<&T::command>("command", {.check = &each_check<&check_env_value>, .carried_by = kBy,
                                     .doc = "Program and arguments; the image's when left out."}),
      field<&T::args>("args", {.check = &each_check<&check_env_value>, .carried_by = kBy,
                               .doc = "Arguments after the command."}),
      field<&T::working_dir>("workingDir", {.check = &text_check<&check_absolute_path>,
                                            .carried_by = kBy,
                                            .doc = "Directory to start in; the image's if empty."}),
      field<&T::ports>("ports", {.merge_key = "containerPort", .carried_by = "net/pod",
                                 .doc = "Ports that the container listens on."}),
      field<&T::env_from>("envFrom", {.carried_by = kAgent,
                                      .doc = "ConfigMaps and Secrets that become variables."}),
      field<&T::env>("env", {.merge_key = "name", .carried_by = kAgent,
                             .doc = "Environment variables, in order."}),
      field<&T::resources>("resources", {.carried_by = "runtime/cgroup",
                                         .doc = "Requests and limits."}),
      refused("resizePolicy", "containers are restarted when their resources change; remove it"),
      field<&T::restart_policy>("restartPolicy",
                                {.check = &words_check<kSidecarPolicies>, .carried_by = kAgent,
                                 .doc = "Always makes an init container a sidecar."}),
      refused("restartPolicyRules", "use the pod's restartPolicy"),
      field<&T::volume_mounts>("volumeMounts", {.merge_key = "mountPath", .carried_by = kBy,
                                                .doc = "Volumes and where they appear."}),
      refused("volumeDevices", "raw block devices are not handed out; use a volume"),
      field<&T::liveness_probe>("livenessProbe", {.carried_by = kAgent,
                                                  .doc = "Failing restarts the container."}),
      field<&T::readiness_probe>("readinessProbe",
                                 {.carried_by = kAgent,
                                  .doc = "Failing takes the pod out of its Services."}),
      field<&T::startup_probe>("startupProbe", {.carried_by = kAgent,
                                                .doc = "Holds the others back until it passes."}),
      field<&T::lifecycle>("lifecycle", {.carried_by = kAgent, .doc = "Hooks of start and stop."}),
      field<&T::termination_message_path>("terminationMessagePath",
                                          {.fallback = "\"/dev/termination-log\"",
                                           .check = &full_text_check<&check_absolute_path>,
                                           .carried_by = kBy,
                                           .doc = "File with the last words of the container."}),
      field<&T::termination_message_policy>("terminationMessagePolicy",
                                            {.fallback = "\"File\"",
                                             .check = &words_check<kMessagePolicies>,
                                             .carried_by = kAgent,
                                             .doc = "File or FallbackToLogsOnError."}),
      field<&T::image_pull_policy>("imagePullPolicy",
                                   {.check = &words_check<kPullPolicies>,
                                    .carried_by = "runtime/image",
                                    .doc = "Always, IfNotPresent or Never."}),
      field<&T::security_context>("securityContext", {.carried_by = kBy,
                                                      .doc = "User, capabilities and the like."}),
      field<&T::stdin_open>("stdin", {.carried_by = kBy, .doc = "Whether stdin stays open."}),
      field<&T::stdin_once>("stdinOnce", {.flags = kNoEffect, .carried_by = kBy,
                                          .doc = "Nobody attaches to stdin."}),
      field<&T::tty>("tty", {.carried_by = kBy, .doc = "Whether a terminal is made."}),
  };
  static constexpr TypeSchema kSchema{"Container", kFields, &check_container,
                                      &complete_container};
  return kSchema;
}

}  // namespace moored
