#include "net/proxy/service_table.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"

namespace moored::net {
namespace {

constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";
constexpr int kMaxPort = 65535;

using SlicesByService = std::map<std::string, std::vector<const EndpointSlice*>>;

std::string lower_protocol(const std::string& protocol) {
  if (protocol == "TCP" || protocol.empty()) return "tcp";
  if (protocol == "UDP") return "udp";
  if (protocol == "SCTP") return "sctp";
  return {};  // refused by validation
}

SlicesByService group_slices(const std::vector<Object>& objects) {
  SlicesByService grouped;
  for (const auto& object : objects) {
    const auto& slice = object.as<EndpointSlice>();
    const auto label = slice.metadata.labels.find(kServiceNameLabel);
    if (label == slice.metadata.labels.end() || slice.address_type != "IPv4") continue;
    grouped[slice.metadata.namespace_name + '/' + label->second].push_back(&slice);
  }
  return grouped;
}

// How well an endpoint may serve: absent conditions mean yes, except for terminating.
enum class Fitness { unfit, terminating, ready };
Fitness judge(const EndpointConditions& conditions, bool publish_not_ready) {
  if (publish_not_ready || conditions.ready.value_or(true)) return Fitness::ready;
  const bool serving = conditions.serving.value_or(false);
  const bool terminating = conditions.terminating.value_or(false);
  return serving && terminating ? Fitness::terminating : Fitness::unfit;
}

// The number behind a Service's port in one slice; 0: the slice does not have the port.
std::uint16_t find_port(const EndpointSlice& slice, const ServicePort& wanted) {
  for (const auto& port : slice.ports) {
    const bool same = port.name == wanted.name &&
                      lower_protocol(port.protocol) == lower_protocol(wanted.protocol);
    if (same && port.port > 0 && port.port <= kMaxPort) {
      return static_cast<std::uint16_t>(port.port);
    }
  }
  return 0;
}

std::vector<Backend> choose_backends(const std::vector<const EndpointSlice*>& slices,
                                     const ServicePort& port, bool publish_not_ready) {
  std::set<Backend> ready;
  std::set<Backend> terminating;
  for (const auto* slice : slices) {
    const auto number = find_port(*slice, port);
    if (number == 0) continue;
    for (const auto& endpoint : slice->endpoints) {
      const auto fitness = judge(endpoint.conditions, publish_not_ready);
      // All addresses of one endpoint are the same pod; the first stands for it.
      const auto address =
          endpoint.addresses.empty() ? std::nullopt : parse_ipv4(endpoint.addresses.front());
      if (!address || fitness == Fitness::unfit) continue;
      (fitness == Fitness::ready ? ready : terminating).insert({*address, number});
    }
  }
  const auto& chosen = ready.empty() ? terminating : ready;
  return {chosen.begin(), chosen.end()};
}

VirtualPort make_virtual_port(const Service& service, const ServicePort& port, Ipv4 address) {
  VirtualPort out;
  out.owner = key_of<Service>(service.metadata.namespace_name, service.metadata.name);
  out.label = service.metadata.namespace_name + '/' + service.metadata.name + ':' +
              std::to_string(port.port);
  out.protocol = lower_protocol(port.protocol);
  out.address = address;
  out.port = static_cast<std::uint16_t>(port.port);
  const bool open_on_node = service.spec.type == "NodePort" || service.spec.type == "LoadBalancer";
  if (open_on_node && port.node_port > 0 && port.node_port <= kMaxPort) {
    out.node_port = static_cast<std::uint16_t>(port.node_port);
  }
  out.sticky = service.spec.session_affinity == "ClientIP";
  return out;
}

// Addresses and node ports that are taken: an element may be in the kernel's maps only once.
class Taken {
 public:
  // False: nothing is left for it, because somebody was first.
  bool take(VirtualPort& port) {
    if (port.port != 0 && !addresses_.emplace(port.address, port.port, port.protocol).second) {
      return false;
    }
    const bool wanted = port.node_port != 0;
    if (wanted && !node_ports_.emplace(port.node_port, port.protocol).second) port.node_port = 0;
    return port.port != 0 || port.node_port != 0;
  }

 private:
  std::set<std::tuple<Ipv4, std::uint16_t, std::string>> addresses_;
  std::set<std::tuple<std::uint16_t, std::string>> node_ports_;
};

// The hostPorts of one pod. A pod in the node's own network listens there by itself.
void plan_host_ports(const Pod& pod, Taken& taken, ServiceTable& table) {
  const auto address = parse_ipv4(pod.status.pod_ip);
  const bool over = pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
  if (!address || over || pod.spec.host_network) return;
  for (const auto& container : pod.spec.containers) {
    for (const auto& port : container.ports) {
      const auto protocol = lower_protocol(port.protocol);
      if (port.host_port <= 0 || port.host_port > kMaxPort || protocol.empty()) continue;
      VirtualPort entry;
      entry.owner = key_of<Pod>(pod.metadata.namespace_name, pod.metadata.name);
      const auto number = std::to_string(port.host_port);
      entry.label = pod.metadata.namespace_name + '/' + pod.metadata.name + ':' + number;
      entry.protocol = protocol;
      const auto host = parse_ipv4(port.host_ip).value_or(Ipv4{});
      const auto host_port = static_cast<std::uint16_t>(port.host_port);
      entry.address = host;
      (host == Ipv4{} ? entry.node_port : entry.port) = host_port;
      entry.backends = {{*address, static_cast<std::uint16_t>(port.container_port)}};
      if (taken.take(entry)) table.emplace("Pod/" + entry.label + '/' + protocol, entry);
    }
  }
}

}  // namespace

ServiceTable plan_services(const std::vector<Object>& services,
                           const std::vector<Object>& endpoint_slices,
                           const std::vector<Object>& pods) {
  const auto slices = group_slices(endpoint_slices);
  static const std::vector<const EndpointSlice*> kNone;
  ServiceTable table;
  Taken taken;
  for (const auto& object : services) {
    const auto& service = object.as<Service>();
    const auto address = parse_ipv4(service.spec.cluster_ip);
    if (!address || service.spec.type == "ExternalName") continue;
    const auto name = service.metadata.namespace_name + '/' + service.metadata.name;
    const auto own = slices.find(name);
    for (const auto& port : service.spec.ports) {
      if (port.port <= 0 || port.port > kMaxPort || lower_protocol(port.protocol).empty()) continue;
      auto entry = make_virtual_port(service, port, *address);
      entry.backends = choose_backends(own == slices.end() ? kNone : own->second, port,
                                       service.spec.publish_not_ready_addresses);
      if (!taken.take(entry)) continue;
      table.emplace("Service/" + name + ':' + port.name + '/' + entry.protocol, std::move(entry));
    }
  }
  for (const auto& object : pods)
    plan_host_ports(object.as<Pod>(), taken, table);
  return table;
}

}  // namespace moored::net
