#include "net/api/json_text.hpp"

#include <array>

namespace moored::net::api {
namespace {

// The length of the UTF-8 sequence at the front of text, or 0 when there is none.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) length = 2;
  if (lead >= 0xE0 && lead <= 0xEF) length = 3;
  if (lead >= 0xF0 && lead <= 0xF4) length = 4;
  if (lead == 0xE0) low = 0xA0;   // shorter forms exist
  if (lead == 0xED) high = 0x9F;  // surrogates
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < low || byte > high) return 0;
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

// Short forms for the three that are common in messages, \u00xx for the rest.
void append_control(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  out += "\\u00";
  out.push_back(kHex[static_cast<unsigned char>(c) >> 4U]);
  out.push_back(kHex[static_cast<unsigned char>(c) & 15U]);
}

// True when a member stands before this place in the object.
bool needs_comma(const std::string& out) {
  return !out.empty() && out.back() != '{' && out.back() != ',' && out.back() != '[';
}

}  // namespace

void append_text(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const char c = text.front();
    // Bytes taken off: one, unless a whole sequence is valid.
    std::size_t taken = 1;
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      append_control(out, c);
    } else if (static_cast<unsigned char>(c) < 0x80) {
      out.push_back(c);
    } else if (const auto length = sequence_length(text); length > 0) {
      out.append(text.substr(0, length));
      taken = length;
    } else {
      // U+FFFD for each byte that is no UTF-8: the reply stays valid JSON whatever was
      // stored.
      out += "\xEF\xBF\xBD";
    }
    text.remove_prefix(taken);
  }
  out.push_back('"');
}

void append_name(std::string& out, std::string_view name) {
  if (needs_comma(out)) out.push_back(',');
  append_text(out, name);
  out.push_back(':');
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  append_name(out, name);
  append_text(out, text);
}

std::string quoted(std::string_view text) {
  std::string out;
  append_text(out, text);
  return out;
}

}  // namespace moored::net::api
