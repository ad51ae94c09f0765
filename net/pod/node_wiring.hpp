// What a node needs before its first pod: own address, routes, rules, forwarding.
#pragma once

#include <string>
#include <vector>

#include "net/link/packet_rules.hpp"
#include "net/link/route_socket.hpp"
#include "net/pod/node_rules.hpp"
#include "net/pod/pod_wiring.hpp"

namespace moored::net {

// The routes and the address that stand for the whole of an instance.
// Unused pod addresses and Services answer "unreachable" or a refusal instead of leaving the node.
std::vector<Route> make_node_routes(const NodeRuleOptions& options, int loopback_index);
LinkAddress make_node_address(const NodeRuleOptions& options, int loopback_index);

// Refuses ranges that somebody else uses on this node; pure.
// Errors: conflict, naming the route or the instance.
Status check_ranges(const NodeRuleOptions& options, const std::vector<Route>& routes,
                    const std::vector<Link>& links, const SharedState& shared);

// Links whose forwarding our pods need: every one that a route leads out of, apart from the
// loopback and the ends of pods. Pure; sorted.
std::vector<std::string> plan_forwarding(const std::vector<Route>& routes,
                                         const std::vector<Link>& links, const SharedState& shared);

// Enters this instance in the shared table and switches forwarding on where it is needed,
// remembering where it was off. Idempotent; returns the links it had to switch on.
// Errors: conflict (check_ranges).
Result<std::vector<std::string>> claim_node(const NodeRuleOptions& options, RouteSocket& host,
                                            PacketRules& rules);
// Leaves; the last instance puts forwarding back. Idempotent.
Status release_node(const std::string& instance, PacketRules& rules);

// The smallest packet size of the links with a default route; 1500 without one.
int choose_mtu(const HostTables& host);

}  // namespace moored::net
