#include "reconciler/controllers/endpoints.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "reconciler/controllers/pods.hpp"
#include "reconciler/core/identity.hpp"

namespace moored {
namespace {

constexpr const char* kServiceName = "kubernetes.io/service-name";
constexpr const char* kHeadless = "service.kubernetes.io/headless";
constexpr const char* kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr const char* kManager = "endpointslice-controller.k8s.io";
// Of slices that repeat Endpoints which people declared.
constexpr const char* kMirrorManager = "endpointslicemirroring-controller.k8s.io";
constexpr const char* kSkipMirror = "endpointslice.kubernetes.io/skip-mirror";
constexpr const char* kEndpointsManagedBy = "endpoints.kubernetes.io/managed-by";
constexpr const char* kEndpointsManager = "endpoint-controller";
constexpr std::size_t kMaxEndpoints = 100;  // of one slice, as Kubernetes has it
constexpr std::size_t kSuffixLength = 5;

// The ports that a group of pods serves, as text for ordering.
using PortList = std::vector<EndpointPort>;
std::string text_of(const PortList& ports) {
  std::string text;
  for (const EndpointPort& port : ports) {
    text += port.name + '/' + port.protocol + '/' + std::to_string(port.port) + ';';
  }
  return text;
}
struct PortGroup {
  PortList ports;
  std::vector<const Pod*> pods;
};
using PortGroups = std::map<std::string, PortGroup>;

// The number that a target port has in one pod. Nothing: the pod has no port of that name.
std::optional<std::int32_t> find_port(const ServicePort& port, const Pod& pod) {
  if (!port.target_port || (!port.target_port->is_string && port.target_port->number == 0)) {
    return port.port;
  }
  if (!port.target_port->is_string) return port.target_port->number;
  for (const Container& container : pod.spec.containers) {
    for (const ContainerPort& candidate : container.ports) {
      if (candidate.name == port.target_port->text && candidate.protocol == port.protocol) {
        return candidate.container_port;
      }
    }
  }
  return std::nullopt;
}

// A pod that lacks one of several named ports serves the others.
PortList ports_for(const Service& service, const Pod& pod) {
  PortList ports;
  for (const ServicePort& port : service.spec.ports) {
    const auto number = find_port(port, pod);
    if (number) ports.push_back({port.name, *number, port.protocol, port.app_protocol});
  }
  return ports;
}

// Pods that the Service selects and that have an address, by the ports they serve.
PortGroups group_pods(const Service& service, const std::vector<Object>& pods) {
  PortGroups groups;
  for (const Object& object : pods) {
    const Pod& pod = object.as<Pod>();
    if (pod.status.pod_ip.empty() || is_finished(pod)) continue;
    if (!matches(service.spec.selector, pod.metadata.labels)) continue;
    PortList ports = ports_for(service, pod);
    if (ports.empty() && !service.spec.ports.empty()) continue;
    PortGroup& group = groups[text_of(ports)];
    group.ports = std::move(ports);
    group.pods.push_back(&pod);
  }
  return groups;
}

// The pod, by uid, that an address belongs to.
ObjectReference target_of(const Pod& pod) {
  ObjectReference reference;
  reference.kind = "Pod";
  reference.namespace_name = pod.metadata.namespace_name;
  reference.name = pod.metadata.name;
  reference.uid = pod.metadata.uid;
  return reference;
}

// A pod's own name in DNS, when it asked for one below this Service.
std::string hostname_of(const Service& service, const Pod& pod) {
  return pod.spec.subdomain == service.metadata.name ? pod.spec.hostname : std::string();
}

// ---- Endpoints --------------------------------------------------------------------------------

// A pod on its way out is in no list, unless the Service wants to see all of them.
void add_address(EndpointSubset& subset, const Service& service, const Pod& pod) {
  const bool leaving = pod.metadata.deletion_timestamp.has_value();
  const bool shown = service.spec.publish_not_ready_addresses;
  if (leaving && !shown) return;
  EndpointAddress address{pod.status.pod_ip, hostname_of(service, pod), pod.spec.node_name,
                          target_of(pod)};
  auto& list = is_ready(pod) || shown ? subset.addresses : subset.not_ready_addresses;
  list.push_back(std::move(address));
}

// The older form, which kubectl up to 1.30 and many programs still read.
Object make_endpoints(const Object& object, const PortGroups& groups) {
  const Service& service = object.as<Service>();
  Endpoints endpoints;
  endpoints.metadata.name = service.metadata.name;
  endpoints.metadata.namespace_name = service.metadata.namespace_name;
  endpoints.metadata.labels = service.metadata.labels;
  endpoints.metadata.labels[kEndpointsManagedBy] = kEndpointsManager;
  if (service.spec.cluster_ip == "None") endpoints.metadata.labels[kHeadless] = "";
  for (const auto& [text, group] : groups) {
    EndpointSubset subset;
    subset.ports = group.ports;
    for (const Pod* pod : group.pods) add_address(subset, service, *pod);
    if (subset.addresses.empty() && subset.not_ready_addresses.empty()) continue;
    endpoints.subsets.push_back(std::move(subset));
  }
  return make_object(std::move(endpoints), object.provenance());
}

// ---- EndpointSlices ---------------------------------------------------------------------------

// Three conditions tell more than one list: a pod on its way out may still serve what it has.
SliceEndpoint make_endpoint(const Service& service, const Pod& pod) {
  const bool leaving = pod.metadata.deletion_timestamp.has_value();
  SliceEndpoint endpoint;
  endpoint.addresses.push_back(pod.status.pod_ip);
  endpoint.conditions.ready =
      service.spec.publish_not_ready_addresses || (is_ready(pod) && !leaving);
  endpoint.conditions.serving = is_ready(pod);
  endpoint.conditions.terminating = leaving;
  endpoint.hostname = hostname_of(service, pod);
  endpoint.node_name = pod.spec.node_name;
  endpoint.target_ref = target_of(pod);
  return endpoint;
}

// The name is a function of Service, ports and index: the same slice is found again.
EndpointSlice make_slice(const Object& service, const PortList& ports, std::size_t index,
                         const char* written_by) {
  const ObjectMeta& meta = service.meta();
  EndpointSlice slice;
  const std::string salt = meta.uid + '/' + text_of(ports) + '/' + std::to_string(index);
  slice.metadata.name = meta.name + '-' + encode_hash(hash_text(salt), kSuffixLength);
  slice.metadata.generate_name = meta.name + '-';
  slice.metadata.namespace_name = meta.namespace_name;
  slice.metadata.labels = meta.labels;
  slice.metadata.labels[kServiceName] = meta.name;
  slice.metadata.labels[kManagedBy] = written_by;
  if (service.as<Service>().spec.cluster_ip == "None") slice.metadata.labels[kHeadless] = "";
  slice.metadata.owner_references.push_back(controller_reference(service));
  slice.address_type = "IPv4";
  slice.ports = ports;
  return slice;
}

// One slice for each set of ports and each hundred pods.
std::vector<Object> make_slices(const Object& object, const PortGroups& groups) {
  const Service& service = object.as<Service>();
  std::vector<Object> slices;
  for (const auto& [text, group] : groups) {
    for (std::size_t start = 0; start < group.pods.size(); start += kMaxEndpoints) {
      EndpointSlice slice = make_slice(object, group.ports, start / kMaxEndpoints, kManager);
      const std::size_t end = std::min(start + kMaxEndpoints, group.pods.size());
      for (std::size_t i = start; i < end; ++i) {
        slice.endpoints.push_back(make_endpoint(service, *group.pods[i]));
      }
      slices.push_back(make_object(std::move(slice), object.provenance()));
    }
  }
  // A Service without pods keeps one empty slice, as Kubernetes does.
  if (slices.empty()) {
    slices.push_back(make_object(make_slice(object, {}, 0, kManager), object.provenance()));
  }
  return slices;
}

SliceEndpoint mirror_endpoint(const EndpointAddress& address, bool ready) {
  SliceEndpoint endpoint;
  endpoint.addresses.push_back(address.ip);
  endpoint.conditions.ready = endpoint.conditions.serving = ready;
  endpoint.conditions.terminating = false;
  endpoint.hostname = address.hostname;
  endpoint.node_name = address.node_name;
  endpoint.target_ref = address.target_ref;
  return endpoint;
}

// Endpoints that people declared, as slices, because packets follow slices only. Two subsets with
// the same ports continue each other's count, so that no two slices share a name.
std::vector<Object> make_mirror(const Object& service, const Endpoints& endpoints) {
  std::vector<Object> slices;
  std::map<std::string, std::size_t> used;
  for (const EndpointSubset& subset : endpoints.subsets) {
    std::vector<SliceEndpoint> all;
    for (const auto& address : subset.addresses) all.push_back(mirror_endpoint(address, true));
    const bool shown = service.as<Service>().spec.publish_not_ready_addresses;
    for (const auto& address : subset.not_ready_addresses) {
      all.push_back(mirror_endpoint(address, shown));
    }
    for (std::size_t start = 0; start < all.size(); start += kMaxEndpoints) {
      EndpointSlice slice =
          make_slice(service, subset.ports, used[text_of(subset.ports)]++, kMirrorManager);
      const auto end = std::min(start + kMaxEndpoints, all.size());
      slice.endpoints.assign(all.begin() + static_cast<std::ptrdiff_t>(start),
                             all.begin() + static_cast<std::ptrdiff_t>(end));
      slices.push_back(make_object(std::move(slice), service.provenance()));
    }
  }
  return slices;
}

// ---- writes -----------------------------------------------------------------------------------

// Takes over from the recorded object what a replacement keeps.
template <class T>
Object keep_identity(const Object& wanted, const ObjectMeta& recorded) {
  T next = wanted.as<T>();
  next.metadata.uid = recorded.uid;
  next.metadata.resource_version = recorded.resource_version;
  next.metadata.generation = recorded.generation;
  next.metadata.creation_timestamp = recorded.creation_timestamp;
  return make_object(std::move(next), wanted.provenance());
}

// Writes only what differs: every write wakes the packet rules.
template <class T>
void put_if_changed(Plan& plan, const Object& wanted, const PlanContext& context) {
  const auto recorded = context.view.find(wanted.key());
  if (!recorded) return plan.put(make_recorded(wanted, context), "endpoints of a Service");
  Object next = keep_identity<T>(wanted, recorded->meta());
  if (next.as<T>() == recorded->as<T>()) return;
  plan.put(std::move(next), "endpoints changed");
}

bool has_label(const Object& object, std::string_view name, std::string_view value) {
  const auto& labels = object.meta().labels;
  const auto found = labels.find(std::string(name));
  return found != labels.end() && found->second == value;
}

// By label, as everyone else finds them.
std::vector<Object> list_slices(const ObjectKey& service, const StateView& view) {
  std::vector<Object> slices;
  for (Object& slice : view.list(kind_of<EndpointSlice>(), service.namespace_name)) {
    const auto& labels = slice.meta().labels;
    const auto name = labels.find(kServiceName);
    if (name != labels.end() && name->second == service.name) slices.push_back(std::move(slice));
  }
  return slices;
}

bool is_ours(const Object& slice) {
  return has_label(slice, kManagedBy, kManager) || has_label(slice, kManagedBy, kMirrorManager);
}

// Writes these slices and takes away what else moored wrote for the Service. Slices that people
// declared are theirs.
void put_slices(Plan& plan, const ObjectKey& service, const std::vector<Object>& slices,
                const PlanContext& context) {
  std::set<ObjectKey> wanted;
  for (const Object& slice : slices) {
    wanted.insert(slice.key());
    put_if_changed<EndpointSlice>(plan, slice, context);
  }
  for (const Object& slice : list_slices(service, context.view)) {
    if (!is_ours(slice) || wanted.count(slice.key()) > 0) continue;
    plan.remove(slice.key(), "no endpoint is left in it");
  }
}

// Our own Endpoints go when a Service loses its selector; declared ones become slices.
void plan_declared_endpoints(Plan& plan, const Object& service, const PlanContext& context) {
  const ObjectKey key = service.key();
  const auto endpoints = context.view.find(key_of<Endpoints>(key.namespace_name, key.name));
  if (!endpoints || has_label(*endpoints, kEndpointsManagedBy, kEndpointsManager) ||
      has_label(*endpoints, kSkipMirror, "true")) {
    return drop_endpoints(plan, key, context.view);
  }
  put_slices(plan, key, make_mirror(service, endpoints->as<Endpoints>()), context);
}

}  // namespace

void plan_endpoints(Plan& plan, const Object& service, const PlanContext& context) {
  if (service.as<Service>().spec.selector.empty()) {
    return plan_declared_endpoints(plan, service, context);
  }
  const auto pods = context.view.list(kind_of<Pod>(), service.meta().namespace_name);
  const PortGroups groups = group_pods(service.as<Service>(), pods);
  put_if_changed<Endpoints>(plan, make_endpoints(service, groups), context);
  put_slices(plan, service.key(), make_slices(service, groups), context);
}

void drop_endpoints(Plan& plan, const ObjectKey& service, const StateView& view) {
  const auto key = key_of<Endpoints>(service.namespace_name, service.name);
  // What people declared for a Service without a selector is theirs: only our own goes.
  const auto endpoints = view.find(key);
  if (endpoints && has_label(*endpoints, kEndpointsManagedBy, kEndpointsManager)) {
    plan.remove(key, "its Service is gone or selects nothing");
  }
  for (const Object& slice : list_slices(service, view)) {
    if (is_ours(slice)) plan.remove(slice.key(), "its Service is gone or selects nothing");
  }
}

}  // namespace moored
