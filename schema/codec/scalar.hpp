// How a plain YAML scalar reads, as Kubernetes reads YAML 1.1.
#pragma once

#include <string_view>

#include "schema/codec/value.hpp"

namespace moored::codec {

// Gives a plain (unquoted, untagged) scalar its type; integers come out in decimal.
// .inf and .nan come out as text of type real and are refused by whoever needs a number.
Value resolve_plain(std::string_view text);
// True when a text written without quotes would read back as this very text.
bool reads_as_text(std::string_view text);

}  // namespace moored::codec
