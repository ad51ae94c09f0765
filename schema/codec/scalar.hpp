// How a plain YAML scalar reads, as Kubernetes reads YAML 1.1.
#pragma once

#include <string_view>

#include "schema/codec/value.hpp"

namespace moored::codec {

// Gives a plain (unquoted, untagged) scalar its type; numbers come out as JSON writes them, but for
// .inf and .nan, which JSON has not: whoever needs a number refuses them.
Value resolve_plain(std::string_view text);
// True for .inf and .nan in all their spellings.
bool is_special_real(std::string_view text);
// True when a text written without quotes would read back as this very text.
bool reads_as_text(std::string_view text);

}  // namespace moored::codec
