#include "reconciler/scheduler/scheduler.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "schema/model/cluster.hpp"
#include "schema/model/pod_resources.hpp"

namespace moored {
namespace {

// What a node still has. Negative when it is over-committed already.
struct Free {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t pods = 0;
};

using HostPort = std::tuple<std::string, std::int32_t>;  // protocol, port

// Its resources are free again.
bool is_done(const Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

// An absent resource is none of it.
std::int64_t quantity_of(const ResourceList& list, const std::string& name, bool milli) {
  const auto found = list.find(name);
  if (found == list.end()) return 0;
  return milli ? found->second.milli() : found->second.value();
}

// On the host's network every port is the host's.
std::set<HostPort> host_ports(const Pod& pod) {
  std::set<HostPort> ports;
  for (const Container& container : pod.spec.containers) {
    for (const ContainerPort& port : container.ports) {
      const std::int32_t number = pod.spec.host_network ? port.container_port : port.host_port;
      if (number != 0) ports.emplace(port.protocol, number);
    }
  }
  return ports;
}

// One node with the pods that are bound to it.
struct Candidate {
  const Node* node = nullptr;
  Free free;
  std::set<HostPort> ports;
};

// Pods being deleted still count: their processes run until they do not.
Candidate measure(const Node& node, const std::vector<Object>& pods) {
  const ResourceList& all = node.status.allocatable;
  Candidate candidate{&node,
                      {quantity_of(all, "cpu", true), quantity_of(all, "memory", false),
                       quantity_of(all, "pods", false)},
                      {}};
  for (const Object& object : pods) {
    const Pod& pod = object.as<Pod>();
    if (pod.spec.node_name != node.metadata.name || is_done(pod)) continue;
    const PodResources needs = pod_resources(pod.spec);
    candidate.free.cpu_milli -= needs.cpu_request.value;
    candidate.free.memory_bytes -= needs.memory_request.value;
    candidate.free.pods -= 1;
    candidate.ports.merge(host_ports(pod));
  }
  return candidate;
}

bool has_port_clash(const Candidate& candidate, const Pod& pod) {
  const std::set<HostPort> wanted = host_ports(pod);
  return std::any_of(wanted.begin(), wanted.end(),
                     [&](const HostPort& port) { return candidate.ports.count(port) > 0; });
}

// Everything that keeps the pod from this node, in Kubernetes' words.
std::vector<std::string> find_obstacles(const Candidate& candidate, const Pod& pod) {
  if (candidate.node->spec.unschedulable) return {"node(s) were unschedulable"};
  if (!matches(pod.spec.node_selector, candidate.node->metadata.labels)) {
    return {"node(s) didn't match Pod's node affinity/selector"};
  }
  if (has_port_clash(candidate, pod)) {
    return {"node(s) didn't have free ports for the requested pod ports"};
  }
  std::vector<std::string> lacking;
  const PodResources needs = pod_resources(pod.spec);
  const std::int64_t cpu = needs.cpu_request.value;
  const std::int64_t memory = needs.memory_request.value;
  if (cpu > 0 && cpu > candidate.free.cpu_milli) lacking.emplace_back("Insufficient cpu");
  if (memory > 0 && memory > candidate.free.memory_bytes) {
    lacking.emplace_back("Insufficient memory");
  }
  if (candidate.free.pods < 1) lacking.emplace_back("Too many pods");
  return lacking;
}

// Sorted by the whole text with its count, as Kubernetes sorts them.
std::string word_obstacles(std::size_t nodes, const std::map<std::string, int>& obstacles) {
  std::string text = "0/" + std::to_string(nodes) + " nodes are available: ";
  std::vector<std::string> parts;
  for (const auto& [reason, count] : obstacles) {
    parts.push_back(std::to_string(count) + " " + reason);
  }
  std::sort(parts.begin(), parts.end());
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i > 0 ? ", " : "") + parts[i];
  return text + ".";
}

}  // namespace

Placement place(const Pod& pod, const StateView& view) {
  const std::vector<Object> nodes = view.list(kind_of<Node>());
  if (nodes.empty()) return {{}, "no nodes available to schedule pods"};
  const std::vector<Object> pods = view.list(kind_of<Pod>());
  std::map<std::string, int> obstacles;
  std::optional<Candidate> best;
  for (const Object& object : nodes) {
    Candidate candidate = measure(object.as<Node>(), pods);
    const auto found = find_obstacles(candidate, pod);
    for (const std::string& obstacle : found) ++obstacles[obstacle];
    const bool better = !best || candidate.free.memory_bytes > best->free.memory_bytes;
    if (found.empty() && better) best = std::move(candidate);
  }
  if (best) return {best->node->metadata.name, {}};
  return {{}, word_obstacles(nodes.size(), obstacles)};
}

}  // namespace moored
