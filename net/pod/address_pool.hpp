// Which pod has which address: pure, and written as text.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "net/link/address.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"

namespace moored::net {

// What was given to one pod for its life.
struct Allocation {
  Ipv4 address;
  std::string link;  // name of the host end of its veth pair
  bool operator==(const Allocation&) const = default;
};

// Gives out the lowest free address after a rotating pointer; one that was given back rests for
// kRest. The first two (network, node) and the last address of the prefix are never given out.
class AddressPool {
 public:
  static constexpr std::chrono::seconds kRest{60};

  // link_prefix: what the names of links begin with; they end in eight hex digits.
  AddressPool(Ipv4Prefix prefix, std::string link_prefix);

  // The allocation of a pod, made now if need be. Errors: exhausted.
  Result<Allocation> allocate(const std::string& uid, Time now);
  // Gives an address back. Unknown: nothing happens.
  void release(const std::string& uid, Time now);
  // Takes over what was found in the kernel.
  void adopt(const std::string& uid, const Allocation& allocation);

  const std::map<std::string, Allocation>& allocations() const { return allocations_; }
  const Allocation* find(const std::string& uid) const;
  bool is_used(Ipv4 address) const { return used_.count(address) != 0; }
  // The node's own address: the first one of the prefix.
  Ipv4 node_address() const { return {prefix_.first().value + 1}; }

  // One line each; read back by parse. Errors of parse: corrupt, naming the line.
  std::string text() const;
  static Result<AddressPool> parse(std::string_view text, Ipv4Prefix prefix,
                                   std::string link_prefix);

 private:
  bool is_free(Ipv4 address, Time now) const;
  std::string make_link_name(const std::string& uid) const;

  Ipv4Prefix prefix_;
  std::string link_prefix_;
  Ipv4 next_;
  std::map<std::string, Allocation> allocations_;
  std::map<Ipv4, std::string> used_;  // address to uid
  std::map<Ipv4, Time> resting_;      // address to the time it was given back
};

// True for what may name files and links: 1 to 63 characters of a-z, 0-9 and '-'.
bool is_pod_uid(std::string_view uid);

}  // namespace moored::net
