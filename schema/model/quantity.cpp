#include "schema/model/quantity.hpp"

#include <array>
#include <limits>

namespace moored {
namespace {

__extension__ using Wide = __int128;  // products of two 64-bit numbers

constexpr std::size_t kMaxDigits = 24;     // of either side of the point, leading zeros left out
constexpr std::size_t kMaxText = 64;
constexpr std::int64_t kMaxMilli = std::numeric_limits<std::int64_t>::max();

enum class Family { decimal, exponent, binary };

struct Suffix {
  std::string_view text;
  Family family;
  int power;  // of 10, or of 2
};
constexpr std::array<Suffix, 16> kSuffixes{{
    {"n", Family::decimal, -9}, {"u", Family::decimal, -6}, {"m", Family::decimal, -3},
    {"", Family::decimal, 0}, {"k", Family::decimal, 3}, {"M", Family::decimal, 6},
    {"G", Family::decimal, 9}, {"T", Family::decimal, 12}, {"P", Family::decimal, 15},
    {"E", Family::decimal, 18}, {"Ki", Family::binary, 10}, {"Mi", Family::binary, 20},
    {"Gi", Family::binary, 30}, {"Ti", Family::binary, 40}, {"Pi", Family::binary, 50},
    {"Ei", Family::binary, 60},
}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The digits at the front, which may be none.
std::string_view take_digits(std::string_view& rest) {
  std::size_t n = 0;
  while (n < rest.size() && is_digit(rest[n])) ++n;
  const auto digits = rest.substr(0, n);
  rest.remove_prefix(n);
  return digits;
}

// The text cut into its parts; the number is digits × 10^-fraction.
struct Parts {
  bool negative = false;
  std::string digits;  // without leading zeros
  int fraction = 0;
  Family family = Family::decimal;
  int power = 0;
};

// e3, E-3, e+3: three digits are more than any amount needs.
bool read_exponent(std::string_view rest, Parts& parts) {
  if (rest.size() < 2 || (rest[0] != 'e' && rest[0] != 'E')) return false;
  rest.remove_prefix(1);
  const bool negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  const auto digits = take_digits(rest);
  if (digits.empty() || digits.size() > 3 || !rest.empty()) return false;
  const int power = std::stoi(std::string(digits));
  parts.family = Family::exponent;
  parts.power = negative ? -power : power;
  return true;
}

// The suffixes go first: E alone is exa, and only E with digits is an exponent.
bool read_suffix(std::string_view rest, Parts& parts) {
  for (const auto& suffix : kSuffixes) {
    if (suffix.text != rest) continue;
    parts.family = suffix.family;
    parts.power = suffix.power;
    return true;
  }
  return read_exponent(rest, parts);
}

// Sign, digits, point, digits, suffix. Zeros at the ends carry nothing and are dropped, so that
// the limit on digits counts what matters.
std::optional<Parts> split(std::string_view text) {
  if (text.empty() || text.size() > kMaxText) return std::nullopt;
  Parts parts;
  parts.negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  const auto whole = take_digits(text);
  std::string_view fraction;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    fraction = take_digits(text);
  }
  if (whole.empty() && fraction.empty()) return std::nullopt;
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  parts.digits = std::string(whole) + std::string(fraction);
  parts.digits.erase(0, parts.digits.find_first_not_of('0'));
  parts.fraction = static_cast<int>(fraction.size());
  if (parts.digits.size() > kMaxDigits) return std::nullopt;
  if (!read_suffix(text, parts)) return std::nullopt;
  return parts;
}

// Multiplies unless the product leaves the room that rounding needs.
bool grow(Wide& number, Wide factor) {
  constexpr Wide kRoom = Wide{1} << 120;
  if (number > kRoom / factor) return false;
  number *= factor;
  return true;
}

// The number in thousandths, rounded away from zero. Nothing: out of range.
std::optional<std::int64_t> to_milli(const Parts& parts) {
  Wide number = 0;
  for (const char c : parts.digits) number = number * 10 + (c - '0');
  if (number == 0) return 0;
  const bool binary = parts.family == Family::binary;
  if (binary && !grow(number, Wide{1} << parts.power)) return std::nullopt;
  int power = 3 - parts.fraction + (binary ? 0 : parts.power);
  for (; power > 0; --power) {
    if (!grow(number, 10)) return std::nullopt;
  }
  bool rest = false;
  for (; power < 0 && number > 0; ++power) {
    rest = rest || number % 10 != 0;
    number /= 10;
  }
  if (rest) ++number;
  if (number > kMaxMilli) return std::nullopt;
  const auto milli = static_cast<std::int64_t>(number);
  return parts.negative ? -milli : milli;
}

// At most 10^18, which fits.
std::int64_t power_of_ten(int power) {
  std::int64_t out = 1;
  while (power-- > 0) out *= 10;
  return out;
}

// The largest power of a thousand that leaves no fraction.
std::string decimal_text(std::int64_t milli, bool exponent) {
  if (milli == 0) return "0";
  for (int power = 15; power >= -3; power -= 3) {
    const auto unit = power_of_ten(power + 3);
    if (milli % unit != 0) continue;
    auto out = std::to_string(milli / unit);
    if (exponent) return power == 0 ? out : out + "e" + std::to_string(power);
    for (const auto& suffix : kSuffixes) {
      if (suffix.family == Family::decimal && suffix.power == power) {
        return out.append(suffix.text);
      }
    }
  }
  return {};
}

// Kubernetes writes binary quantities below 1024 or with a fraction in the decimal family.
std::string binary_text(std::int64_t milli) {
  if (milli % 1000 != 0) return decimal_text(milli, false);
  const auto value = milli / 1000;
  if (value > -1024 && value < 1024) return decimal_text(milli, false);
  for (int power = 50; power > 0; power -= 10) {
    const auto unit = std::int64_t{1} << power;
    if (value % unit != 0) continue;
    for (const auto& suffix : kSuffixes) {
      if (suffix.family == Family::binary && suffix.power == power) {
        return std::to_string(value / unit).append(suffix.text);
      }
    }
  }
  return decimal_text(milli, false);  // so that reading the text again gives the same text
}

}  // namespace

std::optional<Quantity> Quantity::parse(std::string_view text) {
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  const auto milli = to_milli(*parts);
  if (!milli) return std::nullopt;
  Quantity out;
  out.milli_ = *milli;
  out.text_ = parts->family == Family::binary
                  ? binary_text(*milli)
                  : decimal_text(*milli, parts->family == Family::exponent);
  return out;
}

Quantity Quantity::of(Bytes bytes) {
  constexpr auto kMaxWhole = kMaxMilli / 1000;
  const auto value = bytes.value > kMaxWhole ? kMaxWhole : bytes.value;
  Quantity out;
  out.milli_ = value * 1000;
  out.text_ = binary_text(out.milli_);
  return out;
}

Quantity Quantity::of(MilliCpu cpu) {
  Quantity out;
  out.milli_ = cpu.value;
  out.text_ = decimal_text(cpu.value, false);
  return out;
}

Quantity Quantity::of_count(std::int64_t count) {
  constexpr auto kMaxWhole = kMaxMilli / 1000;
  return of(MilliCpu{(count > kMaxWhole ? kMaxWhole : count) * 1000});
}

std::int64_t Quantity::value() const {
  const auto whole = milli_ / 1000;
  const auto rest = milli_ % 1000;
  if (rest == 0) return whole;
  return milli_ > 0 ? whole + 1 : whole - 1;
}

}  // namespace moored
