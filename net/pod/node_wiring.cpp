#include "net/pod/node_wiring.hpp"

#include <algorithm>
#include <set>

#include "net/link/namespaces.hpp"

namespace moored::net {
namespace {

Ipv4 node_address_of(const NodeRuleOptions& options) {
  return {options.pods.first().value + 1};
}

// True for the host end of a pod of any instance that claims this node.
bool is_pod_link(const std::string& name, const SharedState& shared) {
  return std::any_of(shared.claims.begin(), shared.claims.end(), [&](const auto& claim) {
    return name.rfind(link_prefix(claim.first), 0) == 0;
  });
}

std::string link_name(const std::vector<Link>& links, int index) {
  for (const auto& link : links) {
    if (link.index == index) return link.name;
  }
  return {};
}

Unexpected taken(const Ipv4Prefix& range, const std::string& by, const char* flag) {
  return Unexpected(Error{Code::conflict,
                          format(range) + " is already used by " + by,
                          "RangeInUse",
                          {},
                          std::string("choose another range with ") + flag});
}

bool same_shape(const Route& a, const Route& b) {
  return a.destination == b.destination && a.unreachable == b.unreachable && a.index == b.index;
}

// A route of somebody else inside one of our ranges would take packets away from it.
Status check_route(const NodeRuleOptions& options, const Route& route,
                   const std::vector<Link>& links) {
  const auto name = link_name(links, route.index);
  if (name.rfind(link_prefix(options.instance), 0) == 0) return {};
  int loopback = 0;
  for (const auto& link : links) {
    if (link.loopback) loopback = link.index;
  }
  for (const auto& own : make_node_routes(options, loopback)) {
    if (same_shape(own, route)) return {};
  }
  const auto inside = [&](const Ipv4Prefix& range) {
    return route.destination.length >= range.length && range.contains(route.destination.address);
  };
  const auto words = "the route " + format(route.destination) + (name.empty() ? "" : " of " + name);
  if (inside(options.pods)) return taken(options.pods, words, "--pod-cidr");
  if (inside(options.services)) return taken(options.services, words, "--service-cidr");
  return {};
}

std::string forwarding_path(const std::string& link) {
  return "ipv4/conf/" + link + "/forwarding";
}

Result<SharedState> read_shared(PacketRules& rules) {
  const auto listing = rules.read_table(std::string(kSharedTable));
  if (!listing && listing.error().code != Code::not_found) return Unexpected(listing.error());
  return parse_shared(listing ? *listing : std::string());
}

}  // namespace

std::vector<Route> make_node_routes(const NodeRuleOptions& options, int loopback_index) {
  return {{options.pods, 0, std::nullopt, std::nullopt, true},
          {options.services, loopback_index, std::nullopt, node_address_of(options), false}};
}

LinkAddress make_node_address(const NodeRuleOptions& options, int loopback_index) {
  return {loopback_index, {node_address_of(options), 32}};
}

Status check_ranges(const NodeRuleOptions& options, const std::vector<Route>& routes,
                    const std::vector<Link>& links, const SharedState& shared) {
  if (options.pods.overlaps(options.services)) {
    return taken(options.services, "the pods' own range", "--service-cidr");
  }
  for (const auto& [instance, claim] : shared.claims) {
    if (instance == options.instance) continue;
    const auto by = "the moored instance " + instance;
    for (const auto& other : {claim.pods, claim.services}) {
      if (options.pods.overlaps(other)) return taken(options.pods, by, "--pod-cidr");
      if (options.services.overlaps(other)) return taken(options.services, by, "--service-cidr");
    }
  }
  for (const auto& route : routes)
    MOORED_CHECK(check_route(options, route, links));
  return {};
}

std::vector<std::string> plan_forwarding(const std::vector<Route>& routes,
                                         const std::vector<Link>& links,
                                         const SharedState& shared) {
  std::set<int> leads_out;
  for (const auto& route : routes)
    leads_out.insert(route.index);
  std::vector<std::string> names;
  for (const auto& link : links) {
    const bool foreign = !link.loopback && !is_pod_link(link.name, shared);
    if (foreign && leads_out.count(link.index) != 0 && is_plain_link_name(link.name)) {
      names.push_back(link.name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::string>> claim_node(const NodeRuleOptions& options, RouteSocket& host,
                                            PacketRules& rules) {
  MOORED_TRY(const auto lock, lock_namespace());
  MOORED_TRY(const auto before, read_shared(rules));
  MOORED_TRY(const auto links, host.read_links());
  MOORED_TRY(const auto routes, host.read_routes());
  MOORED_CHECK(check_ranges(options, routes, links, before));
  SharedState after = before;
  after.claims[options.instance] = {options.pods, options.services};
  std::vector<std::string> closed;
  for (const auto& name : plan_forwarding(routes, links, after)) {
    MOORED_TRY(const auto value, read_sysctl(forwarding_path(name)));
    if (value != "0") continue;
    closed.push_back(name);
    after.opened.insert(name);
  }
  // Remembered before it is done, so that a crash in between can still be put back.
  if (!(after == before)) MOORED_CHECK(rules.apply(render_shared(after)));
  for (const auto& name : closed)
    MOORED_CHECK(write_sysctl(forwarding_path(name), "1"));
  return closed;
}

Status release_node(const std::string& instance, PacketRules& rules) {
  MOORED_TRY(const auto lock, lock_namespace());
  MOORED_TRY(auto state, read_shared(rules));
  if (state.claims.erase(instance) == 0) return {};
  if (state.claims.empty()) {
    for (const auto& name : state.opened) {
      const auto status = write_sysctl(forwarding_path(name), "0");
      if (!status && status.error().code != Code::not_found) return status;
    }
  }
  return rules.apply(render_shared(state));
}

int choose_mtu(const HostTables& host) {
  int mtu_bytes = 1500;
  const auto found = host.routes.find({Ipv4{0}, 0});
  if (found == host.routes.end()) return mtu_bytes;
  for (const auto& [name, link] : host.links) {
    if (link.index == found->second.index) mtu_bytes = link.mtu_bytes;
  }
  return std::clamp(mtu_bytes, 1280, 65535);
}

}  // namespace moored::net
