#include "schema/codec/scalar.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

namespace moored::codec {
namespace {

constexpr std::array<std::string_view, 11> kTrue{"y",  "Y",  "yes",  "Yes",  "YES", "on",
                                                 "On", "ON", "true", "True", "TRUE"};
constexpr std::array<std::string_view, 11> kFalse{"n",   "N",   "no",    "No",    "NO",  "off",
                                                  "Off", "OFF", "false", "False", "FALSE"};
constexpr std::array<std::string_view, 5> kNull{"", "~", "null", "Null", "NULL"};

template <std::size_t N>
bool holds(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool all_digits(std::string_view text, int base) {
  if (text.empty()) return false;
  return std::all_of(text.begin(), text.end(), [base](char c) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : 99;
    return digit < base;
  });
}

// Digits of a base as a decimal text. Texts too long for 64 bits stay as they are: the field's
// range check words the error.
std::string to_decimal(bool negative, std::string_view digits, int base) {
  const std::string text(digits);
  if (base == 10) {
    const auto first = text.find_first_not_of('0');
    const std::string body = first == std::string::npos ? "0" : text.substr(first);
    return negative && body != "0" ? "-" + body : body;
  }
  errno = 0;
  const auto number = std::strtoull(text.c_str(), nullptr, base);
  const std::string body = errno == ERANGE ? "99999999999999999999" : std::to_string(number);
  return negative && body != "0" ? "-" + body : body;
}

// Reads an integer in any of YAML 1.1's notations into decimal text; empty: it is none.
std::string read_integer(std::string_view text) {
  std::string clean;
  for (const char c : text) {
    if (c != '_') clean += c;
  }
  std::string_view rest = clean;
  if (rest.empty() || text.front() == '_') return {};
  const bool negative = rest.front() == '-';
  if (negative || rest.front() == '+') rest.remove_prefix(1);
  const auto prefixed = [&](std::string_view prefix, int base) -> std::string {
    if (rest.substr(0, prefix.size()) != prefix) return {};
    const auto digits = rest.substr(prefix.size());
    return all_digits(digits, base) ? to_decimal(negative, digits, base) : std::string();
  };
  if (auto hex = prefixed("0x", 16); !hex.empty()) return hex;
  if (auto octal = prefixed("0o", 8); !octal.empty()) return octal;
  if (auto binary = prefixed("0b", 2); !binary.empty()) return binary;
  if (rest.size() > 1 && rest.front() == '0') return prefixed("0", 8);
  return all_digits(rest, 10) ? to_decimal(negative, rest, 10) : std::string();
}

bool take_digits(std::string_view& text) {
  const auto end = text.find_first_not_of("0123456789");
  const auto count = end == std::string_view::npos ? text.size() : end;
  text.remove_prefix(count);
  return count > 0;
}

// JSON's number grammar, with a leading + and a bare leading or trailing point allowed.
bool is_real(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const bool whole = take_digits(text);
  bool fraction = false;
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    fraction = take_digits(text);
  }
  if (!whole && !fraction) return false;
  if (!text.empty() && (text.front() == 'e' || text.front() == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
    if (!take_digits(text)) return false;
  }
  return text.empty();
}

// The same number in JSON's grammar, so that what we write can be read.
std::string to_json_real(std::string_view text) {
  const std::string sign = text.front() == '-' ? "-" : "";
  if (text.front() == '-' || text.front() == '+') text.remove_prefix(1);
  const auto whole = std::min(text.find_first_of(".eE"), text.size());
  const auto first = text.substr(0, whole).find_first_not_of('0');
  std::string out = first == std::string_view::npos
                        ? sign + '0'
                        : sign + std::string(text.substr(first, whole - first));
  text.remove_prefix(whole);
  const bool bare_point = text == "." || text.substr(0, 2) == ".e" || text.substr(0, 2) == ".E";
  if (bare_point) text.remove_prefix(1);
  out += text;
  // Nothing times a power is nothing, however large: readers refuse the power alone.
  const auto power = std::min(out.find_first_of("eE"), out.size());
  const bool nothing = out.substr(0, power).find_first_of("123456789") == std::string::npos;
  if (!nothing) return out;
  out.resize(power);
  return out == "-0" ? "0" : out;  // what would be written is read as an integer, which has no sign
}

}  // namespace

bool is_special_real(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return text == ".inf" || text == ".Inf" || text == ".INF" || text == ".nan" || text == ".NaN" ||
         text == ".NAN";
}

Value resolve_plain(std::string_view text) {
  Value value;
  value.scalar = text;
  if (holds(kNull, text)) {
    value.type = Value::Type::null;
    value.scalar.clear();
  } else if (holds(kTrue, text) || holds(kFalse, text)) {
    value.type = Value::Type::boolean;
    value.scalar = holds(kTrue, text) ? "true" : "false";
  } else if (auto integer = read_integer(text); !integer.empty()) {
    value.type = Value::Type::integer;
    value.scalar = std::move(integer);
  } else if (is_real(text)) {
    value.type = Value::Type::real;
    value.scalar = to_json_real(text);
  } else if (is_special_real(text)) {
    value.type = Value::Type::real;
  } else {
    value.type = Value::Type::text;
  }
  return value;
}

bool reads_as_text(std::string_view text) {
  if (resolve_plain(text).type != Value::Type::text) return false;
  if (text.find_first_of("\n\t\r") != std::string_view::npos) return false;
  if (text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`=<";
  if (kIndicators.find(text.front()) != std::string_view::npos) {
    const bool dash_word = text.size() > 1 && (text.front() == '-' || text.front() == '?' ||
                                               text.front() == ':' || text.front() == '<' ||
                                               text.front() == '=') &&
                           text[1] != ' ' && text != "<<" && text.substr(0, 3) != "---";
    if (!dash_word) return false;
  }
  if (text.substr(0, 3) == "...") return false;
  // Times and dates are text here, but readers of YAML 1.1 may see something else in them.
  if (text.front() >= '0' && text.front() <= '9') return false;
  return text.find(": ") == std::string_view::npos && text.find(" #") == std::string_view::npos;
}

}  // namespace moored::codec
