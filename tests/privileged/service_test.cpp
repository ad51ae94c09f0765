// Services in the kernel: pods and the node reach them, whatever happens to rules and endpoints.
#include <catch2/catch.hpp>

#include <thread>

#include "net/link/packet_rules.hpp"
#include "net/pod/routed_veth_network.hpp"
#include "net/proxy/service_proxy.hpp"
#include "tests/privileged/own_namespace.hpp"
#include "tests/unit/net/proxy_fakes.hpp"

using namespace moored;
using namespace moored::test;
using moored::net::RoutedVethNetwork;
using moored::net::ServiceProxy;

namespace {

const SystemClock kClock;

#define REQUIRE_ROOT()                                           \
  if (!test::have_root()) {                                      \
    WARN("skipped: needs root for namespaces and packet rules"); \
    return;                                                      \
  }

// A node with three pods, each of which answers with its name, and a proxy.
struct Node {
  OwnNamespace place;
  std::unique_ptr<RoutedVethNetwork> network = open();
  std::vector<PodNetworkReport> pods = {pod("a"), pod("b"), pod("c")};
  std::vector<std::unique_ptr<NamedServer>> servers = serve();
  MemoryState state;
  FactList facts;
  std::unique_ptr<ServiceProxy> proxy = make_proxy();

  std::unique_ptr<RoutedVethNetwork> open() {
    net::PodNetworkOptions options;
    options.instance = "a1b2c3";
    options.state_directory = place.directory() + "/state";
    options.run_directory = place.directory() + "/run";
    auto opened = RoutedVethNetwork::open(options, kClock);
    if (!opened) FAIL(opened.error().text());
    return *std::move(opened);
  }
  PodNetworkReport pod(const std::string& uid) {
    auto report = network->create(uid);
    if (!report) FAIL(report.error().text());
    return *report;
  }
  std::vector<std::unique_ptr<NamedServer>> serve() {
    std::vector<std::unique_ptr<NamedServer>> out;
    for (const auto& one : pods) {
      out.push_back(std::make_unique<NamedServer>(one.namespace_path, 8080, one.uid));
      out.push_back(std::make_unique<NamedServer>(one.namespace_path, 8053, one.uid, true));
    }
    return out;
  }
  std::unique_ptr<ServiceProxy> make_proxy() {
    net::ProxyOptions options;
    options.rules.instance = "a1b2c3";
    options.rules.services = *net::parse_prefix("10.210.0.0/16");
    options.node_name = "node";
    auto kernel = net::open_proxy_kernel();
    if (!kernel) FAIL(kernel.error().text());
    return std::make_unique<ServiceProxy>(options, *std::move(kernel), state, state, facts, kClock);
  }
  void put_service(std::vector<std::string> addresses, const std::string& name = "web",
                   const std::string& vip = "10.210.0.10") {
    state.put(make_object(make_service(name, vip)));
    state.put(make_object(make_slice(name, addresses)));
  }
  void step() {
    const auto status = proxy->step();
    if (!status) FAIL(status.error().text());
  }
  std::string from(const std::string& pin, const std::string& vip = "10.210.0.10", int port = 80) {
    const auto answer = ask_once(pin, vip, port);
    return answer ? *answer : answer.error().message;
  }
};

constexpr const char* kNotAccepted = "connect: Connection refused";

}  // namespace

TEST_CASE("a Service spreads connections over its ready endpoints", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.put_service({node.pods[0].address, node.pods[1].address, node.pods[2].address});
  node.step();
  std::map<std::string, int> count;
  for (int i = 0; i < 300; ++i)
    ++count[node.from(node.pods[0].namespace_path)];
  CHECK(count.size() == 3);
  for (const auto* name : {"a", "b", "c"}) {
    INFO(name);
    CHECK(count[name] >= 60);  // six standard deviations would be 51
    CHECK(count[name] <= 140);
  }
  std::map<std::string, int> from_node;
  for (int i = 0; i < 60; ++i)
    ++from_node[node.from({})];
  CHECK(from_node.size() == 3);
  CHECK(node.facts.all<ProxyApplied>().size() == 1);
  CHECK_FALSE(node.facts.all<ProxyApplied>().front().error);
}

TEST_CASE("a pod reaches itself through its Service", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.put_service({node.pods[1].address});
  node.step();
  CHECK(node.from(node.pods[1].namespace_path) == "b");
}

TEST_CASE("without an endpoint or a port the caller is refused at once", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.put_service({});
  node.put_service({node.pods[0].address}, "other", "10.210.0.11");
  node.step();
  for (const auto& pin : {std::string(), node.pods[0].namespace_path}) {
    INFO((pin.empty() ? "from the node" : "from a pod"));
    CHECK(node.from(pin) == kNotAccepted);
    CHECK(node.from(pin, "10.210.0.11", 81) == kNotAccepted);
    CHECK(node.from(pin, "10.210.99.99", 80) == kNotAccepted);
    CHECK(node.from(pin, "10.210.0.11") == "a");
  }
}

TEST_CASE("an endpoint that goes gets no new connection and keeps its old ones", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.put_service({node.pods[0].address});
  node.step();
  const auto old = dial(node.pods[2].namespace_path, "10.210.0.10", 80);
  REQUIRE(old);
  REQUIRE(ask(old->get()).value_or("-") == "a");

  auto slice = make_slice("web", {node.pods[0].address, node.pods[1].address});
  slice.endpoints[0].conditions = {false, true, true};  // terminating, still serving
  node.state.put(make_object(slice));
  node.step();
  for (int i = 0; i < 20; ++i)
    CHECK(node.from(node.pods[2].namespace_path) == "b");
  CHECK(ask(old->get()).value_or("-") == "a");

  // With nobody ready the terminating one is better than none.
  slice.endpoints.pop_back();
  node.state.put(make_object(slice));
  node.step();
  CHECK(node.from(node.pods[2].namespace_path) == "a");
  CHECK(ask(old->get()).value_or("-") == "a");
}

TEST_CASE("a UDP client follows its Service to the next endpoint", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.state.put(make_object(make_service("dns", "10.210.0.53", 53, "UDP")));
  node.state.put(make_object(make_slice("dns", {node.pods[0].address}, 8053, "UDP")));
  node.step();
  const auto client = dial(node.pods[2].namespace_path, "10.210.0.53", 53, true);
  REQUIRE(client);
  CHECK(ask(client->get()).value_or("-") == "a");
  node.state.put(make_object(make_slice("dns", {node.pods[1].address}, 8053, "UDP")));
  node.step();
  CHECK(ask(client->get()).value_or("-") == "b");
  // Refused while nobody serves, found again by the same socket afterwards.
  node.state.put(make_object(make_slice("dns", {}, 8053, "UDP")));
  node.step();
  CHECK_FALSE(ask(client->get()));
  node.state.put(make_object(make_slice("dns", {node.pods[0].address}, 8053, "UDP")));
  node.step();
  CHECK(ask(client->get()).value_or("-") == "a");
}

TEST_CASE("a hostPort leads to its pod from every side", "[service]") {
  REQUIRE_ROOT();
  Node node;
  Pod pod;
  pod.metadata.namespace_name = "shop";
  pod.metadata.name = "front";
  pod.status.pod_ip = node.pods[0].address;
  ContainerPort port;
  port.container_port = 8080;
  port.host_port = 18080;
  Container container;
  container.ports = {port};
  pod.spec.containers = {container};
  node.state.put(make_object(pod));
  node.step();
  CHECK(node.from({}, "127.0.0.1", 18080) == "a");
  CHECK(node.from({}, "10.209.0.1", 18080) == "a");
  CHECK(node.from(node.pods[1].namespace_path, "10.209.0.1", 18080) == "a");
  CHECK(node.from(node.pods[0].namespace_path, "10.209.0.1", 18080) == "a");
  pod.status.phase = "Succeeded";
  node.state.put(make_object(pod));
  node.step();
  CHECK(node.from({}, "127.0.0.1", 18080) == kNotAccepted);
}

TEST_CASE("Service rules that somebody changes are told and put back", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.put_service({node.pods[0].address});
  node.step();
  REQUIRE(node.proxy->sweep());
  REQUIRE(node.facts.all<DriftObserved>().empty());
  const auto chain = shell("nft list ruleset | grep -o 'svc_[0-9a-f]*' | head -1").out;
  const auto name = chain.substr(0, chain.find('\n'));
  struct Row {
    std::string damage;
    std::string object;
  };
  const Row rows[] = {
      {"nft flush chain ip moored_a1b2c3_services " + name, "Service/shop/web"},
      {"nft insert rule ip moored_a1b2c3_services " + name + " drop", "Service/shop/web"},
      {"nft flush map ip moored_a1b2c3_services services", "Node/node"},
      {"nft insert rule ip moored_a1b2c3_services prerouting accept", "Node/node"},
      {"nft flush ruleset", "Node/node"},
  };
  std::size_t told = 0;
  for (const auto& row : rows) {
    INFO(row.damage);
    REQUIRE(shell(row.damage).status == 0);
    REQUIRE(node.proxy->sweep());
    const auto drift = node.facts.all<DriftObserved>();
    REQUIRE(drift.size() == told + 1);
    CHECK(drift.back().record.field == "rule");
    CHECK(drift.back().record.object.text() == row.object);
    CHECK(drift.back().record.corrected_at.has_value());
    REQUIRE(node.proxy->sweep());
    CHECK(node.facts.all<DriftObserved>().size() == told + 1);
    told = drift.size();
    CHECK(node.from(node.pods[2].namespace_path) == "a");
  }
}

TEST_CASE("rules outlive the daemon and the next one takes them over", "[service]") {
  REQUIRE_ROOT();
  Node node;
  node.put_service({node.pods[0].address});
  node.put_service({node.pods[1].address}, "other", "10.210.0.11");
  node.step();
  node.proxy.reset();
  CHECK(node.from(node.pods[2].namespace_path) == "a");

  const auto handle = [] { return shell("nft -a list table ip moored_a1b2c3_services").out; };
  const auto before = handle();
  node.proxy = node.make_proxy();
  node.step();
  CHECK(handle() == before);  // the very same rules, handles included
  CHECK(node.facts.all<ProxyApplied>().size() == 1);

  // What changed meanwhile is noticed by the next one.
  node.proxy.reset();
  node.put_service({node.pods[2].address});
  node.state.remove(key_of<Service>("shop", "other"));
  REQUIRE(shell("nft flush map ip moored_a1b2c3_services services").status == 0);
  node.proxy = node.make_proxy();
  node.step();
  CHECK(node.from(node.pods[0].namespace_path) == "c");
  CHECK(node.from(node.pods[0].namespace_path, "10.210.0.11") == kNotAccepted);
  CHECK(node.proxy->remove_all());
  CHECK(node.proxy->remove_all());
  CHECK(shell("nft list tables | grep services").out.empty());
}

TEST_CASE("the follower's loop acts on commits and on foreign transactions", "[service]") {
  REQUIRE_ROOT();
  Node node;
  // The loop must run where the test's node is: a thread inherits its maker's namespaces.
  std::jthread loop([&](std::stop_token stop) { node.proxy->run(stop); });
  const auto eventually = [](const auto& condition) {
    for (int i = 0; i < 500 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return condition();
  };
  node.put_service({node.pods[0].address});
  CHECK(eventually([&] { return node.from(node.pods[2].namespace_path) == "a"; }));
  node.put_service({node.pods[1].address});
  CHECK(eventually([&] { return node.from(node.pods[2].namespace_path) == "b"; }));
  // Long before the sweep of 30 s.
  REQUIRE(shell("nft delete table ip moored_a1b2c3_services").status == 0);
  CHECK(eventually([&] { return !node.facts.all<DriftObserved>().empty(); }));
  CHECK(node.from(node.pods[2].namespace_path) == "b");
  CHECK(node.facts.all<DriftObserved>().front().record.actor.rfind("nft[", 0) == 0);
}

TEST_CASE("a sticky Service sends a client to one endpoint", "[service]") {
  REQUIRE_ROOT();
  Node node;
  auto service = make_service("web", "10.210.0.10");
  service.spec.session_affinity = "ClientIP";
  node.state.put(make_object(service));
  node.state.put(make_object(make_slice("web", {node.pods[1].address})));
  node.step();  // also with a single endpoint
  CHECK(node.from(node.pods[0].namespace_path) == "b");
  node.state.put(make_object(
      make_slice("web", {node.pods[0].address, node.pods[1].address, node.pods[2].address})));
  node.step();
  std::map<std::string, int> count;
  for (int i = 0; i < 50; ++i)
    ++count[node.from(node.pods[0].namespace_path)];
  CHECK(count.size() == 1);
}

TEST_CASE("SCTP and many Services are programmed as well", "[service]") {
  REQUIRE_ROOT();
  Node node;
  for (int i = 0; i < 300; ++i) {
    const auto name = "web" + std::to_string(i);
    node.state.put(make_object(make_service(name, "10.210.1." + std::to_string(i % 250), 1000 + i,
                                            i % 2 == 0 ? "TCP" : "SCTP")));
    node.state.put(make_object(make_slice(name, {node.pods[0].address, node.pods[1].address}, 8080,
                                          i % 2 == 0 ? "TCP" : "SCTP")));
  }
  node.step();
  CHECK(node.facts.all<ProxyApplied>().size() == 1);
  const auto answer = node.from({}, "10.210.1.4", 1004);
  CHECK((answer == "a" || answer == "b"));
  REQUIRE(node.proxy->sweep());
  CHECK(node.facts.all<DriftObserved>().empty());
}
