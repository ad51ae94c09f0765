// One flat JSON object: the words between daemon and shim, and the lines of their files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::shim {

// Names with a text, a whole number, a truth value or a list of texts; nothing nests. Order is
// kept. Texts are bytes: what is not ASCII control passes unchanged, valid UTF-8 or not.
class Record {
 public:
  using Field = std::variant<std::string, std::int64_t, bool, std::vector<std::string>>;

  // Reads exactly one object. Unknown names are kept, so that a newer peer can be understood.
  // Errors: corrupt (with the byte offset).
  static Result<Record> parse(std::string_view text);
  // One line without its end.
  std::string text() const;

  // Setters replace. The empty text, 0, false and the empty list are left out of the line.
  Record& set(std::string_view name, std::string value);
  Record& set(std::string_view name, const char* value) { return set(name, std::string(value)); }
  Record& set(std::string_view name, std::int64_t value);
  Record& set(std::string_view name, int value) {
    return set(name, static_cast<std::int64_t>(value));
  }
  Record& set(std::string_view name, bool value);
  Record& set(std::string_view name, std::vector<std::string> value);

  // What is absent, or of another type, reads as empty, 0 or false.
  const std::string& text_of(std::string_view name) const;
  std::int64_t number_of(std::string_view name) const;
  bool flag_of(std::string_view name) const;
  const std::vector<std::string>& list_of(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }

 private:
  const Field* find(std::string_view name) const;
  Record& put(std::string_view name, Field value, bool empty);

  std::vector<std::pair<std::string, Field>> fields_;
};

// Records one below the other, as files hold them.
Result<std::vector<Record>> parse_lines(std::string_view text);
std::string join_lines(const std::vector<Record>& records);

}  // namespace moored::shim
