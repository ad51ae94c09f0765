// IPv4 addresses and prefixes as values.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace moored::net {

// An IPv4 address in host byte order.
struct Ipv4 {
  std::uint32_t value = 0;
  auto operator<=>(const Ipv4&) const = default;
};

// An address with the number of its leading network bits, 0 to 32.
struct Ipv4Prefix {
  Ipv4 address;
  int length = 32;
  auto operator<=>(const Ipv4Prefix&) const = default;

  // The first and the last address that share the network bits.
  Ipv4 first() const;
  Ipv4 last() const;
  bool contains(Ipv4 other) const { return other >= first() && other <= last(); }
  bool overlaps(const Ipv4Prefix& other) const {
    return first() <= other.last() && other.first() <= last();
  }
};

// Reads dotted decimal, four numbers of 0 to 255 without leading zeros. Nothing: not an address.
std::optional<Ipv4> parse_ipv4(std::string_view text);
// Reads ADDRESS/LENGTH whose host bits are zero. Nothing: not a prefix.
std::optional<Ipv4Prefix> parse_prefix(std::string_view text);
std::string format(Ipv4 address);
std::string format(const Ipv4Prefix& prefix);

}  // namespace moored::net
