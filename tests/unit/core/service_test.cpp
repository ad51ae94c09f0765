// Services: addresses, Endpoints and EndpointSlices.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "schema/model/pod.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;
using test::kSha2;

std::string service_yaml(const std::string& more = "ports: [{port: 80, targetPort: 8080}]",
                         const std::string& name = "web") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: default, labels: {team: shop}}\nspec: {selector: {app: web}, " + more +
         "}\n";
}

std::vector<std::string> ready_addresses(const World& world, const std::string& name = "web") {
  std::vector<std::string> found;
  for (const EndpointSubset& subset : world.get<Endpoints>(name).subsets) {
    for (const EndpointAddress& address : subset.addresses) found.push_back(address.ip);
  }
  return found;
}

std::vector<SliceEndpoint> slice_endpoints(const World& world) {
  std::vector<SliceEndpoint> found;
  for (const EndpointSlice& slice : world.all<EndpointSlice>()) {
    found.insert(found.end(), slice.endpoints.begin(), slice.endpoints.end());
  }
  return found;
}

TEST_CASE("A Service gets an address and the addresses of its ready pods") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1") + service_yaml());
  world.converge();
  const auto service = world.get<Service>("web");
  CHECK(service.spec.cluster_ip.rfind("10.210.", 0) == 0);
  CHECK(service.spec.cluster_ips == std::vector<std::string>{service.spec.cluster_ip});
  CHECK(ready_addresses(world).size() == 2);
  const auto endpoints = world.get<Endpoints>("web");
  CHECK(endpoints.metadata.labels.at("team") == "shop");
  CHECK(endpoints.subsets.at(0).ports.at(0).port == 8080);
  CHECK(endpoints.subsets.at(0).addresses.at(0).node_name == "node-1");
  CHECK(endpoints.subsets.at(0).addresses.at(0).target_ref->kind == "Pod");
  REQUIRE(world.all<EndpointSlice>().size() == 1);
  const auto slice = world.all<EndpointSlice>().front();
  CHECK(slice.metadata.labels.at("kubernetes.io/service-name") == "web");
  CHECK(slice.metadata.labels.at("endpointslice.kubernetes.io/managed-by") ==
        "endpointslice-controller.k8s.io");
  CHECK(slice.metadata.owner_references.at(0).uid == service.metadata.uid);
  CHECK(slice.address_type == "IPv4");
  CHECK(slice.ports.at(0).protocol == "TCP");
  REQUIRE(slice.endpoints.size() == 2);
  CHECK(slice.endpoints[0].conditions.ready == true);
  CHECK(slice.endpoints[0].conditions.serving == true);
  CHECK(slice.endpoints[0].conditions.terminating == false);
}

TEST_CASE("A pod that is not ready is listed as such") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1") + service_yaml());
  world.converge();
  world.report(world.active_pods().front(), "Running", false);
  world.settle();
  CHECK(ready_addresses(world).size() == 1);
  CHECK(world.get<Endpoints>("web").subsets.at(0).not_ready_addresses.size() == 1);
  const auto endpoints = slice_endpoints(world);
  CHECK(std::count_if(endpoints.begin(), endpoints.end(), [](const SliceEndpoint& endpoint) {
          return endpoint.conditions.ready == true;
        }) == 1);
}

TEST_CASE("A pod that is being deleted leaves at once, and is shown as terminating") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1") + service_yaml());
  world.converge();
  world.commit(deployment_yaml("web", 1, "web:1") + service_yaml(), kSha2);
  world.settle();  // the agent has not run: the pod still exists and still answers
  REQUIRE(world.all<Pod>().size() == 2);
  CHECK(ready_addresses(world).size() == 1);
  CHECK(world.get<Endpoints>("web").subsets.at(0).not_ready_addresses.empty());
  int leaving = 0;
  for (const SliceEndpoint& endpoint : slice_endpoints(world)) {
    if (endpoint.conditions.terminating != true) continue;
    ++leaving;
    CHECK(endpoint.conditions.ready == false);
    CHECK(endpoint.conditions.serving == true);
  }
  CHECK(leaving == 1);
  world.converge();
  CHECK(slice_endpoints(world).size() == 1);
}

TEST_CASE("Named target ports are looked up in each pod") {
  World world;
  const auto pod = [](const std::string& name, int port) {
    return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
           ", namespace: default, labels: {app: web}}\nspec:\n  containers:\n  - name: c\n"
           "    image: \"i:1\"\n    ports: [{name: http, containerPort: " +
           std::to_string(port) + "}]\n";
  };
  world.commit(pod("a", 8080) + pod("b", 9090) + pod("c", 8080) +
               service_yaml("ports: [{name: web, port: 80, targetPort: http}]"));
  world.converge();
  const auto endpoints = world.get<Endpoints>("web");
  REQUIRE(endpoints.subsets.size() == 2);
  CHECK(endpoints.subsets[0].ports.at(0).port == 8080);
  CHECK(endpoints.subsets[0].addresses.size() == 2);
  CHECK(endpoints.subsets[1].ports.at(0).port == 9090);
  CHECK(endpoints.subsets[1].ports.at(0).name == "web");
  CHECK(world.all<EndpointSlice>().size() == 2);
}

TEST_CASE("A pod without the named port is left out") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") +
               service_yaml("ports: [{port: 80, targetPort: http}]"));
  world.converge();
  CHECK(world.get<Endpoints>("web").subsets.empty());
  CHECK(slice_endpoints(world).empty());
  CHECK(world.all<EndpointSlice>().size() == 1);
}

TEST_CASE("Without a target port the Service's own port is meant") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") + service_yaml("ports: [{port: 81}]"));
  world.converge();
  CHECK(world.get<Endpoints>("web").subsets.at(0).ports.at(0).port == 81);
}

TEST_CASE("publishNotReadyAddresses shows every pod as ready") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") +
               service_yaml("publishNotReadyAddresses: true, clusterIP: None, "
                            "ports: [{port: 80}]"));
  world.settle();
  world.report(world.active_pods().front(), "Running", false);
  world.settle();
  CHECK(ready_addresses(world).size() == 1);
  CHECK(slice_endpoints(world).at(0).conditions.ready == true);
  CHECK(slice_endpoints(world).at(0).conditions.serving == false);
}

TEST_CASE("A headless Service has no address and says so on its slices") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") +
               service_yaml("clusterIP: None, ports: [{port: 80}]"));
  world.converge();
  CHECK(world.get<Service>("web").spec.cluster_ip == "None");
  CHECK(world.all<EndpointSlice>().at(0).metadata.labels.count(
            "service.kubernetes.io/headless") == 1);
}

TEST_CASE("A Service without selector has no endpoints of moored's making") {
  World world;
  world.commit("apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\n"
               "spec: {ports: [{port: 80}]}\n");
  world.converge();
  CHECK_FALSE(world.get<Service>("web").spec.cluster_ip.empty());
  CHECK_FALSE(world.store.find(key_of<Endpoints>("default", "web")));
  CHECK(world.all<EndpointSlice>().empty());
}

constexpr const char* kOutside = R"(---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: default}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: outside, namespace: default}
subsets:
- addresses: [{ip: 192.0.2.1}, {ip: 192.0.2.2}]
  notReadyAddresses: [{ip: 192.0.2.3}]
  ports: [{port: 8080}]
- addresses: [{ip: 192.0.2.9}]
  ports: [{port: 8080}]
)";

TEST_CASE("Declared Endpoints of a Service without selector are repeated as slices") {
  World world;
  world.commit(kOutside);
  world.converge();
  std::map<std::string, bool> ready;
  for (const auto& endpoint : slice_endpoints(world)) {
    ready[endpoint.addresses.at(0)] = *endpoint.conditions.ready;
  }
  CHECK(ready == std::map<std::string, bool>{{"192.0.2.1", true}, {"192.0.2.2", true},
                                             {"192.0.2.3", false}, {"192.0.2.9", true}});
  REQUIRE(world.all<EndpointSlice>().size() == 2);
  for (const auto& slice : world.all<EndpointSlice>()) {
    CHECK(slice.metadata.labels.at("endpointslice.kubernetes.io/managed-by") ==
          "endpointslicemirroring-controller.k8s.io");
    CHECK(slice.ports.at(0).port == 8080);
  }
  CHECK(world.get<Endpoints>("outside").subsets.size() == 2);

  SECTION("a change of the Endpoints is followed") {
    std::string text = kOutside;
    text.replace(text.find("192.0.2.1"), 9, "192.0.2.7");
    world.commit(text, kSha2);
    world.converge();
    const auto now = slice_endpoints(world);
    CHECK(now.size() == 4);
    CHECK(std::any_of(now.begin(), now.end(),
                      [](const auto& one) { return one.addresses.at(0) == "192.0.2.7"; }));
  }
  SECTION("a label keeps them from being repeated") {
    std::string text = kOutside;
    const std::string meta = "kind: Endpoints\nmetadata: {name: outside, ";
    text.replace(text.find(meta), meta.size(),
                 meta + "labels: {endpointslice.kubernetes.io/skip-mirror: \"true\"}, ");
    world.commit(text, kSha2);
    world.converge();
    CHECK(world.all<EndpointSlice>().empty());
  }
  SECTION("they go with the Endpoints") {
    std::string text = kOutside;
    text.resize(text.rfind("---"));
    world.commit(text, kSha2);
    world.converge();
    CHECK(world.all<EndpointSlice>().empty());
  }
}

TEST_CASE("A Service without pods keeps one empty slice") {
  World world;
  world.commit(service_yaml());
  world.converge();
  CHECK(world.get<Endpoints>("web").subsets.empty());
  REQUIRE(world.all<EndpointSlice>().size() == 1);
  CHECK(world.all<EndpointSlice>()[0].endpoints.empty());
}

TEST_CASE("A removed Service takes its endpoints along") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") + service_yaml());
  world.converge();
  world.commit(deployment_yaml("web", 1, "web:1"), kSha2);
  world.converge();
  CHECK_FALSE(world.store.find(key_of<Endpoints>("default", "web")));
  CHECK(world.all<EndpointSlice>().empty());
}

TEST_CASE("Endpoints that someone lost come back") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") + service_yaml());
  world.converge();
  world.store.apply({Write::Type::remove, key_of<Endpoints>("default", "web"), {}, ""});
  world.wake_all();
  world.settle();
  CHECK(ready_addresses(world).size() == 1);
}

TEST_CASE("More than a hundred pods need a second slice") {
  World world;
  const std::string node =
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"},"status":{"allocatable":)"
      R"({"cpu":"64","memory":"64Gi","pods":"500"}}})";
  world.post(NodeObserved{key_of<Node>("", "node-1"), node});
  world.commit(deployment_yaml("web", 120, "web:1") + service_yaml());
  world.converge();
  REQUIRE(world.all<EndpointSlice>().size() == 2);
  std::set<std::string> addresses;
  for (const SliceEndpoint& endpoint : slice_endpoints(world)) {
    addresses.insert(endpoint.addresses.at(0));
  }
  CHECK(addresses.size() == 120);
  world.commit(deployment_yaml("web", 20, "web:1") + service_yaml(), kSha2);
  world.converge();
  CHECK(world.all<EndpointSlice>().size() == 1);
}

TEST_CASE("Several Services share no address") {
  World world;
  std::string yaml;
  for (int n = 0; n < 30; ++n) {
    yaml += service_yaml("ports: [{port: 80}]", "svc-" + std::to_string(n));
  }
  world.commit(yaml);
  world.settle();
  std::set<std::string> addresses;
  for (const Service& service : world.all<Service>()) addresses.insert(service.spec.cluster_ip);
  CHECK(addresses.size() == 30);
}

TEST_CASE("A pod with a hostname below the Service carries it") {
  World world;
  world.commit("apiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: default, "
               "labels: {app: web}}\nspec: {hostname: db-0, subdomain: web, "
               "containers: [{name: c, image: \"i:1\"}]}\n" +
               service_yaml("clusterIP: None, ports: [{port: 80}]"));
  world.converge();
  CHECK(slice_endpoints(world).at(0).hostname == "db-0");
  CHECK(world.get<Endpoints>("web").subsets.at(0).addresses.at(0).hostname == "db-0");
}

TEST_CASE("A rollout never empties the endpoints") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1") + service_yaml());
  world.converge();
  std::size_t least = 99;
  world.after_each = [&] {
    if (world.waiting() == 0) least = std::min(least, ready_addresses(world).size());
  };
  world.commit(deployment_yaml("web", 2, "web:2") + service_yaml(), kSha2);
  world.converge();
  CHECK(least >= 1);
  CHECK(ready_addresses(world).size() == 2);
}

TEST_CASE("Each namespace gets a service account of its own, again when it is lost") {
  World world;
  world.commit("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
  world.settle();
  for (const char* space : {"default", "moored-system", "shop"}) {
    INFO(space);
    CHECK(world.store.find(key_of<ServiceAccount>(space, "default")));
  }
  const Object account = *world.store.find(key_of<ServiceAccount>("shop", "default"));
  world.store.apply({Write::Type::remove, account.key(), {}, ""});
  world.wake_all();
  world.settle();
  CHECK(world.store.find(key_of<ServiceAccount>("shop", "default")));
  CHECK(world.get<Namespace>("shop").status.phase == "Active");
}

}  // namespace
}  // namespace moored
