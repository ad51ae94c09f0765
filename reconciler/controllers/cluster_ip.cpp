#include "reconciler/controllers/cluster_ip.hpp"

#include <charconv>
#include <cstdint>

#include "reconciler/core/identity.hpp"

namespace moored {
namespace {

constexpr std::uint32_t kReserved = 16;  // network, router, DNS and what may come

// Reads a decimal number and moves past it. Nothing: no number, or above the limit.
std::optional<std::uint32_t> take_number(std::string_view& text, std::uint32_t most) {
  std::uint32_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || number > most) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// The addresses from base on, size of them.
struct Range {
  std::uint32_t base = 0;
  std::uint64_t size = 0;
};

// Address and prefix length, all four parts written out.
std::optional<Range> parse_range(std::string_view text) {
  std::uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    const auto number = take_number(text, 255);
    if (!number || text.empty() || text.front() != (part < 3 ? '.' : '/')) return std::nullopt;
    text.remove_prefix(1);
    address = (address << 8U) | *number;
  }
  const auto prefix = take_number(text, 32);
  if (!prefix || !text.empty()) return std::nullopt;
  const std::uint64_t size = std::uint64_t{1} << (32U - *prefix);
  return Range{address & ~static_cast<std::uint32_t>(size - 1), size};
}

std::string write_address(std::uint32_t address) {
  std::string text;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    text += std::to_string((address >> shift) & 255U);
    if (shift > 0) text += '.';
  }
  return text;
}

}  // namespace

std::optional<std::string> plan_cluster_ip(const std::string& cidr, const ObjectKey& service,
                                           const std::set<std::string>& taken) {
  const auto range = parse_range(cidr);
  if (!range || range->size <= kReserved + 1) return std::nullopt;
  const std::uint64_t usable = range->size - kReserved - 1;
  const std::uint64_t start = hash_text(service.text()) % usable;
  for (std::uint64_t step = 0; step < usable && step <= taken.size(); ++step) {
    const auto offset = static_cast<std::uint32_t>(kReserved + (start + step) % usable);
    std::string address = write_address(range->base + offset);
    if (taken.count(address) == 0) return address;
  }
  return std::nullopt;
}

}  // namespace moored
