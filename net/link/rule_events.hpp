// Notices that somebody changed packet rules.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/link/mnl_port.hpp"
#include "schema/base/result.hpp"

namespace moored::net {

// The state of all rules of a network namespace after one transaction, and who made it.
struct RuleGeneration {
  std::uint32_t id = 0;  // grows by one with each transaction of anybody
  std::string author;    // "nft[1234]"; empty when the kernel does not say
};

// The id of the newest transaction, by a port of NETLINK_NETFILTER. Errors: timeout, denied.
Result<std::uint32_t> read_rule_generation(MnlPort& port);

// A seam of the tests. Not thread safe.
class RuleEvents {
 public:
  virtual ~RuleEvents() = default;
  // Becomes readable when a transaction was made.
  virtual int descriptor() const = 0;
  // The newest transaction since the last call, without waiting; nothing: there was none.
  virtual Result<std::optional<RuleGeneration>> drain() = 0;
  virtual Result<RuleGeneration> read() = 0;
};

// Listens in the network namespace of the calling thread. Errors: denied, exhausted.
// Source: the nftables multicast group of nfnetlink.
Result<std::unique_ptr<RuleEvents>> make_rule_events();

}  // namespace moored::net
