// Links, addresses, routes and neighbours of one network namespace, over rtnetlink.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/link/address.hpp"
#include "schema/base/result.hpp"

struct nlmsghdr;

namespace moored::net {

using MacAddress = std::array<std::uint8_t, 6>;
std::string format(const MacAddress& mac);  // 02:ee:00:00:00:01

// One network device as the kernel reports it.
struct Link {
  int index = 0;
  std::string name;
  bool up = false;
  bool loopback = false;
  int mtu_bytes = 0;
  MacAddress mac{};
  int peer_index = 0;  // veth: index of the other end, in its own namespace; 0: none
};

// A veth pair: one end here, the other born in the namespace of a descriptor.
struct VethPair {
  std::string name;
  MacAddress mac{};
  std::string peer_name;
  MacAddress peer_mac{};
  int peer_namespace = -1;  // borrowed descriptor of a network namespace
  int mtu_bytes = 1500;
};

struct LinkAddress {
  int index = 0;
  Ipv4Prefix address;
  bool operator==(const LinkAddress&) const = default;
};

// A route of the main table. Exactly one of link, gateway and unreachable says where it leads.
struct Route {
  Ipv4Prefix destination;
  int index = 0;  // outgoing link; 0: none (unreachable)
  std::optional<Ipv4> gateway;
  std::optional<Ipv4> source;  // preferred source address
  bool unreachable = false;
  bool operator==(const Route&) const = default;
};

// A neighbour entry that never expires.
struct Neighbour {
  int index = 0;
  Ipv4 address;
  MacAddress mac{};
  bool operator==(const Neighbour&) const = default;
};

// A socket stays in the namespace it was opened in, whichever thread uses it.
// Not thread safe. Requests wait for the kernel's answer, at most kAnswerTimeout.
// Errors of all calls: denied, conflict (exists), not_found, exhausted, timeout, internal.
// Source: rtnetlink(7).
class RouteSocket {
 public:
  // Opens a socket in the network namespace of the calling thread.
  static Result<RouteSocket> open();
  RouteSocket(RouteSocket&&) noexcept;
  RouteSocket& operator=(RouteSocket&&) noexcept;
  ~RouteSocket();

  Result<std::vector<Link>> read_links();
  // Errors: not_found.
  Result<Link> read_link(const std::string& name);
  Result<std::vector<LinkAddress>> read_addresses();
  Result<std::vector<Route>> read_routes();
  Result<std::vector<Neighbour>> read_neighbours();

  // Errors: conflict when a link of that name exists.
  Status add_veth(const VethPair& pair);
  Status set_up(int index);
  // A missing link is success. Costs a grace period of the kernel (about 30 ms).
  Status delete_link(int index);
  Status put_address(const LinkAddress& address);
  Status delete_address(const LinkAddress& address);
  // Replaces a route of the same destination and metric.
  Status put_route(const Route& route);
  // A missing route is success.
  Status delete_route(const Route& route);
  Status put_neighbour(const Neighbour& neighbour);
  Status delete_neighbour(const Neighbour& neighbour);

 private:
  struct State;
  explicit RouteSocket(std::unique_ptr<State> state);
  Status talk(nlmsghdr* request, std::string_view what,
              const std::function<void(const nlmsghdr*)>& take = {});
  std::unique_ptr<State> state_;
};

}  // namespace moored::net
