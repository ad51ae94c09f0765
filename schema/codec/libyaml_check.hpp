// The second opinion: libyaml reads the same bytes and must accept them too.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schema/base/error.hpp"

namespace moored::codec {

// Reads one document. Its marks decide where a syntax error is; line_offset is added to them.
// Errors: SyntaxError, NestingLimit.
std::optional<Error> check_with_libyaml(std::string_view text, const std::string& file,
                                        int line_offset, std::size_t depth_limit);

}  // namespace moored::codec
