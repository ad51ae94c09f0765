// Services and their endpoints, reduced to what packet rules need. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "net/link/address.hpp"
#include "schema/model/object.hpp"

namespace moored::net {

// Where a connection may be sent.
struct Backend {
  Ipv4 address;
  std::uint16_t port = 0;
  auto operator<=>(const Backend&) const = default;
};

// One port of one Service, or one hostPort of one Pod.
struct VirtualPort {
  ObjectKey owner;       // Service or Pod
  std::string label;     // namespace/name:port, for people
  std::string protocol;  // tcp, udp or sctp
  Ipv4 address;          // the ClusterIP or hostIP; 0.0.0.0: none
  std::uint16_t port = 0;
  std::uint16_t node_port = 0;    // on every address of the node; 0: none
  bool sticky = false;            // sessionAffinity: ClientIP
  std::vector<Backend> backends;  // sorted, each once; empty: connections are refused
  bool operator==(const VirtualPort&) const = default;
};

// By Service/namespace/name:port-name/protocol or Pod/namespace/name:host-port/protocol.
using ServiceTable = std::map<std::string, VirtualPort>;

// Headless Services and those without a ClusterIP have no rules. Backends are the ready
// endpoints; when there are none, those that still serve while they terminate;
// with publishNotReadyAddresses, all. Pods' hostPorts lead to the pod whether or not it is ready.
// Two owners of the same address and port: the first in order keeps it.
ServiceTable plan_services(const std::vector<Object>& services,
                           const std::vector<Object>& endpoint_slices,
                           const std::vector<Object>& pods);

}  // namespace moored::net
