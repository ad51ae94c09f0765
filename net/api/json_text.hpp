// Small pieces of JSON written straight into an answer.
#pragma once

#include <string>
#include <string_view>

namespace moored::net::api {

// Appends a JSON string literal. Bytes that are not UTF-8 become U+FFFD.
void append_text(std::string& out, std::string_view text);
// Appends "name":"text", with a comma in front when the object is not empty so far.
void append_member(std::string& out, std::string_view name, std::string_view text);
// Appends "name": and leaves the value to the caller, with a comma in front where needed.
void append_name(std::string& out, std::string_view name);
// A JSON string literal.
std::string quoted(std::string_view text);

}  // namespace moored::net::api
