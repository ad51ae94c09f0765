#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "schema/codec/scalar.hpp"
#include "schema/codec/text.hpp"

namespace moored {
namespace {

// Characters that JSON has as they are and YAML must not: DEL and what follows it, the line ends of
// Unicode, the byte order mark and what is no character. Each with its escape.
std::string escape_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t n) {
    return at + n < text.size() ? static_cast<unsigned char>(text[at + n]) : 0U;
  };
  if (byte(0) == 0x7f) return "\\x7f";
  unsigned code = 0;
  if (byte(0) == 0xc2 && byte(1) < 0xa0) code = byte(1);
  const bool line_end = byte(0) == 0xe2 && byte(1) == 0x80 && (byte(2) | 1U) == 0xa9;
  if (line_end) code = 0x2000U + byte(2) - 0x80U;
  if (byte(0) == 0xef && byte(1) == 0xbb && byte(2) == 0xbf) code = 0xfeff;
  if (byte(0) == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe) code = 0xff80U + byte(2) - 0x40U;
  if (code == 0) return {};
  std::array<char, 8> out{};
  std::snprintf(out.data(), out.size(), "\\u%04x", code);
  return out.data();
}

// A double-quoted scalar; JSON's escapes are YAML's too.
std::string quoted(const std::string& text) {
  const std::string json = write_json(Value::of_text(text));
  std::string out;
  for (std::size_t at = 0; at < json.size();) {
    const auto escape = escape_at(json, at);
    const auto lead = static_cast<unsigned char>(json[at]);
    const std::size_t width = escape.empty() || lead < 0x80 ? 1 : lead < 0xe0 ? 2 : 3;
    out += escape.empty() ? json.substr(at, width) : escape;
    at += width;
  }
  return out;
}

std::string plain_or_quoted(const std::string& text) {
  bool plain = codec::reads_as_text(text);
  for (std::size_t at = 0; plain && at < text.size(); ++at) {
    plain = static_cast<unsigned char>(text[at]) >= 0x20 && escape_at(text, at).empty();
  }
  return plain ? text : quoted(text);
}

std::string scalar_text(const Value& value) {
  switch (value.type) {
    case Value::Type::null: return "null";
    case Value::Type::text: return plain_or_quoted(value.scalar);
    default: return value.scalar;
  }
}

std::string key_text(const std::string& key) {
  return plain_or_quoted(key);
}

// A text of several lines, each at most 1024 bytes, is written as a block.
bool wants_block(const Value& value) {
  const auto& text = value.scalar;
  if (value.type != Value::Type::text || text.find('\n') == std::string::npos) return false;
  if (text.front() == ' ' || text.front() == '\n' || text.front() == '\t') return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return false;
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!escape_at(text, at).empty()) return false;
  }
  return true;
}

void write_block(std::string& out, const std::string& text, std::size_t indent) {
  out += '|';
  const auto end = text.find_last_not_of('\n');
  const auto newlines = text.size() - (end + 1);
  if (newlines == 0) out += '-';
  if (newlines > 1) out += '+';
  out += '\n';
  std::size_t at = 0;
  while (at < text.size()) {
    auto next = text.find('\n', at);
    if (next == std::string::npos) next = text.size();
    if (next > at) out += std::string(indent, ' ') + text.substr(at, next - at);
    out += '\n';
    at = next + 1;
  }
}

void write_node(std::string& out, const Value& value, std::size_t indent);

// What follows "key:" or "-", up to and with the newline.
void write_after(std::string& out, const Value& value, std::size_t indent, bool in_list) {
  if (value.is_map() && !value.members.empty()) {
    if (in_list) {
      std::string nested;
      write_node(nested, value, indent + 2);
      out += ' ' + nested.substr(indent + 2);
      return;
    }
    out += '\n';
    write_node(out, value, indent + 2);
  } else if (value.is_list() && !value.items.empty()) {
    out += '\n';
    write_node(out, value, in_list ? indent + 2 : indent);
  } else if (wants_block(value)) {
    out += ' ';
    write_block(out, value.scalar, indent + 2);
  } else if (value.is_map()) {
    out += " {}\n";
  } else if (value.is_list()) {
    out += " []\n";
  } else {
    out += ' ' + scalar_text(value) + '\n';
  }
}

void write_node(std::string& out, const Value& value, std::size_t indent) {
  const std::string margin(indent, ' ');
  for (const auto& item : value.items) {
    out += margin + '-';
    write_after(out, item, indent, true);
  }
  for (const auto& [key, member] : value.members) {
    out += margin + key_text(key.scalar) + ':';
    write_after(out, member, indent, false);
  }
}

}  // namespace

std::string write_yaml(const Value& value) {
  std::string out;
  if (value.items.empty() && value.members.empty()) {
    if (value.is_map()) return "{}\n";
    if (value.is_list()) return "[]\n";
    return scalar_text(value) + "\n";
  }
  write_node(out, value, 0);
  return out;
}

}  // namespace moored
