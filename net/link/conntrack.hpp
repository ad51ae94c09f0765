// The kernel's table of connections: which flow goes where, and forgetting some of them.
#pragma once

#include <cstdint>
#include <functional>

#include "net/link/address.hpp"
#include "schema/base/result.hpp"

namespace moored::net {

// One tracked IPv4 flow. Ports are 0 for protocols without ports.
struct Flow {
  std::uint8_t protocol = 0;  // 6 TCP, 17 UDP
  Ipv4 source;
  Ipv4 destination;  // as the sender addressed it
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Ipv4 answerer;  // who really answers: differs after address translation
  std::uint16_t answerer_port = 0;
};

// A seam of the tests. Thread safe.
class FlowTable {
 public:
  virtual ~FlowTable() = default;
  // Forgets every flow that the predicate is true for; the number of forgotten ones. The next
  // packet of such a flow is translated anew. Cost: one dump of the table.
  // Errors: unavailable and what else the kernel answers.
  virtual Result<std::size_t> forget(const std::function<bool(const Flow&)>& which) = 0;
};

// The table of the network namespace of the calling thread of each call, over ctnetlink.
class KernelFlowTable final : public FlowTable {
 public:
  Result<std::size_t> forget(const std::function<bool(const Flow&)>& which) override;
};

}  // namespace moored::net
