#include "net/link/address.hpp"

namespace moored::net {
namespace {

// Length 0 on its own: shifting a 32-bit number by 32 is undefined.
std::uint32_t network_mask(int length) {
  return length == 0 ? 0 : ~std::uint32_t{0} << static_cast<unsigned>(32 - length);
}

// Takes a decimal number of at most limit off the front. Nothing: there is none.
std::optional<std::uint32_t> take_number(std::string_view& text, std::uint32_t limit) {
  std::uint32_t value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    if (digits > 0 && value == 0) return std::nullopt;  // a leading zero reads as octal elsewhere
    value = value * 10 + static_cast<std::uint32_t>(text[digits] - '0');
    if (value > limit) return std::nullopt;
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// Takes four numbers with dots between them off the front.
std::optional<Ipv4> take_ipv4(std::string_view& text) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && !take(text, '.')) return std::nullopt;
    const auto part = take_number(text, 255);
    if (!part) return std::nullopt;
    value = (value << 8U) | *part;
  }
  return Ipv4{value};
}

}  // namespace

Ipv4 Ipv4Prefix::first() const {
  return {address.value & network_mask(length)};
}
Ipv4 Ipv4Prefix::last() const {
  return {address.value | ~network_mask(length)};
}

std::optional<Ipv4> parse_ipv4(std::string_view text) {
  const auto address = take_ipv4(text);
  return text.empty() ? address : std::nullopt;
}

std::optional<Ipv4Prefix> parse_prefix(std::string_view text) {
  const auto address = take_ipv4(text);
  if (!address || !take(text, '/')) return std::nullopt;
  const auto length = take_number(text, 32);
  if (!length || !text.empty()) return std::nullopt;
  const Ipv4Prefix prefix{*address, static_cast<int>(*length)};
  // Bits of the host part set are more often a slip than meant.
  if (prefix.first() != *address) return std::nullopt;
  return prefix;
}

std::string format(Ipv4 address) {
  const auto part = [&](unsigned shift) { return std::to_string((address.value >> shift) & 255U); };
  return part(24) + '.' + part(16) + '.' + part(8) + '.' + part(0);
}

std::string format(const Ipv4Prefix& prefix) {
  return format(prefix.address) + '/' + std::to_string(prefix.length);
}

}  // namespace moored::net
