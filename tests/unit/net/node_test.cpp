// What a node's rules say, which ranges it may use, and what a pod's links lack.
#include <catch2/catch.hpp>

#include "net/pod/node_rules.hpp"
#include "net/pod/node_wiring.hpp"
#include "net/pod/pod_wiring.hpp"
#include "tests/unit/net/golden.hpp"

using namespace moored;
using namespace moored::net;

namespace {

NodeRuleOptions make_options() {
  NodeRuleOptions options;
  options.instance = "a1b2c3";
  options.pods = *parse_prefix("10.209.0.0/16");
  options.services = *parse_prefix("10.210.0.0/16");
  return options;
}

Link make_link(int index, const std::string& name) {
  Link link;
  link.index = index;
  link.name = name;
  link.up = true;
  link.loopback = name == "lo";
  return link;
}

Route make_route(const char* destination, int index) {
  Route route;
  route.destination = *parse_prefix(destination);
  route.index = index;
  return route;
}

// A pod that has all it needs.
struct Wired {
  PodWiring wanted{"/run/net/one", "ma1b2c300000001", *parse_ipv4("10.209.0.2"),
                   *parse_ipv4("10.209.0.1"), 1500};
  HostTables host;
  InsideTables inside;

  Wired() {
    Link end = make_link(7, wanted.link);
    end.peer_index = 2;
    host.links[end.name] = end;
    Route route = make_route("10.209.0.2/32", 7);
    route.source = wanted.node_address;
    host.routes[route.destination] = route;
    host.neighbours = {{7, wanted.address, make_pod_mac(wanted.address)}};
    inside.loopback_up = true;
    inside.link = make_link(2, "eth0");
    inside.link->peer_index = 7;
    inside.addresses = {{2, {wanted.address, 32}}};
    Route out = make_route("0.0.0.0/0", 2);
    out.gateway = kGateway;
    inside.routes = {make_route("169.254.1.1/32", 2), out};
    inside.neighbours = {{2, kGateway, kHostMac}};
  }
  std::string faults() const {
    std::string out;
    for (const auto& fault : plan_repair(wanted, host, inside)) {
      out += (out.empty() ? "" : "; ") + fault.field + ": " + fault.desired + ", not " +
             fault.observed;
    }
    return out;
  }
};

}  // namespace

TEST_CASE("the rules of a node, word for word", "[net][golden]") {
  auto options = make_options();
  CHECK_GOLDEN("node_rules.nft", render_node_rules(options));
  options.refused_ports = {6446, 10250};
  CHECK_GOLDEN("node_rules_refused.nft", render_node_rules(options));
}

TEST_CASE("the shared table remembers claims and opened links", "[net][golden]") {
  SharedState state;
  CHECK(parse_shared("") == state);
  state.claims["a1b2c3"] = {*parse_prefix("10.209.0.0/16"), *parse_prefix("10.210.0.0/16")};
  state.claims["d4e5f6"] = {*parse_prefix("10.219.0.0/16"), *parse_prefix("10.220.0.0/16")};
  state.opened = {"eth0", "wlan0.5"};
  const auto text = render_shared(state);
  CHECK_GOLDEN("shared_rules.nft", text);
  CHECK(parse_shared(text) == state);
  // As nft writes it, with elements over several lines.
  CHECK(parse_shared("table ip moored_shared {\n\tset opened {\n\t\ttype ifname\n"
                     "\t\telements = { \"eth0\",\n\t\t\t     \"wlan0.5\" }\n\t}\n\n"
                     "\tchain instance_a1b2c3 {\n"
                     "\t\tcomment \"pods 10.209.0.0/16 services 10.210.0.0/16\"\n\t}\n\n"
                     "\tchain instance_d4e5f6 {\n"
                     "\t\tcomment \"pods 10.219.0.0/16 services 10.220.0.0/16\"\n\t}\n"
                     "\tchain instance_broken {\n\t\tcomment \"nonsense\"\n\t}\n}\n") == state);
  CHECK(render_shared({}) == "add table ip moored_shared\ndelete table ip moored_shared\n");
}

TEST_CASE("ranges of others are refused", "[net]") {
  const auto options = make_options();
  const std::vector<Link> links{make_link(1, "lo"), make_link(2, "eth0"),
                                make_link(3, "ma1b2c300000001")};
  const auto reason = [&](const std::vector<Route>& routes, const SharedState& shared) {
    const auto status = check_ranges(options, routes, links, shared);
    return status ? std::string("free") : status.error().message;
  };
  CHECK(reason({}, {}) == "free");
  CHECK(reason(make_node_routes(options, 1), {}) == "free");
  CHECK(reason({make_route("10.209.0.2/32", 3)}, {}) == "free");  // of a pod of ours
  CHECK(reason({make_route("0.0.0.0/0", 2)}, {}) == "free");
  CHECK(reason({make_route("10.0.0.0/8", 2)}, {}) == "free");  // wider: ours is more exact
  CHECK(reason({make_route("10.209.7.0/24", 2)}, {}) ==
        "10.209.0.0/16 is already used by the route 10.209.7.0/24 of eth0");
  CHECK(reason({make_route("10.209.0.0/16", 2)}, {}) ==
        "10.209.0.0/16 is already used by the route 10.209.0.0/16 of eth0");
  CHECK(reason({make_route("10.210.1.0/24", 2)}, {}) ==
        "10.210.0.0/16 is already used by the route 10.210.1.0/24 of eth0");
  SharedState shared;
  shared.claims["a1b2c3"] = {options.pods, options.services};
  CHECK(reason({}, shared) == "free");
  shared.claims["d4e5f6"] = {*parse_prefix("10.209.128.0/17"), *parse_prefix("10.220.0.0/16")};
  CHECK(reason({}, shared) == "10.209.0.0/16 is already used by the moored instance d4e5f6");
  auto twice = options;
  twice.services = options.pods;
  CHECK_FALSE(check_ranges(twice, {}, links, {}));
}

TEST_CASE("forwarding is wanted on the links that lead out", "[net]") {
  SharedState shared;
  shared.claims["a1b2c3"] = {};
  shared.claims["d4e5f6"] = {};
  const std::vector<Link> links{make_link(1, "lo"),
                                make_link(2, "eth0"),
                                make_link(3, "idle"),
                                make_link(4, "ma1b2c300000001"),
                                make_link(5, "md4e5f600000001"),
                                make_link(6, "odd\"name"),
                                make_link(7, "a-wlan0")};
  std::vector<Route> routes;
  for (const int index : {1, 2, 4, 5, 6, 7, 0})
    routes.push_back(make_route("10.1.0.0/16", index));
  CHECK(plan_forwarding(routes, links, shared) == std::vector<std::string>{"a-wlan0", "eth0"});
  CHECK(plan_forwarding({}, links, shared).empty());
}

TEST_CASE("the packet size is that of the way out", "[net]") {
  HostTables host;
  CHECK(choose_mtu(host) == 1500);
  auto link = make_link(2, "eth0");
  link.mtu_bytes = 9000;
  host.links["eth0"] = link;
  CHECK(choose_mtu(host) == 1500);
  host.routes[{Ipv4{0}, 0}] = make_route("0.0.0.0/0", 2);
  CHECK(choose_mtu(host) == 9000);
  host.links["eth0"].mtu_bytes = 500;
  CHECK(choose_mtu(host) == 1280);
}

TEST_CASE("a wired pod has no fault, and each missing part is one", "[net]") {
  CHECK(Wired().faults().empty());
  struct Row {
    void (*damage)(Wired&);
    const char* fault;
  };
  const Row rows[] = {
      {[](Wired& w) { w.host.links.clear(); },
       "link: ma1b2c300000001 paired with the pod's eth0, not missing"},
      {[](Wired& w) { w.inside.link.reset(); },
       "link: ma1b2c300000001 paired with the pod's eth0, not not paired"},
      {[](Wired& w) { w.inside.link->peer_index = 9; },
       "link: ma1b2c300000001 paired with the pod's eth0, not not paired"},
      {[](Wired& w) { w.host.links.begin()->second.up = false; },
       "link: ma1b2c300000001 up, not down"},
      {[](Wired& w) { w.host.routes.clear(); }, "route: 10.209.0.2/32 link 7, not missing"},
      {[](Wired& w) { w.host.routes.begin()->second.index = 3; },
       "route: 10.209.0.2/32 link 7, not 10.209.0.2/32 link 3"},
      {[](Wired& w) { w.host.neighbours.clear(); },
       "neighbour: 10.209.0.2 at 02:ed:0a:d1:00:02, not missing"},
      {[](Wired& w) { w.inside.loopback_up = false; }, "link: lo up in the pod, not down"},
      {[](Wired& w) { w.inside.link->up = false; }, "link: eth0 up in the pod, not down"},
      {[](Wired& w) { w.inside.addresses.clear(); }, "address: 10.209.0.2/32 on eth0, not none"},
      {[](Wired& w) { w.inside.addresses[0].address.address.value += 1; },
       "address: 10.209.0.2/32 on eth0, not 10.209.0.3/32"},
      {[](Wired& w) { w.inside.routes.pop_back(); },
       "route: in the pod: 0.0.0.0/0 via 169.254.1.1 link 2, not missing"},
      {[](Wired& w) { w.inside.neighbours.clear(); },
       "neighbour: in the pod: 169.254.1.1 at 02:ee:00:00:00:01, not missing"},
  };
  for (const auto& row : rows) {
    Wired wired;
    row.damage(wired);
    CHECK(wired.faults() == row.fault);
  }
  const Wired wired;
  const auto gone = plan_repair(wired.wanted, wired.host, std::nullopt);
  REQUIRE(gone.size() == 1);
  CHECK(gone.front().field == "namespace");
}
