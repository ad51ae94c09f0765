// Rows and checks of PodSpec, the one type that most manifests are made of.
#include <set>

#include "schema/model/checks.hpp"
#include "schema/model/pod.hpp"
#include "schema/model/pod_resources.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "runtime/agent";
constexpr std::string_view kScheduler = "reconciler/scheduler";

constexpr std::array<std::string_view, 3> kRestartPolicies{"Always", "OnFailure", "Never"};
constexpr std::array<std::string_view, 4> kDnsPolicies{"ClusterFirst", "ClusterFirstWithHostNet",
                                                       "Default", "None"};
constexpr std::array<std::string_view, 1> kSchedulers{"default-scheduler"};

using Places = std::map<std::string, std::string>;  // name to the path of its first use

// Logs, statuses and exec name a container without saying which list it is in.
void check_container_names(const PodSpec& spec, std::vector<Error>& errors) {
  Places seen;
  const auto visit = [&](const std::vector<Container>& list, const std::string& name) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto path = name + index_path(i) + ".name";
      const auto [first, added] = seen.emplace(list[i].name, path);
      if (added || list[i].name.empty()) continue;
      add_at(errors, path, invalid_value("the container name " + quoted(list[i].name) +
                                             " is already used at " + first->second,
                                         "choose another name"));
    }
  };
  visit(spec.init_containers, "initContainers");
  visit(spec.containers, "containers");
}

// The names are handed on to the check of the mounts.
std::set<std::string> check_volume_names(const PodSpec& spec, std::vector<Error>& errors) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < spec.volumes.size(); ++i) {
    const auto& name = spec.volumes[i].name;
    if (names.insert(name).second) continue;
    add_at(errors, "volumes" + index_path(i) + ".name",
           invalid_value("the volume name " + quoted(name) + " is used twice",
                         "choose another name"));
  }
  return names;
}

// A mount of a volume that is not there would only fail when the pod starts.
void check_mounts(const std::vector<Container>& list, const std::string& list_name,
                  const std::set<std::string>& volumes, std::vector<Error>& errors) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& mounts = list[i].volume_mounts;
    for (std::size_t j = 0; j < mounts.size(); ++j) {
      if (volumes.count(mounts[j].name) > 0) continue;
      add_at(errors, list_name + index_path(i) + ".volumeMounts" + index_path(j) + ".name",
             invalid_value("the pod has no volume " + quoted(mounts[j].name),
                           "declare it under volumes or mount another one"));
    }
  }
}

// Two containers of a pod cannot both take one port of the node.
void check_host_ports(const PodSpec& spec, std::vector<Error>& errors) {
  Places seen;
  for (std::size_t i = 0; i < spec.containers.size(); ++i) {
    const auto& ports = spec.containers[i].ports;
    for (std::size_t j = 0; j < ports.size(); ++j) {
      if (ports[j].host_port == 0) continue;
      const auto path = "containers" + index_path(i) + ".ports" + index_path(j) + ".hostPort";
      // TCP and UDP have separate number spaces, and one port may be bound per address.
      const auto key = ports[j].protocol + " " + ports[j].host_ip + " " +
                       std::to_string(ports[j].host_port);
      const auto [first, added] = seen.emplace(key, path);
      if (added) continue;
      add_at(errors, path, invalid_value("the node's port " + std::to_string(ports[j].host_port) +
                                             " is already taken at " + first->second,
                                         "choose another port"));
    }
  }
}

// Names of ports are local to their container.
bool has_port(const Container& container, const std::string& name) {
  return std::any_of(container.ports.begin(), container.ports.end(),
                     [&](const ContainerPort& port) { return port.name == name; });
}

// Numbers need no container port to stand beside them.
void check_named_port(const Container& container, const IntOrString& port, std::string path,
                      std::vector<Error>& errors) {
  if (!port.is_string || has_port(container, port.text)) return;
  add_at(errors, std::move(path),
         invalid_value("the container has no port named " + quoted(port.text),
                       "name one of its ports or write the number"));
}

// Probes and hooks share these members, and no base class that would name them.
template <class Action>
void check_action_ports(const Container& container, const std::optional<Action>& action,
                        const std::string& path, std::vector<Error>& errors) {
  if (!action) return;
  if (action->http_get) {
    check_named_port(container, action->http_get->port, path + ".httpGet.port", errors);
  }
  if (action->tcp_socket) {
    check_named_port(container, action->tcp_socket->port, path + ".tcpSocket.port", errors);
  }
}

// Probes and hooks alike; exec and grpc name no ports.
void check_ports_of_actions(const std::vector<Container>& list, const std::string& list_name,
                            std::vector<Error>& errors) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& c = list[i];
    const auto path = list_name + index_path(i);
    check_action_ports(c, c.liveness_probe, path + ".livenessProbe", errors);
    check_action_ports(c, c.readiness_probe, path + ".readinessProbe", errors);
    check_action_ports(c, c.startup_probe, path + ".startupProbe", errors);
    if (!c.lifecycle) continue;
    check_action_ports(c, c.lifecycle->post_start, path + ".lifecycle.postStart", errors);
    check_action_ports(c, c.lifecycle->pre_stop, path + ".lifecycle.preStop", errors);
  }
}

// Init containers that end cannot be probed or hooked; only init containers become sidecars.
void check_init_rules(const PodSpec& spec, std::vector<Error>& errors) {
  for (std::size_t i = 0; i < spec.init_containers.size(); ++i) {
    const auto& init = spec.init_containers[i];
    if (is_sidecar(init)) continue;
    const auto path = "initContainers" + index_path(i);
    const auto refuse = [&](bool present, std::string_view name) {
      if (!present) return;
      add_at(errors, path + "." + std::string(name),
             invalid_value("an init container that ends cannot have it",
                           "remove it, or set restartPolicy: Always to make a sidecar"));
    };
    refuse(init.liveness_probe.has_value(), "livenessProbe");
    refuse(init.readiness_probe.has_value(), "readinessProbe");
    refuse(init.startup_probe.has_value(), "startupProbe");
    refuse(init.lifecycle.has_value(), "lifecycle");
  }
  for (std::size_t i = 0; i < spec.containers.size(); ++i) {
    if (spec.containers[i].restart_policy.empty()) continue;
    add_at(errors, "containers" + index_path(i) + ".restartPolicy",
           invalid_value("only init containers can have it", "use the pod's restartPolicy"));
  }
}

// Without name servers the pod would resolve nothing, and nobody would be told why.
void check_dns(const PodSpec& spec, std::vector<Error>& errors) {
  if (spec.dns_policy != "None") return;
  if (spec.dns_config && !spec.dns_config->nameservers.empty()) return;
  add_at(errors, "dnsConfig", invalid_value("dnsPolicy None needs name servers",
                                            "list them under dnsConfig.nameservers"));
}

// What the rows cannot see: everything that concerns two fields or two containers.
void check_pod_spec(const void* object, std::vector<Error>& errors) {
  const auto& spec = *static_cast<const PodSpec*>(object);
  check_container_names(spec, errors);
  const auto volumes = check_volume_names(spec, errors);
  check_mounts(spec.init_containers, "initContainers", volumes, errors);
  check_mounts(spec.containers, "containers", volumes, errors);
  check_host_ports(spec, errors);
  check_ports_of_actions(spec.init_containers, "initContainers", errors);
  check_ports_of_actions(spec.containers, "containers", errors);
  check_init_rules(spec, errors);
  check_dns(spec, errors);
  if (spec.host_pid && spec.share_process_namespace == true) {
    add_at(errors, "shareProcessNamespace",
           invalid_value("hostPID already shares all processes", "keep one of the two"));
  }
  const bool named = !spec.service_account.empty() && !spec.service_account_name.empty();
  if (named && spec.service_account != spec.service_account_name) {
    add_at(errors, "serviceAccount",
           invalid_value("serviceAccount and serviceAccountName differ",
                         "keep serviceAccountName only"));
  }
}

// Both names of the service account are written, as Kubernetes does; with the node's network a
// container port is a port of the node.
void complete_pod_spec(void* object) {
  auto& spec = *static_cast<PodSpec*>(object);
  if (spec.service_account_name.empty()) spec.service_account_name = spec.service_account;
  if (spec.service_account.empty()) spec.service_account = spec.service_account_name;
  if (!spec.host_network) return;
  for (auto* list : {&spec.init_containers, &spec.containers}) {
    for (auto& container : *list) {
      for (auto& port : container.ports) {
        if (port.host_port == 0) port.host_port = port.container_port;
      }
    }
  }
}

// Named apart so that the row says what it checks.
std::optional<Error> check_node_name(std::string_view name) { return check_dns_subdomain(name); }

using T = PodSpec;
// The rows of PodSpec, in the order in which Kubernetes writes them.
constexpr Field kFields[] = {
    field<&T::volumes>("volumes", {.merge_key = "name", .carried_by = kBy,
                                   .doc = "Directories that containers can mount."}),
    field<&T::init_containers>("initContainers",
                               {.merge_key = "name", .carried_by = kBy,
                                .doc = "Run one after the other before the containers."}),
    field<&T::containers>("containers", {.flags = kRequired, .merge_key = "name",
                                         .carried_by = kBy,
                                         .doc = "The programs of the pod."}),
    refused("ephemeralContainers", "use moorctl exec in a running container"),
    field<&T::restart_policy>("restartPolicy", {.fallback = "\"Always\"",
                                                .check = &words_check<kRestartPolicies>,
                                                .carried_by = kBy,
                                                .doc = "Always, OnFailure or Never."}),
    field<&T::termination_grace_period_seconds>(
        "terminationGracePeriodSeconds",
        {.fallback = "30", .check = kNatural64, .carried_by = kBy,
         .doc = "Seconds between the stop signal and the kill."}),
    field<&T::active_deadline_seconds>("activeDeadlineSeconds",
                                       {.check = kPositive64, .carried_by = kBy,
                                        .doc = "Seconds after which the pod has failed."}),
    field<&T::dns_policy>("dnsPolicy", {.fallback = "\"ClusterFirst\"",
                                        .check = &words_check<kDnsPolicies>,
                                        .carried_by = kBy,
                                        .doc = "Where the pod's name servers come from."}),
    field<&T::node_selector>("nodeSelector",
                             {.check = &keys_check<&check_label_key, &check_label_value>,
                              .carried_by = kScheduler,
                              .doc = "Labels that the node must carry."}),
    field<&T::service_account_name>("serviceAccountName",
                                    {.check = &text_check<&check_dns_subdomain>,
                                     .carried_by = kBy,
                                     .doc = "ServiceAccount whose pull secrets are used."}),
    field<&T::service_account>("serviceAccount",
                               {.check = &text_check<&check_dns_subdomain>,
                                .carried_by = kBy,
                                .doc = "The old name of serviceAccountName."}),
    field<&T::automount_service_account_token>(
        "automountServiceAccountToken",
        {.carried_by = kBy, .doc = "No token exists here, so none is mounted either way."}),
    field<&T::node_name>("nodeName", {.check = &text_check<&check_node_name>,
                                      .carried_by = kScheduler,
                                      .doc = "Node to run on; chosen when left out."}),
    field<&T::host_network>("hostNetwork", {.carried_by = "net/pod",
                                            .doc = "Use the node's network."}),
    field<&T::host_pid>("hostPID", {.carried_by = "runtime/container",
                                    .doc = "See the node's processes."}),
    field<&T::host_ipc>("hostIPC", {.carried_by = "runtime/container",
                                    .doc = "Share the node's System V and POSIX IPC."}),
    field<&T::share_process_namespace>("shareProcessNamespace",
                                       {.carried_by = "runtime/container",
                                        .doc = "Containers see one another's processes."}),
    field<&T::security_context>("securityContext",
                                {.carried_by = "runtime/container",
                                 .doc = "Settings for all containers of the pod."}),
    field<&T::image_pull_secrets>("imagePullSecrets",
                                  {.merge_key = "name",
                                   .carried_by = "runtime/agent",
                                   .doc = "Secrets with credentials for registries."}),
    field<&T::hostname>("hostname", {.check = &text_check<&check_dns_label>,
                                     .carried_by = "runtime/container",
                                     .doc = "Host name; the pod's name when left out."}),
    field<&T::subdomain>("subdomain", {.check = &text_check<&check_dns_label>,
                                       .carried_by = kBy,
                                       .doc = "Second part of the pod's full host name."}),
    refused("affinity", "there is one node to choose; remove it, or use nodeSelector"),
    field<&T::scheduler_name>("schedulerName", {.fallback = "\"default-scheduler\"",
                                                .check = &words_check<kSchedulers>,
                                                .carried_by = kScheduler,
                                                .doc = "default-scheduler, the only one."}),
    field<&T::tolerations>("tolerations",
                           {.carried_by = kScheduler,
                            .doc = "Taints that do not keep the pod from a node."}),
    field<&T::host_aliases>("hostAliases", {.merge_key = "ip", .carried_by = kBy,
                                            .doc = "Further lines of /etc/hosts."}),
    field<&T::priority_class_name>("priorityClassName",
                                   {.flags = kNoEffect,
                                    .check = &text_check<&check_dns_subdomain>,
                                    .carried_by = kScheduler,
                                    .doc = "Pods do not preempt one another."}),
    refused("priority", "set priorityClassName"),
    field<&T::dns_config>("dnsConfig", {.carried_by = kBy,
                                        .doc = "Name servers and searches of one's own."}),
    refused("readinessGates", "nobody sets such conditions here; use a readiness probe"),
    refused("runtimeClassName", "there is one runtime; remove it"),
    field<&T::enable_service_links>("enableServiceLinks",
                                    {.fallback = "true", .carried_by = kBy,
                                     .doc = "Environment variables for Services."}),
    refused("preemptionPolicy", "pods are not preempted here; remove it"),
    refused("overhead", "containers have no overhead of a runtime class; remove it"),
    refused("topologySpreadConstraints", "there is one node; remove it"),
    refused("setHostnameAsFQDN", "set hostname"),
    refused("os", "this is a Linux node; remove it"),
    refused("hostUsers", "user namespaces are not made; remove it"),
    refused("schedulingGates", "add the pod to Git when it is meant to run"),
    refused("resourceClaims", "devices are not handed out; remove the claims"),
    refused("resources", "set resources on the containers"),
    refused("hostnameOverride", "set hostname"),
    refused("schedulingGroup", "pods are scheduled one by one; remove it"),
};

}  // namespace

template <>
const TypeSchema& schema_of<PodSpec>() {
  static constexpr TypeSchema kSchema{"PodSpec", kFields, &check_pod_spec, &complete_pod_spec};
  return kSchema;
}

}  // namespace moored
