#include "schema/codec/text_check.hpp"

#include <algorithm>

#include "schema/base/log.hpp"

namespace moored::codec {
namespace {

// Length in bytes of the UTF-8 sequence at the front; 0: not well formed.
// Source: table 3-7 of the Unicode standard (no overlong forms, no surrogates).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

bool is_control(unsigned char c) {
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
}

}  // namespace

Error text_error(std::string_view reason, std::string message, const std::string& file, Mark mark,
                 std::string field) {
  Error error{Code::invalid, std::move(message), std::string(reason), {}, {}};
  error.place = {file, mark.line, mark.column, std::move(field)};
  return error;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<Error> check_text(std::string_view text, const std::string& file,
                                std::size_t limit_bytes) {
  if (text.size() > limit_bytes) {
    return text_error("SizeLimit",
                      "the file has " + std::to_string(text.size()) + " bytes, the limit is " +
                          std::to_string(limit_bytes),
                      file, {});
  }
  const bool wide = text.size() >= 2 && ((text[0] == '\xff' && text[1] == '\xfe') ||
                                         (text[0] == '\xfe' && text[1] == '\xff'));
  if (wide) {
    return text_error("EncodingNotUTF8", "the file is UTF-16", file, {1, 1})
        .mend("save it as UTF-8");
  }
  Mark mark{1, 1};
  while (!text.empty()) {
    const auto length = sequence_length(text);
    if (length == 0) {
      return text_error("EncodingNotUTF8", "the text is not UTF-8", file, mark)
          .mend("save the file as UTF-8");
    }
    const auto c = static_cast<unsigned char>(text.front());
    if (length == 1 && is_control(c)) {
      return text_error("ControlCharacter",
                        "the text holds the control character " +
                            escape_text(text.substr(0, 1)),
                        file, mark)
          .mend("remove it, or write it as an escape in a quoted string");
    }
    if (c == '\n') {
      ++mark.line;
      mark.column = 1;
    } else {
      ++mark.column;
    }
    text.remove_prefix(length);
  }
  return std::nullopt;
}

std::string path_with_key(const std::string& path, std::string_view key) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
  });
  if (!plain) return path + "[\"" + escape_text(key, 256) + "\"]";
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

std::string path_with_index(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

}  // namespace moored::codec
