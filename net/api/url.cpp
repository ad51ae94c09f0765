#include "net/api/url.hpp"

#include <charconv>

#include "net/api/http.hpp"

namespace moored::net::api {
namespace {

// -1 for anything else.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Letters of names, versions and groups. A colon appears in names of roles.
bool is_segment_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == ':' || c == '~';
}

// Dots alone would climb in a file system; here they are names that nothing can have.
bool is_segment(std::string_view text) {
  if (text.empty() || text == "." || text == "..") return false;
  for (const char c : text) {
    if (!is_segment_char(c)) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string> decode_percent(std::string_view text, bool plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    // A NUL would end the text early for whatever reads it as a C string.
    if (c == '\0') return std::nullopt;
    out.push_back(c);
  }
  return out;
}

// Cut at the slashes first and decoded then: an escaped slash is no separator, and no
// segment.
Result<Path> parse_path(std::string_view path) {
  if (path.empty() || path.front() != '/') return fail(Code::invalid, "the path must start with /");
  Path result;
  path.remove_prefix(1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto segment = decode_percent(path.substr(0, slash), false);
    if (!segment || !is_segment(*segment)) {
      return fail(Code::invalid, "the path is not in its canonical form");
    }
    result.segments.push_back(*segment);
    if (slash == std::string_view::npos) return result;
    path.remove_prefix(slash + 1);
    result.trailing_slash = path.empty();
  }
  return result;
}

Result<Query> Query::parse(std::string_view query) {
  Query result;
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    const auto name = decode_percent(pair.substr(0, equals), true);
    const auto value = decode_percent(
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!name || !value) return fail(Code::invalid, "the query holds an escape that is not one");
    result.parameters_.emplace_back(*name, *value);
  }
  return result;
}

// The first one wins when a parameter is repeated.
const std::string* Query::find(std::string_view name) const {
  for (const auto& [key, value] : parameters_) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string Query::get(std::string_view name) const {
  const auto* value = find(name);
  return value != nullptr ? *value : std::string{};
}

// A name alone ("?watch") and any other word count as true, as in Kubernetes.
bool Query::truth(std::string_view name) const {
  const auto* value = find(name);
  return value != nullptr && *value != "0" && !same_name(*value, "false");
}

Result<std::optional<std::int64_t>> Query::integer(std::string_view name,
                                                   std::int64_t minimum) const {
  const auto* value = find(name);
  if (value == nullptr || value->empty()) return std::optional<std::int64_t>{};
  const auto number = parse_integer(*value);
  if (!number || *number < minimum) {
    return fail(Code::invalid, "parameter " + std::string(name) +
                                   " must be a whole number of at least " +
                                   std::to_string(minimum));
  }
  return number;
}

// All of the text: from_chars alone would take "12abc" for 12.
std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  return number;
}

}  // namespace moored::net::api
