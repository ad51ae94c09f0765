// Between text and value trees: strict YAML and JSON, within limits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"

namespace moored {

// Limits of one file; exceeding one is an error that names the limit, the value and the place.
struct TextLimits {
  std::size_t file_bytes = 3U << 20U;
  std::size_t depth = 100;
  std::size_t nodes = 200'000;      // after alias expansion, each document
  std::size_t expansion = 10;       // times the written nodes
  std::size_t key_bytes = 1024;
};

// Reads every document of a YAML stream; empty documents are left out.
// Errors go to diagnostics with file, line and column; documents before them are still returned.
std::vector<Value> read_yaml(std::string_view text, const std::string& file,
                             Diagnostics& diagnostics, const TextLimits& limits = {});
// Reads one JSON text under the same rules (UTF-8, no duplicate keys, depth).
Result<Value> read_json(std::string_view text, const std::string& file = {},
                        const TextLimits& limits = {});
// Compact JSON in document order.
std::string write_json(const Value& value);
// Indented JSON for people (two spaces).
std::string write_json_pretty(const Value& value);
// Block-style YAML for people; strings that would read as something else are quoted.
std::string write_yaml(const Value& value);

}  // namespace moored
