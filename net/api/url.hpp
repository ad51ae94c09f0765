// The request target, read once: one canonical path and the query parameters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::net::api {

// A path as decoded segments. Routes and messages see the same text.
struct Path {
  std::vector<std::string> segments;
  bool trailing_slash = false;
};

// Reads a path. Errors: invalid (empty or dot segments, a foreign character, a bad escape, an
// encoded slash): there is only one way to write a path.
Result<Path> parse_path(std::string_view path);

// Undoes percent-encoding; with plus set, '+' means a space. Nothing: a bad escape or a NUL.
std::optional<std::string> decode_percent(std::string_view text, bool plus);

// The parameters of a query in the order sent. Where a name is repeated, the first counts.
class Query {
 public:
  // Errors: invalid (a bad escape).
  static Result<Query> parse(std::string_view query);

  // The value, or nullptr when the parameter is absent.
  const std::string* find(std::string_view name) const;
  // The value, or empty.
  std::string get(std::string_view name) const;
  // Absent, "0" and "false" in any case are false; everything else is true.
  bool truth(std::string_view name) const;
  // A decimal number of at least minimum; absent or empty: nothing. Errors: invalid.
  Result<std::optional<std::int64_t>> integer(std::string_view name, std::int64_t minimum) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

// Reads decimal digits with an optional minus sign, the whole text. Nothing: not such a number.
std::optional<std::int64_t> parse_integer(std::string_view text);

}  // namespace moored::net::api
