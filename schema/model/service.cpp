#include <set>

#include "schema/model/core.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "net/proxy";

constexpr std::array<std::string_view, 3> kProtocols{"TCP", "UDP", "SCTP"};
constexpr std::array<std::string_view, 2> kAffinities{"None", "ClientIP"};
constexpr std::array<std::string_view, 2> kTrafficPolicies{"Cluster", "Local"};
constexpr std::array<std::string_view, 2> kFamilyPolicies{"SingleStack", "PreferDualStack"};

// The types that are still to come are told apart from misspelt ones.
std::optional<Error> check_type(std::string_view type) {
  if (type == "ClusterIP") return std::nullopt;
  const bool known = type == "NodePort" || type == "LoadBalancer" || type == "ExternalName";
  return invalid_value(quoted(type) + (known ? " is not carried out yet" : " is not allowed"),
                       "use ClusterIP, and hostPort where a port of the node is wanted");
}

// Silence would leave people waiting for a port that nobody opens.
std::optional<Error> check_node_port(const void* /*value*/) {
  return invalid_value("ports of the node are not opened yet",
                       "remove nodePort, and use hostPort where a port of the node is wanted");
}

// Addresses that lead traffic of others here would let anybody take any address over.
std::optional<Error> check_external_ips(const void* /*value*/) {
  return Error{Code::denied, "a Service cannot claim addresses of others", "Forbidden", {},
               "remove externalIPs"};
}

// Whether it lies in the range and is free is judged where addresses are given.
std::optional<Error> check_cluster_ip(std::string_view address) {
  if (address == "None") return std::nullopt;
  if (auto error = check_ip_address(address)) return error;
  const bool own = address.rfind("127.", 0) == 0 || address.find(':') != std::string_view::npos ||
                   address.rfind("0.", 0) == 0 || address.rfind("169.254.", 0) == 0;
  if (!own) return std::nullopt;
  return invalid_value("the address " + quoted(address) + " cannot belong to a Service",
                       "leave clusterIP out, or take one of --service-cidr");
}

// IPv6 is told as something to come and not as a mistake.
std::optional<Error> check_family(std::string_view family) {
  if (family == "IPv4") return std::nullopt;
  return invalid_value("the family " + quoted(family) + " is not carried out yet", "use IPv4");
}

// Zero and an empty text mean absent, as in Kubernetes.
void complete_port(void* object) {
  auto& port = *static_cast<ServicePort*>(object);
  if (port.port <= 0) return;
  const auto& target = port.target_port;
  const bool absent = !target || (target->is_string ? target->text.empty() : target->number == 0);
  if (absent) port.target_port = IntOrString::of(port.port);
}

// The two fields say the same; either may be written.
void complete_service(void* object) {
  auto& spec = static_cast<Service*>(object)->spec;
  if (spec.cluster_ips.empty() && !spec.cluster_ip.empty()) {
    spec.cluster_ips.push_back(spec.cluster_ip);
  }
  if (spec.cluster_ip.empty() && !spec.cluster_ips.empty()) {
    spec.cluster_ip = spec.cluster_ips.front();
  }
}

// Names are needed to tell ports apart; a port and its protocol can be had once.
void check_ports(const std::vector<ServicePort>& ports, std::vector<Error>& errors) {
  std::set<std::string> names;
  std::set<std::string> numbers;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const auto path = "spec.ports" + index_path(i);
    if (ports.size() > 1 && ports[i].name.empty()) {
      add_at(errors, path + ".name", invalid_value("the port has no name",
                                                   "name every port where there are several"));
    } else if (!names.insert(ports[i].name).second) {
      add_at(errors, path + ".name", invalid_value(quoted(ports[i].name) + " is used twice",
                                                   "choose another name"));
    }
    const auto number = std::to_string(ports[i].port) + "/" + ports[i].protocol;
    if (numbers.insert(number).second) continue;
    add_at(errors, path + ".port", invalid_value("the port " + number + " is used twice",
                                                 "keep one of them"));
  }
}

// Only a Service without an address may have no port.
void check_service(const void* object, std::vector<Error>& errors) {
  const auto& service = *static_cast<const Service*>(object);
  check_metadata(service.metadata, &check_service_name, errors);
  const auto& spec = service.spec;
  check_ports(spec.ports, errors);
  if (spec.ports.empty() && spec.cluster_ip != "None") {
    add_at(errors, "spec.ports", invalid_value("the Service has no port",
                                               "list at least one, or set clusterIP: None"));
  }
  if (spec.cluster_ips.size() > 1 ||
      (!spec.cluster_ips.empty() && spec.cluster_ips.front() != spec.cluster_ip)) {
    add_at(errors, "spec.clusterIPs", invalid_value("it does not hold just the clusterIP",
                                                    "remove clusterIPs"));
  }
}

}  // namespace

// Source: core/v1 ServicePort.
template <>
const TypeSchema& schema_of<ServicePort>() {
  using T = ServicePort;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.check = &text_check<&check_dns_label>, .carried_by = kBy,
                               .doc = "Name; needed where there are several ports."}),
      field<&T::protocol>("protocol", {.fallback = "\"TCP\"", .check = &words_check<kProtocols>,
                                       .carried_by = kBy, .doc = "TCP, UDP or SCTP."}),
      field<&T::app_protocol>("appProtocol", {.check = &text_check<&check_label_key>,
                                              .carried_by = "net/api",
                                              .doc = "What is spoken on the port; a note."}),
      field<&T::port>("port", {.flags = kRequired, .check = kPort, .carried_by = kBy,
                               .doc = "Port of the Service."}),
      field<&T::target_port>("targetPort", {.check = &port_reference_check, .carried_by = kBy,
                                            .doc = "Port of the pods; the same if left out."}),
      field<&T::node_port>("nodePort", {.check = &check_node_port, .carried_by = kBy,
                                        .doc = "Port of the node; not opened yet."}),
  };
  static constexpr TypeSchema kSchema{"ServicePort", kFields, nullptr, &complete_port};
  return kSchema;
}

// Source: core/v1 ServiceSpec. Every field of the types that are still to come is refused, so
// that no Service is silently less than was written.
template <>
const TypeSchema& schema_of<ServiceSpec>() {
  using T = ServiceSpec;
  static constexpr std::string_view kLater = "only ClusterIP is carried out yet; remove it";
  static constexpr Field kFields[] = {
      field<&T::ports>("ports", {.merge_key = "port", .carried_by = kBy, .doc = "The ports."}),
      field<&T::selector>("selector",
                          {.check = &keys_check<&check_label_key, &check_label_value>,
                           .carried_by = "reconciler/controllers",
                           .doc = "Labels of the pods; none: Endpoints are written in Git."}),
      field<&T::cluster_ip>("clusterIP", {.flags = kImmutable,
                                          .check = &text_check<&check_cluster_ip>,
                                          .carried_by = "reconciler/controllers",
                                          .doc = "Address; None for names only."}),
      field<&T::cluster_ips>("clusterIPs", {.flags = kImmutable,
                                            .check = &each_check<&check_cluster_ip>,
                                            .carried_by = "reconciler/controllers",
                                            .doc = "The same address as a list."}),
      field<&T::external_ips>("externalIPs", {.check = &check_external_ips,
                                              .carried_by = "schema/validate",
                                              .doc = "Addresses of others; not allowed."}),
      field<&T::type>("type", {.fallback = "\"ClusterIP\"",
                               .check = &full_text_check<&check_type>, .carried_by = kBy,
                               .doc = "ClusterIP."}),
      field<&T::session_affinity>("sessionAffinity",
                                  {.fallback = "\"None\"", .check = &words_check<kAffinities>,
                                   .carried_by = kBy, .doc = "None or ClientIP."}),
      field<&T::ip_families>("ipFamilies", {.fallback = "[\"IPv4\"]",
                                            .check = &each_check<&check_family>,
                                            .carried_by = kBy, .doc = "IPv4."}),
      field<&T::ip_family_policy>("ipFamilyPolicy",
                                  {.fallback = "\"SingleStack\"",
                                   .check = &words_check<kFamilyPolicies>, .carried_by = kBy,
                                   .doc = "SingleStack or PreferDualStack."}),
      field<&T::internal_traffic_policy>("internalTrafficPolicy",
                                         {.fallback = "\"Cluster\"",
                                          .check = &words_check<kTrafficPolicies>,
                                          .carried_by = kBy,
                                          .doc = "Cluster or Local; the same on one node."}),
      field<&T::publish_not_ready_addresses>(
          "publishNotReadyAddresses",
          {.carried_by = "reconciler/controllers", .doc = "Include pods that are not ready."}),
      refused("externalName", kLater),
      refused("externalTrafficPolicy", kLater),
      refused("healthCheckNodePort", kLater),
      refused("loadBalancerIP", kLater),
      refused("loadBalancerClass", kLater),
      refused("loadBalancerSourceRanges", kLater),
      refused("allocateLoadBalancerNodePorts", kLater),
      refused("sessionAffinityConfig", "the time of 10800 s is fixed; remove it"),
      refused("trafficDistribution", "there is one node; remove it"),
  };
  static constexpr TypeSchema kSchema{"ServiceSpec", kFields};
  return kSchema;
}

// Source: core/v1 ServiceStatus without load balancers.
template <>
const TypeSchema& schema_of<ServiceStatus>() {
  using T = ServiceStatus;
  static constexpr Field kFields[] = {
      field<&T::conditions>("conditions", {.merge_key = "type",
                                           .carried_by = "reconciler/controllers",
                                           .doc = "What keeps it from serving."}),
  };
  static constexpr TypeSchema kSchema{"ServiceStatus", kFields};
  return kSchema;
}

// Source: core/v1 Service.
template <>
const TypeSchema& schema_of<Service>() {
  using T = Service;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "What it offers."}),
      status_row<&T::status>("reconciler/controllers"),
  };
  static constexpr TypeSchema kSchema{"Service", kFields, &check_service, &complete_service};
  return kSchema;
}

template <>
const Kind& kind_of<Service>() {
  static constexpr std::string_view kShort[] = {"svc"};
  static constexpr std::string_view kParts[] = {"status"};
  static constexpr Kind kRow = row_of<Service>(
      {.group = "", .version = "v1", .kind = "Service", .plural = "services",
       .singular = "service", .short_names = kShort, .in_all = true, .subresources = kParts,
       .table = &kServiceTable});
  return kRow;
}

}  // namespace moored
