// What must hold of a file's bytes before any parser sees them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schema/base/error.hpp"
#include "schema/codec/value.hpp"

namespace moored::codec {

// Size, encoding and control characters of a whole file.
// Errors: SizeLimit, EncodingNotUTF8, ControlCharacter, each with line and column.
std::optional<Error> check_text(std::string_view text, const std::string& file,
                                std::size_t limit_bytes);
// True when the text is well-formed UTF-8, which has no halves of surrogate pairs.
bool is_utf8(std::string_view text);
// An invalid-code error with reason and place.
Error text_error(std::string_view reason, std::string message, const std::string& file, Mark mark,
                 std::string field = {});
// "a.b" or "a[\"b.c\"]": appends a key to a field path.
std::string path_with_key(const std::string& path, std::string_view key);
std::string path_with_index(const std::string& path, std::size_t index);

}  // namespace moored::codec
