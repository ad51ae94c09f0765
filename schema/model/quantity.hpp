// Kubernetes quantities (250m, 64Mi, 1e3) and the units that the kernel side counts in.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace moored {

struct Bytes {
  std::int64_t value = 0;
  auto operator<=>(const Bytes&) const = default;
};
struct MilliCpu {
  std::int64_t value = 0;
  auto operator<=>(const MilliCpu&) const = default;
};

// An exact decimal number with a suffix, kept with its text as canonical form writes it.
// Source: the quantity grammar of the Kubernetes API conventions.
class Quantity {
 public:
  Quantity() = default;
  // Nothing: not a quantity, or outside ±2^63-1 in thousandths.
  static std::optional<Quantity> parse(std::string_view text);
  static Quantity of(Bytes bytes);
  static Quantity of(MilliCpu cpu);
  static Quantity of_count(std::int64_t count);

  // In thousandths, rounded up as Kubernetes rounds.
  std::int64_t milli() const { return milli_; }
  // Whole units, rounded up.
  std::int64_t value() const;
  Bytes bytes() const { return {value()}; }
  MilliCpu cpu() const { return {milli_}; }
  // Canonical text: the largest suffix without a fraction, in the family (1024 or 1000) it came in.
  const std::string& text() const { return text_; }

  bool operator==(const Quantity& other) const { return milli_ == other.milli_; }
  auto operator<=>(const Quantity& other) const { return milli_ <=> other.milli_; }

 private:
  std::int64_t milli_ = 0;
  std::string text_ = "0";
};

// A number or a percentage or a name: ports, maxSurge, maxUnavailable.
struct IntOrString {
  bool is_string = false;
  std::int32_t number = 0;
  std::string text;
  static IntOrString of(std::int32_t n) { return {false, n, {}}; }
  static IntOrString of(std::string s) { return {true, 0, std::move(s)}; }
  bool operator==(const IntOrString&) const = default;
};

}  // namespace moored
