// One pod's namespace, veth pair, addresses and routes: what is wanted, what is there, repair.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/link/route_socket.hpp"

namespace moored::net {

// What is wanted for one pod.
struct PodWiring {
  std::string pin;   // file on which the namespace is pinned
  std::string link;  // name of the host end
  Ipv4 address;
  Ipv4 node_address;  // sender of what the node sends to the pod
  int mtu_bytes = 1500;
};

inline constexpr const char* kPodLink = "eth0";
// Every pod's next hop: an address that exists nowhere, answered by a permanent neighbour.
inline constexpr Ipv4 kGateway{0xa9fe0101};  // 169.254.1.1
inline constexpr MacAddress kHostMac{0x02, 0xee, 0, 0, 0, 1};
// The pod end's address on the wire, made of the pod's IPv4 address.
MacAddress make_pod_mac(Ipv4 address);

// The node's tables, read once for all pods.
struct HostTables {
  std::map<std::string, Link> links;  // by name
  std::map<Ipv4Prefix, Route> routes;
  std::vector<Neighbour> neighbours;
};
Result<HostTables> read_host_tables(RouteSocket& host);

// What was found inside a pod's namespace.
struct InsideTables {
  bool loopback_up = false;
  std::optional<Link> link;
  std::vector<LinkAddress> addresses;
  std::vector<Route> routes;
  std::vector<Neighbour> neighbours;
};
// Errors: not_found (the namespace is not pinned).
Result<InsideTables> read_inside_tables(const std::string& pin);

// One difference, worded as drift.
struct WireFault {
  std::string field;  // namespace, link, address, route, neighbour
  std::string desired;
  std::string observed;
  bool operator==(const WireFault&) const = default;
};
// Compares; pure. inside empty: the namespace is gone. Empty result: all is well.
std::vector<WireFault> plan_repair(const PodWiring& wanted, const HostTables& host,
                                   const std::optional<InsideTables>& inside);

// Makes or completes everything. Idempotent; about 3 ms for a new pod.
Status wire_pod(RouteSocket& host, const PodWiring& wanted);
// Takes the route away and unpins the namespace; the kernel removes the pair with it.
Status unwire_pod(RouteSocket& host, const PodWiring& wanted);

}  // namespace moored::net
