#include "net/link/route_socket.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "net/link/mnl_port.hpp"

namespace moored::net {
namespace {

// A dump is repeated when its table changed meanwhile; more often means a table that never rests.
constexpr int kMaxDumps = 8;

// One request under construction: a header, a family header and attributes.
class Request {
 public:
  Request(std::uint16_t type, unsigned flags) {
    mnl_nlmsg_put_header(buffer_.data());
    get()->nlmsg_type = type;
    get()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  }
  nlmsghdr* get() { return static_cast<nlmsghdr*>(static_cast<void*>(buffer_.data())); }

  // Adds the fixed header of the family, zeroed.
  template <class T>
  T& put_body() {
    return *static_cast<T*>(mnl_nlmsg_put_extra_header(get(), sizeof(T)));
  }
  void put(std::uint16_t type, Ipv4 address) {
    mnl_attr_put_u32(get(), type, htonl(address.value));
  }
  void put(std::uint16_t type, const std::string& text) {
    mnl_attr_put_strz(get(), type, text.c_str());
  }
  void put(std::uint16_t type, const MacAddress& mac) {
    mnl_attr_put(get(), type, mac.size(), mac.data());
  }
  void put_number(std::uint16_t type, int number) {
    mnl_attr_put_u32(get(), type, static_cast<std::uint32_t>(number));
  }

 private:
  alignas(nlmsghdr) std::array<char, 1024> buffer_{};
};

// Addresses travel in network order and are numbers in host order here.
Ipv4 read_ipv4(const nlattr* attribute) {
  return {ntohl(mnl_attr_get_u32(attribute))};
}

// Links that are no Ethernet (tunnels) have hardware addresses of other lengths.
void read_mac(const nlattr* attribute, MacAddress& mac) {
  if (mnl_attr_get_payload_len(attribute) == mac.size()) {
    std::memcpy(mac.data(), mnl_attr_get_payload(attribute), mac.size());
  }
}

// IFLA_LINK of a veth is the index of its peer, in the peer's own namespace.
Link parse_link(const nlmsghdr* message) {
  const auto* body = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  Link link;
  link.index = body->ifi_index;
  link.up = (body->ifi_flags & IFF_UP) != 0;
  link.loopback = (body->ifi_flags & IFF_LOOPBACK) != 0;
  each_attribute(message, sizeof *body, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == IFLA_IFNAME) link.name = mnl_attr_get_str(attribute);
    if (type == IFLA_MTU) link.mtu_bytes = static_cast<int>(mnl_attr_get_u32(attribute));
    if (type == IFLA_ADDRESS) read_mac(attribute, link.mac);
    if (type == IFLA_LINK) link.peer_index = static_cast<int>(mnl_attr_get_u32(attribute));
  });
  return link;
}

// IFA_LOCAL, not IFA_ADDRESS: on point-to-point links the latter is the other end.
std::optional<LinkAddress> parse_address(const nlmsghdr* message) {
  const auto* body = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
  if (body->ifa_family != AF_INET) return std::nullopt;
  LinkAddress out;
  out.index = static_cast<int>(body->ifa_index);
  out.address.length = body->ifa_prefixlen;
  each_attribute(message, sizeof *body, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == IFA_LOCAL) out.address.address = read_ipv4(attribute);
  });
  return out;
}

// Only the main table: the local one is the kernel's own, others belong to other programs.
std::optional<Route> parse_route(const nlmsghdr* message) {
  const auto* body = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  const bool usable = body->rtm_type == RTN_UNICAST || body->rtm_type == RTN_UNREACHABLE;
  if (body->rtm_family != AF_INET || body->rtm_table != RT_TABLE_MAIN || !usable) {
    return std::nullopt;
  }
  Route route;
  route.destination.length = body->rtm_dst_len;
  route.unreachable = body->rtm_type == RTN_UNREACHABLE;
  each_attribute(message, sizeof *body, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == RTA_DST) route.destination.address = read_ipv4(attribute);
    if (type == RTA_OIF) route.index = static_cast<int>(mnl_attr_get_u32(attribute));
    if (type == RTA_GATEWAY) route.gateway = read_ipv4(attribute);
    if (type == RTA_PREFSRC) route.source = read_ipv4(attribute);
  });
  return route;
}

// Permanent entries only; the rest the kernel learns and forgets by itself.
std::optional<Neighbour> parse_neighbour(const nlmsghdr* message) {
  const auto* body = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
  if (body->ndm_family != AF_INET || (body->ndm_state & NUD_PERMANENT) == 0) return std::nullopt;
  Neighbour out;
  out.index = body->ndm_ifindex;
  each_attribute(message, sizeof *body, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == NDA_DST) out.address = read_ipv4(attribute);
    if (type == NDA_LLADDR) read_mac(attribute, out.mac);
  });
  return out;
}

// A route request; the kernel matches type, destination and, when given, the rest.
Request make_route_request(std::uint16_t type, unsigned flags, const Route& route) {
  Request request(type, flags);
  auto& body = request.put_body<rtmsg>();
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<unsigned char>(route.destination.length);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_type = route.unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
  body.rtm_scope = route.gateway || route.unreachable ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (route.destination.length > 0) request.put(RTA_DST, route.destination.address);
  if (route.index != 0) request.put_number(RTA_OIF, route.index);
  if (route.gateway) request.put(RTA_GATEWAY, *route.gateway);
  if (route.source) request.put(RTA_PREFSRC, *route.source);
  return request;
}

// Local and peer address alike: that is what the kernel reports for an ordinary address.
Request make_address_request(std::uint16_t type, unsigned flags, const LinkAddress& address) {
  Request request(type, flags);
  auto& body = request.put_body<ifaddrmsg>();
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = static_cast<unsigned char>(address.address.length);
  body.ifa_scope = RT_SCOPE_UNIVERSE;
  body.ifa_index = static_cast<unsigned>(address.index);
  request.put(IFA_LOCAL, address.address.address);
  request.put(IFA_ADDRESS, address.address.address);
  return request;
}

// Permanent, so that no ARP is needed and none can be forged.
Request make_neighbour_request(std::uint16_t type, unsigned flags, const Neighbour& neighbour) {
  Request request(type, flags);
  auto& body = request.put_body<ndmsg>();
  body.ndm_family = AF_INET;
  body.ndm_ifindex = neighbour.index;
  body.ndm_state = NUD_PERMANENT;
  request.put(NDA_DST, neighbour.address);
  request.put(NDA_LLADDR, neighbour.mac);
  return request;
}

// For deletions: gone already is what was wanted.
Status ignore_missing(Status status) {
  if (!status && status.error().code == Code::not_found) return {};
  return status;
}

// Reads a whole table with the parser of its rows; repeats while it changes under the dump.
template <class Body, class Row, class Parse>
Result<std::vector<Row>> read_table(MnlPort& port, std::uint16_t type, const char* what,
                                    Parse parse) {
  std::vector<Row> rows;
  Status status;
  for (int i = 0; i < kMaxDumps; ++i) {
    rows.clear();
    Request request(type, NLM_F_DUMP);
    // Every family header begins with the family.
    *static_cast<unsigned char*>(static_cast<void*>(&request.put_body<Body>())) = AF_INET;
    status = port.talk(request.get(), what, [&](const nlmsghdr* message) {
      if (auto row = parse(message)) rows.push_back(std::move(*row));
    });
    if (status || status.error().code != Code::unavailable) break;
  }
  if (!status) return Unexpected(std::move(status).error());
  return rows;
}

}  // namespace

struct RouteSocket::State {
  MnlPort port;
};

std::string format(const MacAddress& mac) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", unsigned{mac[0]},
                unsigned{mac[1]}, unsigned{mac[2]}, unsigned{mac[3]}, unsigned{mac[4]},
                unsigned{mac[5]});
  return text.data();
}

RouteSocket::RouteSocket(std::unique_ptr<State> state) : state_(std::move(state)) {}
RouteSocket::RouteSocket(RouteSocket&&) noexcept = default;
RouteSocket& RouteSocket::operator=(RouteSocket&&) noexcept = default;
RouteSocket::~RouteSocket() = default;

Result<RouteSocket> RouteSocket::open() {
  MOORED_TRY(auto port, MnlPort::open(NETLINK_ROUTE));
  return RouteSocket(std::make_unique<State>(State{std::move(port)}));
}

Status RouteSocket::talk(nlmsghdr* request, std::string_view what,
                         const std::function<void(const nlmsghdr*)>& take) {
  return state_->port.talk(request, what, take);
}

Result<std::vector<Link>> RouteSocket::read_links() {
  return read_table<ifinfomsg, Link>(state_->port, RTM_GETLINK, "read links", [](const auto* m) {
    return std::optional<Link>(parse_link(m));
  });
}

// By name and without a dump: the kernel answers with this one link or with ENODEV.
Result<Link> RouteSocket::read_link(const std::string& name) {
  Request request(RTM_GETLINK, 0);
  request.put_body<ifinfomsg>();
  request.put(IFLA_IFNAME, name);
  std::optional<Link> link;
  MOORED_CHECK(talk(request.get(), "read link " + name,
                    [&](const nlmsghdr* message) { link = parse_link(message); }));
  if (!link) return fail(Code::not_found, "link " + name + " does not exist");
  return *link;
}

Result<std::vector<LinkAddress>> RouteSocket::read_addresses() {
  return read_table<ifaddrmsg, LinkAddress>(state_->port, RTM_GETADDR, "read addresses",
                                            parse_address);
}

Result<std::vector<Route>> RouteSocket::read_routes() {
  return read_table<rtmsg, Route>(state_->port, RTM_GETROUTE, "read routes", parse_route);
}

Result<std::vector<Neighbour>> RouteSocket::read_neighbours() {
  return read_table<ndmsg, Neighbour>(state_->port, RTM_GETNEIGH, "read neighbours",
                                      parse_neighbour);
}

// Both ends in one request, the peer born in its namespace: no moment with a half of it.
Status RouteSocket::add_veth(const VethPair& pair) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.put_body<ifinfomsg>();
  nlmsghdr* header = request.get();
  request.put(IFLA_IFNAME, pair.name);
  request.put(IFLA_ADDRESS, pair.mac);
  request.put_number(IFLA_MTU, pair.mtu_bytes);
  nlattr* link = mnl_attr_nest_start(header, IFLA_LINKINFO);
  request.put(IFLA_INFO_KIND, std::string("veth"));
  nlattr* options = mnl_attr_nest_start(header, IFLA_INFO_DATA);
  nlattr* peer = mnl_attr_nest_start(header, VETH_INFO_PEER);
  request.put_body<ifinfomsg>();
  request.put(IFLA_IFNAME, pair.peer_name);
  request.put(IFLA_ADDRESS, pair.peer_mac);
  request.put_number(IFLA_MTU, pair.mtu_bytes);
  request.put_number(IFLA_NET_NS_FD, pair.peer_namespace);
  mnl_attr_nest_end(header, peer);
  mnl_attr_nest_end(header, options);
  mnl_attr_nest_end(header, link);
  return talk(header, "add link " + pair.name);
}

// ifi_change names the flags that are meant; without it the kernel would take all of them.
Status RouteSocket::set_up(int index) {
  Request request(RTM_NEWLINK, 0);
  auto& body = request.put_body<ifinfomsg>();
  body.ifi_index = index;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  return talk(request.get(), "set a link up");
}

// Deleting one end of a veth pair deletes the other too.
Status RouteSocket::delete_link(int index) {
  Request request(RTM_DELLINK, 0);
  request.put_body<ifinfomsg>().ifi_index = index;
  return ignore_missing(talk(request.get(), "delete a link"));
}

Status RouteSocket::put_address(const LinkAddress& address) {
  auto request = make_address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
  return talk(request.get(), "add address " + format(address.address));
}

// Looked up first: the kernel's error for a missing address is not the one for a missing
// link.
Status RouteSocket::delete_address(const LinkAddress& address) {
  MOORED_TRY(const auto present, read_addresses());
  if (std::find(present.begin(), present.end(), address) == present.end()) return {};
  auto request = make_address_request(RTM_DELADDR, 0, address);
  return talk(request.get(), "delete address " + format(address.address));
}

Status RouteSocket::put_route(const Route& route) {
  auto request = make_route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
  return talk(request.get(), "add route " + format(route.destination));
}

Status RouteSocket::delete_route(const Route& route) {
  auto request = make_route_request(RTM_DELROUTE, 0, route);
  return ignore_missing(talk(request.get(), "delete route " + format(route.destination)));
}

Status RouteSocket::put_neighbour(const Neighbour& neighbour) {
  auto request = make_neighbour_request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour);
  return talk(request.get(), "add neighbour " + format(neighbour.address));
}

Status RouteSocket::delete_neighbour(const Neighbour& neighbour) {
  auto request = make_neighbour_request(RTM_DELNEIGH, 0, neighbour);
  return ignore_missing(talk(request.get(), "delete neighbour " + format(neighbour.address)));
}

}  // namespace moored::net
