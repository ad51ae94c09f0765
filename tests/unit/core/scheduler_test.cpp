// Where pods go, and Kubernetes' words for why they cannot.
#include "reconciler/scheduler/scheduler.hpp"

#include <catch2/catch.hpp>

#include "schema/model/cluster.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::MemoryStore;
using test::World;

ResourceList resources(const char* cpu, const char* memory, const char* pods = nullptr) {
  ResourceList list;
  if (cpu != nullptr) list["cpu"] = *Quantity::parse(cpu);
  if (memory != nullptr) list["memory"] = *Quantity::parse(memory);
  if (pods != nullptr) list["pods"] = *Quantity::parse(pods);
  return list;
}

void add_node(MemoryStore& store, const std::string& name, ResourceList allocatable,
              bool unschedulable = false, Labels labels = {}) {
  Node node;
  node.metadata.name = name;
  node.metadata.labels = std::move(labels);
  node.spec.unschedulable = unschedulable;
  node.status.allocatable = std::move(allocatable);
  store.apply({Write::Type::put, key_of<Node>("", name), make_object(node), ""});
}

Pod pod_of(const std::string& name, ResourceList requests, std::int32_t host_port = 0) {
  Pod pod;
  pod.metadata.name = name;
  pod.metadata.namespace_name = "default";
  Container container;
  container.name = "c";
  container.resources.requests = std::move(requests);
  if (host_port != 0) {
    ContainerPort port;
    port.container_port = 80;
    port.host_port = host_port;
    container.ports.push_back(port);
  }
  pod.spec.containers.push_back(container);
  return pod;
}

void bind(MemoryStore& store, Pod pod, const std::string& node, const std::string& phase = "") {
  pod.spec.node_name = node;
  pod.status.phase = phase;
  const Object object = make_object(pod);
  store.apply({Write::Type::put, object.key(), object, ""});
}

struct Row {
  const char* what;
  Pod bound;
  Pod pending;
  const char* message;   // empty: it fits
};

Pod selecting(Pod pod, Labels selector) {
  pod.spec.node_selector = std::move(selector);
  return pod;
}

Pod on_host_network(Pod pod) {
  pod.spec.host_network = true;
  return pod;
}

Pod with_init(Pod pod, ResourceList requests) {
  Container init;
  init.name = "init";
  init.resources.requests = std::move(requests);
  pod.spec.init_containers.push_back(init);
  return pod;
}

TEST_CASE("What fits on a node of one cpu, one gibibyte and two pods") {
  const Row rows[] = {
      {"an empty request", pod_of("b", {}), pod_of("p", {}), ""},
      {"exactly what is left", pod_of("b", resources("400m", "256Mi")),
       pod_of("p", resources("600m", "768Mi")), ""},
      {"a thousandth of a cpu too much", pod_of("b", resources("400m", nullptr)),
       pod_of("p", resources("601m", nullptr)),
       "0/1 nodes are available: 1 Insufficient cpu."},
      {"memory", pod_of("b", resources(nullptr, "512Mi")),
       pod_of("p", resources(nullptr, "513Mi")),
       "0/1 nodes are available: 1 Insufficient memory."},
      {"both", pod_of("b", {}), pod_of("p", resources("2", "2Gi")),
       "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."},
      {"a selector that matches", pod_of("b", {}), selecting(pod_of("p", {}), {{"disk", "ssd"}}),
       ""},
      {"a selector that does not", pod_of("b", {}), selecting(pod_of("p", {}), {{"disk", "hdd"}}),
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
      {"a host port that is taken", pod_of("b", {}, 8080), pod_of("p", {}, 8080),
       "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."},
      {"another host port", pod_of("b", {}, 8080), pod_of("p", {}, 8081), ""},
      {"a port on the host's network", on_host_network(pod_of("b", {}, 80)), pod_of("p", {}, 80),
       "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."},
      {"a large init container", pod_of("b", resources("500m", nullptr)),
       with_init(pod_of("p", resources("100m", nullptr)), resources("600m", nullptr)),
       "0/1 nodes are available: 1 Insufficient cpu."},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    MemoryStore store;
    add_node(store, "n", resources("1", "1Gi", "2"), false, {{"disk", "ssd"}});
    bind(store, row.bound, "n");
    const Placement placement = place(row.pending, store);
    CHECK(placement.message == row.message);
    CHECK(placement.node_name == (placement.message.empty() ? "n" : ""));
  }
}

TEST_CASE("The number of pods is a limit of its own") {
  MemoryStore store;
  add_node(store, "n", resources("1", "1Gi", "1"));
  bind(store, pod_of("b", {}), "n");
  CHECK(place(pod_of("p", {}), store).message ==
        "0/1 nodes are available: 1 Too many pods.");
}

TEST_CASE("Finished pods leave room, leaving ones do not yet") {
  MemoryStore store;
  add_node(store, "n", resources("1", "1Gi", "10"));
  bind(store, pod_of("b", resources("1", nullptr)), "n", "Succeeded");
  CHECK(place(pod_of("p", resources("1", nullptr)), store).node_name == "n");
  Pod leaving = pod_of("l", resources("1", nullptr));
  leaving.metadata.deletion_timestamp = test::start_time();
  bind(store, leaving, "n", "Running");
  CHECK(place(pod_of("p", resources("1", nullptr)), store).node_name.empty());
}

TEST_CASE("An over-committed node still takes a pod that asks for nothing") {
  MemoryStore store;
  add_node(store, "n", resources("1", "1Gi", "10"));
  bind(store, pod_of("b", resources("3", "3Gi")), "n");
  CHECK(place(pod_of("p", {}), store).node_name == "n");
}

TEST_CASE("A node that takes nothing new, and no node at all") {
  MemoryStore store;
  CHECK(place(pod_of("p", {}), store).message == "no nodes available to schedule pods");
  add_node(store, "n", resources("1", "1Gi", "10"), true);
  CHECK(place(pod_of("p", {}), store).message ==
        "0/1 nodes are available: 1 node(s) were unschedulable.");
}

TEST_CASE("Of several nodes the one with the most memory left is taken") {
  MemoryStore store;
  add_node(store, "a", resources("4", "4Gi", "10"));
  add_node(store, "b", resources("4", "8Gi", "10"));
  add_node(store, "c", resources("4", "6Gi", "10"));
  CHECK(place(pod_of("p", {}), store).node_name == "b");
  bind(store, pod_of("x", resources(nullptr, "5Gi")), "b");
  CHECK(place(pod_of("p", {}), store).node_name == "c");
}

TEST_CASE("Reasons of several nodes are counted") {
  MemoryStore store;
  add_node(store, "a", resources("1", "1Gi", "10"));
  add_node(store, "b", resources("1", "1Gi", "10"));
  add_node(store, "c", resources("1", "1Gi", "10"), true);
  CHECK(place(pod_of("p", resources("2", nullptr)), store).message ==
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.");
}

// ---- through the controller -------------------------------------------------------------------

std::string big_pod(const std::string& name) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
         ", namespace: default}\nspec:\n  containers:\n  - name: c\n    image: \"i:1\"\n"
         "    resources: {requests: {memory: 5Gi}}\n";
}

TEST_CASE("A pod that does not fit waits with condition and event, and goes when room comes") {
  World world;
  world.commit(big_pod("a") + big_pod("b"));
  world.settle();
  const Pod waiting = world.get<Pod>("b");
  CHECK(waiting.spec.node_name.empty());
  const Condition* scheduled = find_condition(waiting.status.conditions, "PodScheduled");
  REQUIRE(scheduled != nullptr);
  CHECK(scheduled->status == "False");
  CHECK(scheduled->reason == "Unschedulable");
  CHECK(scheduled->message == "0/1 nodes are available: 1 Insufficient memory.");
  CHECK(world.events.back().reason == "FailedScheduling");
  world.commit(big_pod("b"), test::kSha2);
  world.converge();
  CHECK(world.get<Pod>("b").spec.node_name == "node-1");
  CHECK(find_condition(world.get<Pod>("b").status.conditions, "PodScheduled")->status == "True");
}

TEST_CASE("A node that appears takes the pods that wait") {
  World world(false);
  world.commit(big_pod("a"));
  world.settle();
  CHECK(world.get<Pod>("a").spec.node_name.empty());
  world.post(NodeObserved{
      key_of<Node>("", "late"),
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"late"},"status":{"allocatable":)"
      R"({"cpu":"4","memory":"8Gi","pods":"10"}}})"});
  world.settle();
  CHECK(world.get<Pod>("a").spec.node_name == "late");
}

TEST_CASE("A waiting pod that is deleted goes at once") {
  World world(false);
  world.commit(big_pod("a") + "---\napiVersion: v1\nkind: ConfigMap\n"
               "metadata: {name: m, namespace: default}\n");
  world.settle();
  world.commit("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\n",
               test::kSha2);
  world.settle();
  CHECK(world.all<Pod>().empty());
}

}  // namespace
}  // namespace moored
