#include "net/pod/pod_wiring.hpp"

#include <algorithm>

#include "net/link/namespaces.hpp"

namespace moored::net {
namespace {

Route make_host_route(const PodWiring& wanted, int index) {
  return {{wanted.address, 32}, index, std::nullopt, wanted.node_address, false};
}
Neighbour make_host_neighbour(const PodWiring& wanted, int index) {
  return {index, wanted.address, make_pod_mac(wanted.address)};
}
std::vector<Route> make_pod_routes(int index) {
  return {{{kGateway, 32}, index, std::nullopt, std::nullopt, false},
          {{Ipv4{0}, 0}, index, kGateway, std::nullopt, false}};
}

template <class T>
bool contains(const std::vector<T>& rows, const T& row) {
  return std::find(rows.begin(), rows.end(), row) != rows.end();
}

std::string describe(const Route& route) {
  if (route.unreachable) return format(route.destination) + " unreachable";
  return format(route.destination) + (route.gateway ? " via " + format(*route.gateway) : "") +
         " link " + std::to_string(route.index);
}

// A setting that this kernel may lack altogether (IPv6 switched off at boot).
Status write_optional_sysctl(const std::string& path, const std::string& value) {
  auto status = write_sysctl(path, value);
  if (!status && status.error().code == Code::not_found) return {};
  return status;
}

// Runs inside the new namespace.
Status prepare_namespace() {
  MOORED_TRY(auto socket, RouteSocket::open());
  MOORED_TRY(const auto loopback, socket.read_link("lo"));
  MOORED_CHECK(socket.set_up(loopback.index));
  MOORED_CHECK(write_sysctl("ipv4/conf/all/accept_redirects", "0"));
  MOORED_CHECK(write_sysctl("ipv4/conf/default/accept_redirects", "0"));
  MOORED_CHECK(write_optional_sysctl("ipv6/conf/default/accept_ra", "0"));
  // Pods have no IPv6 address; a link-local one would be a way past the rules for IPv4.
  return write_optional_sysctl("ipv6/conf/default/disable_ipv6", "1");
}

// Runs inside the pod's namespace, on its end of the pair.
Status wire_inside(const PodWiring& wanted) {
  MOORED_TRY(auto socket, RouteSocket::open());
  MOORED_TRY(const auto loopback, socket.read_link("lo"));
  MOORED_CHECK(socket.set_up(loopback.index));
  MOORED_TRY(const auto link, socket.read_link(kPodLink));
  MOORED_CHECK(socket.set_up(link.index));
  MOORED_CHECK(socket.put_address({link.index, {wanted.address, 32}}));
  for (const auto& route : make_pod_routes(link.index))
    MOORED_CHECK(socket.put_route(route));
  return socket.put_neighbour({link.index, kGateway, kHostMac});
}

Status wire_host(RouteSocket& host, const PodWiring& wanted, const Link& link) {
  const auto conf = "ipv4/conf/" + wanted.link + '/';
  MOORED_CHECK(write_optional_sysctl("ipv6/conf/" + wanted.link + "/disable_ipv6", "1"));
  MOORED_CHECK(write_sysctl(conf + "forwarding", "1"));
  MOORED_CHECK(write_sysctl(conf + "rp_filter", "1"));
  MOORED_CHECK(write_sysctl(conf + "send_redirects", "0"));
  // Lets the node reach a hostPort by 127.0.0.1; the guard chain keeps pods from the same way back.
  MOORED_CHECK(write_sysctl(conf + "route_localnet", "1"));
  MOORED_CHECK(write_sysctl(conf + "accept_redirects", "0"));
  MOORED_CHECK(host.set_up(link.index));
  MOORED_CHECK(host.put_neighbour(make_host_neighbour(wanted, link.index)));
  return host.put_route(make_host_route(wanted, link.index));
}

// The pair, with both ends where they belong; one that lost an end is made anew.
Result<Link> make_pair_of_links(RouteSocket& host, const PodWiring& wanted, int inside_fd) {
  std::optional<Link> inside;
  MOORED_CHECK(run_inside(inside_fd, [&]() -> Status {
    MOORED_TRY(auto socket, RouteSocket::open());
    MOORED_TRY(const auto links, socket.read_links());
    for (const auto& link : links) {
      if (link.name == kPodLink) inside = link;
    }
    return {};
  }));
  auto present = host.read_link(wanted.link);
  if (present && inside && inside->peer_index == present->index) return present;
  if (present) MOORED_CHECK(host.delete_link(present->index));
  VethPair pair{wanted.link, kHostMac,        kPodLink, make_pod_mac(wanted.address),
                inside_fd,   wanted.mtu_bytes};
  MOORED_CHECK(host.add_veth(pair));
  return host.read_link(wanted.link);
}

void plan_inside(const PodWiring& wanted, const InsideTables& inside,
                 std::vector<WireFault>& faults) {
  if (!inside.loopback_up) faults.push_back({"link", "lo up in the pod", "down"});
  if (!inside.link->up) faults.push_back({"link", "eth0 up in the pod", "down"});
  const int index = inside.link->index;
  if (!contains(inside.addresses, LinkAddress{index, {wanted.address, 32}})) {
    const auto other = std::find_if(inside.addresses.begin(), inside.addresses.end(),
                                    [&](const auto& row) { return row.index == index; });
    faults.push_back({"address", format(wanted.address) + "/32 on eth0",
                      other == inside.addresses.end() ? "none" : format(other->address)});
  }
  for (const auto& route : make_pod_routes(index)) {
    if (contains(inside.routes, route)) continue;
    faults.push_back({"route", "in the pod: " + describe(route), "missing"});
  }
  if (!contains(inside.neighbours, Neighbour{index, kGateway, kHostMac})) {
    faults.push_back(
        {"neighbour", "in the pod: " + format(kGateway) + " at " + format(kHostMac), "missing"});
  }
}

}  // namespace

MacAddress make_pod_mac(Ipv4 address) {
  const auto byte = [&](unsigned shift) {
    return static_cast<std::uint8_t>((address.value >> shift) & 255U);
  };
  return {0x02, 0xed, byte(24), byte(16), byte(8), byte(0)};
}

Result<HostTables> read_host_tables(RouteSocket& host) {
  HostTables tables;
  MOORED_TRY(const auto links, host.read_links());
  for (const auto& link : links)
    tables.links[link.name] = link;
  MOORED_TRY(const auto routes, host.read_routes());
  for (const auto& route : routes)
    tables.routes[route.destination] = route;
  MOORED_TRY(tables.neighbours, host.read_neighbours());
  return tables;
}

Result<InsideTables> read_inside_tables(const std::string& pin) {
  MOORED_TRY(const auto fd, open_namespace(pin));
  InsideTables tables;
  MOORED_CHECK(run_inside(fd.get(), [&]() -> Status {
    MOORED_TRY(auto socket, RouteSocket::open());
    MOORED_TRY(const auto links, socket.read_links());
    for (const auto& link : links) {
      if (link.name == kPodLink) tables.link = link;
      if (link.loopback) tables.loopback_up = link.up;
    }
    MOORED_TRY(tables.addresses, socket.read_addresses());
    MOORED_TRY(tables.routes, socket.read_routes());
    MOORED_TRY(tables.neighbours, socket.read_neighbours());
    return {};
  }));
  return tables;
}

std::vector<WireFault> plan_repair(const PodWiring& wanted, const HostTables& host,
                                   const std::optional<InsideTables>& inside) {
  if (!inside) return {{"namespace", "pinned on " + wanted.pin, "not pinned"}};
  std::vector<WireFault> faults;
  const auto found = host.links.find(wanted.link);
  if (found == host.links.end() || !inside->link ||
      inside->link->peer_index != found->second.index) {
    return {{"link", wanted.link + " paired with the pod's eth0",
             found == host.links.end() ? "missing" : "not paired"}};
  }
  const Link& link = found->second;
  if (!link.up) faults.push_back({"link", wanted.link + " up", "down"});
  const auto route = make_host_route(wanted, link.index);
  const auto present = host.routes.find(route.destination);
  if (present == host.routes.end() || !(present->second == route)) {
    faults.push_back({"route", describe(route),
                      present == host.routes.end() ? "missing" : describe(present->second)});
  }
  const auto neighbour = make_host_neighbour(wanted, link.index);
  if (!contains(host.neighbours, neighbour)) {
    faults.push_back(
        {"neighbour", format(neighbour.address) + " at " + format(neighbour.mac), "missing"});
  }
  plan_inside(wanted, *inside, faults);
  return faults;
}

Status wire_pod(RouteSocket& host, const PodWiring& wanted) {
  auto inside_fd = open_namespace(wanted.pin);
  if (!inside_fd) {
    MOORED_CHECK(remove_pin(wanted.pin));
    MOORED_CHECK(make_namespace(wanted.pin, prepare_namespace));
    inside_fd = open_namespace(wanted.pin);
    if (!inside_fd) return Unexpected(std::move(inside_fd).error());
  }
  MOORED_TRY(const auto link, make_pair_of_links(host, wanted, inside_fd->get()));
  MOORED_CHECK(run_inside(inside_fd->get(), [&] { return wire_inside(wanted); }));
  return wire_host(host, wanted, link);
}

Status unwire_pod(RouteSocket& host, const PodWiring& wanted) {
  if (const auto link = host.read_link(wanted.link)) {
    MOORED_CHECK(host.delete_route(make_host_route(wanted, link->index)));
  }
  return remove_pin(wanted.pin);
}

}  // namespace moored::net
