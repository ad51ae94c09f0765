// From Services and endpoints to rules, and from one set of rules to the next.
#include <algorithm>
#include <catch2/catch.hpp>

#include "net/proxy/rules.hpp"
#include "net/proxy/service_table.hpp"
#include "schema/base/random.hpp"
#include "tests/unit/net/golden.hpp"
#include "tests/unit/net/proxy_fakes.hpp"
#include "tests/unit/net/rule_model.hpp"

using namespace moored;
using namespace moored::net;
using namespace moored::test;

namespace {

RuleOptions make_options() {
  return {"a1b2c3", *parse_prefix("10.210.0.0/16")};
}

ServiceTable plan(const std::vector<Service>& services, const std::vector<EndpointSlice>& slices,
                  const std::vector<Pod>& pods = {}) {
  std::vector<Object> a, b, c;
  for (const auto& one : services)
    a.push_back(make_object(one));
  for (const auto& one : slices)
    b.push_back(make_object(one));
  for (const auto& one : pods)
    c.push_back(make_object(one));
  return plan_services(a, b, c);
}

// Backends of the only Service, as text.
std::string backends(const ServiceTable& table) {
  std::string out;
  for (const auto& [key, port] : table) {
    for (const auto& one : port.backends) {
      out += (out.empty() ? "" : " ") + format(one.address) + ':' + std::to_string(one.port);
    }
  }
  return out;
}

SliceEndpoint endpoint(const char* address, std::optional<bool> ready,
                       std::optional<bool> serving = {}, std::optional<bool> terminating = {}) {
  SliceEndpoint out;
  out.addresses = {address};
  out.conditions = {ready, serving, terminating};
  return out;
}

Pod make_pod(const std::string& name, const std::string& address, int host_port,
             const std::string& host_ip = {}) {
  Pod pod;
  pod.metadata.namespace_name = "shop";
  pod.metadata.name = name;
  pod.status.pod_ip = address;
  pod.status.phase = "Running";
  Container container;
  ContainerPort port;
  port.container_port = 80;
  port.host_port = host_port;
  port.host_ip = host_ip;
  container.ports = {port};
  pod.spec.containers = {container};
  return pod;
}

ServiceTable example() {
  auto sticky = make_service("session", "10.210.0.12", 443);
  sticky.spec.session_affinity = "ClientIP";
  return plan({make_service("web", "10.210.0.10"), make_service("empty", "10.210.0.11"), sticky,
               make_service("dns", "10.210.0.53", 53, "UDP")},
              {make_slice("web", {"10.209.0.3", "10.209.0.2"}), make_slice("empty", {}),
               make_slice("session", {"10.209.0.4", "10.209.0.5"}, 8443),
               make_slice("dns", {"10.209.0.6"}, 53, "UDP")},
              {make_pod("front", "10.209.0.7", 8080)});
}

Flow udp_flow(const char* destination, int port, const char* answerer, int answerer_port) {
  Flow flow;
  flow.protocol = 17;
  flow.source = *parse_ipv4("10.209.0.99");
  flow.destination = *parse_ipv4(destination);
  flow.destination_port = static_cast<std::uint16_t>(port);
  flow.answerer = *parse_ipv4(answerer);
  flow.answerer_port = static_cast<std::uint16_t>(answerer_port);
  return flow;
}

}  // namespace

TEST_CASE("ready endpoints serve, terminating ones only when nobody else does", "[proxy]") {
  struct Row {
    const char* what;
    std::vector<SliceEndpoint> endpoints;
    const char* backends;
  };
  const Row rows[] = {
      {"none", {}, ""},
      {"sorted, each once",
       {endpoint("10.209.0.3", true), endpoint("10.209.0.2", true), endpoint("10.209.0.3", true)},
       "10.209.0.2:8080 10.209.0.3:8080"},
      {"absent readiness means ready", {endpoint("10.209.0.2", std::nullopt)}, "10.209.0.2:8080"},
      {"not ready",
       {endpoint("10.209.0.2", false), endpoint("10.209.0.3", true)},
       "10.209.0.3:8080"},
      {"terminating beside ready",
       {endpoint("10.209.0.2", false, true, true), endpoint("10.209.0.3", true)},
       "10.209.0.3:8080"},
      {"only terminating",
       {endpoint("10.209.0.2", false, true, true), endpoint("10.209.0.3", false, false, true)},
       "10.209.0.2:8080"},
      {"not ready but serving without terminating",
       {endpoint("10.209.0.2", false, true, false)},
       ""},
      {"not an address", {endpoint("fe80::1", true), endpoint("x; drop", true)}, ""},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    auto slice = make_slice("web", {});
    slice.endpoints = row.endpoints;
    CHECK(backends(plan({make_service("web", "10.210.0.10")}, {slice})) == row.backends);
  }
}

TEST_CASE("publishNotReadyAddresses takes every endpoint", "[proxy]") {
  auto service = make_service("web", "10.210.0.10");
  service.spec.publish_not_ready_addresses = true;
  auto slice = make_slice("web", {});
  slice.endpoints = {endpoint("10.209.0.2", false), endpoint("10.209.0.3", true)};
  CHECK(backends(plan({service}, {slice})) == "10.209.0.2:8080 10.209.0.3:8080");
}

TEST_CASE("only Services with an address have rules", "[proxy]") {
  auto external = make_service("a", "10.210.0.1");
  external.spec.type = "ExternalName";
  CHECK(plan({make_service("headless", "None"), make_service("pending", ""), external,
              make_service("six", "fd00::1")},
             {make_slice("headless", {"10.209.0.2"})})
            .empty());
}

TEST_CASE("slices belong by label and namespace, ports by name and protocol", "[proxy]") {
  auto service = make_service("web", "10.210.0.10");
  ServicePort metrics;
  metrics.name = "metrics";
  metrics.port = 9090;
  service.spec.ports[0].name = "http";
  service.spec.ports.push_back(metrics);
  auto slice = make_slice("web", {"10.209.0.2"});
  slice.ports[0].name = "metrics";
  slice.ports[0].port = 9100;
  auto foreign = slice;
  foreign.metadata.namespace_name = "other";
  auto unlabelled = slice;
  unlabelled.metadata.labels.clear();
  auto six = slice;
  six.address_type = "IPv6";
  auto udp = slice;
  udp.ports[0].protocol = "UDP";
  const auto table = plan({service}, {slice, foreign, unlabelled, six, udp});
  REQUIRE(table.size() == 2);
  CHECK(table.at("Service/shop/web:http/tcp").backends.empty());
  CHECK(table.at("Service/shop/web:metrics/tcp").backends ==
        std::vector<Backend>{{*parse_ipv4("10.209.0.2"), 9100}});
}

TEST_CASE("an address has one owner: the first in order", "[proxy]") {
  const auto table = plan({make_service("a", "10.210.0.10"), make_service("b", "10.210.0.10")}, {});
  CHECK(table.size() == 1);
  CHECK(table.count("Service/shop/a:/tcp") == 1);
}

TEST_CASE("hostPorts lead to running pods of their own network", "[proxy]") {
  auto done = make_pod("done", "10.209.0.3", 81);
  done.status.phase = "Failed";
  auto host = make_pod("host", "10.209.0.1", 82);
  host.spec.host_network = true;
  const auto table =
      plan({}, {},
           {make_pod("one", "10.209.0.2", 80), done, host, make_pod("pending", "", 83),
            make_pod("twin", "10.209.0.4", 80), make_pod("bound", "10.209.0.5", 80, "192.0.2.1"),
            make_pod("all", "10.209.0.6", 84, "0.0.0.0"), make_pod("none", "10.209.0.7", 0)});
  REQUIRE(table.size() == 3);
  CHECK(table.at("Pod/shop/one:80/tcp").node_port == 80);
  CHECK(table.at("Pod/shop/all:84/tcp").node_port == 84);
  const auto& bound = table.at("Pod/shop/bound:80/tcp");
  CHECK(bound.node_port == 0);
  CHECK(format(bound.address) == "192.0.2.1");
  CHECK(bound.port == 80);
}

TEST_CASE("Service rules, word for word", "[proxy][golden]") {
  CHECK_GOLDEN("service_rules.nft", render_rules(example(), make_options()));
  CHECK_GOLDEN("service_rules_empty.nft", render_rules({}, make_options()));
}

TEST_CASE("changes touch only what differs", "[proxy][golden]") {
  const auto before = example();
  CHECK(render_change(before, before, make_options()).empty());
  auto after = before;
  after.at("Service/shop/web:/tcp").backends.pop_back();
  CHECK_GOLDEN("change_endpoint_gone.nft", render_change(before, after, make_options()));
  after = before;
  after.at("Service/shop/web:/tcp").backends.clear();
  CHECK_GOLDEN("change_last_endpoint_gone.nft", render_change(before, after, make_options()));
  after = before;
  after.at("Service/shop/empty:/tcp").backends = {{*parse_ipv4("10.209.0.9"), 80}};
  CHECK_GOLDEN("change_first_endpoint.nft", render_change(before, after, make_options()));
  after = before;
  after.erase("Service/shop/dns:/udp");
  after.erase("Pod/shop/front:8080/tcp");
  CHECK_GOLDEN("change_service_gone.nft", render_change(before, after, make_options()));
  after = before;
  after.at("Service/shop/web:/tcp").port = 81;
  CHECK_GOLDEN("change_port.nft", render_change(before, after, make_options()));
}

TEST_CASE("the whole text is the change from nothing", "[proxy]") {
  const auto table = example();
  const auto whole = render_rules(table, make_options());
  const auto change = render_change({}, table, make_options());
  REQUIRE(whole.size() > change.size());
  CHECK(whole.substr(whole.size() - change.size()) == change);
}

TEST_CASE("labels never become rules", "[proxy]") {
  auto service = make_service("web", "10.210.0.10");
  service.metadata.name = "x\"; } flush ruleset; chain y { comment \"";
  auto slice = make_slice("web", {"10.209.0.2"});
  slice.metadata.labels["kubernetes.io/service-name"] = service.metadata.name;
  const auto text = render_rules(plan({service}, {slice}), make_options());
  CHECK(text.find("flush ruleset") == std::string::npos);
  CHECK(text.find("shop/x___") != std::string::npos);
  service.metadata.name = std::string(300, 'a');
  slice.metadata.labels["kubernetes.io/service-name"] = service.metadata.name;
  const auto long_text = render_rules(plan({service}, {slice}), make_options());
  CHECK(long_text.find(std::string(116, 'a')) == std::string::npos);
}

TEST_CASE("listings of the same rules are the same blocks", "[proxy]") {
  const auto first = split_listing(
      "table ip t {\n\tmap services {\n\t\ttype x\n\t\telements = { a : goto b,\n\t\t\t c "
      "}\n\t}\n\n"
      "\tchain one {\n\t\trule\n\t}\n\tchain empty {\n\t}\n}\n");
  const auto second = split_listing(
      "table ip t {\n\tchain empty {\n\t}\n\tchain one {\n\t\trule\n\t}\n"
      "\tmap services {\n\t\ttype x\n\t\telements = { a : goto b,\n\t\t\t c }\n\t}\n}\n");
  CHECK(first.size() == 3);
  CHECK(first == second);
  CHECK(first.at("chain one") == "\t\trule\n");
  CHECK(first.at("chain empty").empty());
  CHECK(split_listing("").empty());
}

TEST_CASE("stale UDP flows are those to a backend that is gone", "[proxy]") {
  const auto service = make_service("dns", "10.210.0.53", 53, "UDP");
  const auto with = [&](const std::vector<std::string>& addresses) {
    return plan({service}, {make_slice("dns", addresses, 8053, "UDP")});
  };
  const auto two = with({"10.209.0.2", "10.209.0.3"});
  const auto one = with({"10.209.0.3"});
  const auto none = with({});
  const auto gone = udp_flow("10.210.0.53", 53, "10.209.0.2", 8053);
  const auto kept = udp_flow("10.210.0.53", 53, "10.209.0.3", 8053);
  const auto refused = udp_flow("10.210.0.53", 53, "10.210.0.53", 53);
  const auto direct = udp_flow("10.209.0.2", 8053, "10.209.0.2", 8053);
  CHECK(is_stale(gone, two, one));
  CHECK_FALSE(is_stale(kept, two, one));
  CHECK_FALSE(is_stale(direct, two, one));
  CHECK(is_stale(gone, two, none));
  CHECK(is_stale(kept, two, none));
  CHECK(is_stale(gone, two, {}));       // the Service is gone
  CHECK(is_stale(refused, none, one));  // the first endpoint came
  CHECK(is_stale(gone, {}, one));       // a new daemon does not know what was before
  CHECK_FALSE(is_stale(kept, {}, one));
  CHECK_FALSE(is_stale(gone, two, two));
  auto tcp = gone;
  tcp.protocol = 6;
  CHECK_FALSE(is_stale(tcp, two, one));
  CHECK(has_udp_change(two, one));
  CHECK(has_udp_change({}, one));
  CHECK_FALSE(has_udp_change(two, two));
  CHECK_FALSE(has_udp_change(plan({make_service("web", "10.210.0.1")}, {}), {}));
}

TEST_CASE("what takes a backend away must not wait", "[proxy]") {
  const auto with = [](const std::vector<std::string>& addresses) {
    return plan({make_service("web", "10.210.0.10")}, {make_slice("web", addresses)});
  };
  CHECK(takes_away(with({"10.209.0.2"}), with({})));
  CHECK(takes_away(with({"10.209.0.2"}), with({"10.209.0.3"})));
  CHECK(takes_away(with({"10.209.0.2"}), {}));
  CHECK_FALSE(takes_away(with({"10.209.0.2"}), with({"10.209.0.2", "10.209.0.3"})));
  CHECK_FALSE(takes_away({}, with({"10.209.0.2"})));
  CHECK_FALSE(takes_away(with({}), {}));
}

TEST_CASE("any walk of changes ends where the whole text leads", "[proxy]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed);
    const auto draw = [&] {
      ServiceTable table;
      for (std::uint64_t i = random.below(6); i > 0; --i) {
        const auto number = random.below(8);
        VirtualPort port;
        port.label = "shop/web" + std::to_string(number) + ":80";
        port.protocol = random.below(3) == 0 ? "udp" : "tcp";
        // Few addresses, so that one goes from owner to owner now and then.
        port.address = {0x0ad20000 + static_cast<std::uint32_t>(number)};
        port.port = static_cast<std::uint16_t>(80 + random.below(2));
        port.node_port = static_cast<std::uint16_t>(random.below(2) * (30000 + number));
        for (std::uint64_t n = random.below(4); n > 0; --n) {
          port.backends.push_back({{0x0ad10002 + static_cast<std::uint32_t>(n)}, 8080});
        }
        std::sort(port.backends.begin(), port.backends.end());
        table["Service/shop/web" + std::to_string(number) + ":/" + port.protocol] = port;
      }
      return table;
    };
    ServiceTable current;
    RuleModel kernel;
    REQUIRE(kernel.apply(render_rules(current, make_options())));
    for (int step = 0; step < 20; ++step) {
      const auto next = draw();
      const auto change = render_change(current, next, make_options());
      REQUIRE(kernel.apply(change));
      RuleModel whole;
      REQUIRE(whole.apply(render_rules(next, make_options())));
      REQUIRE(kernel.listing() == whole.listing());
      current = next;
    }
  }
}
