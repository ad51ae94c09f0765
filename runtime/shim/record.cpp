#include "runtime/shim/record.hpp"

#include <charconv>

namespace moored::shim {
namespace {

// Only what would break the line or the quotes is escaped.
void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_field(std::string& out, const Record::Field& field) {
  if (const auto* text = std::get_if<std::string>(&field)) {
    append_quoted(out, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&field)) {
    out += std::to_string(*number);
  } else if (const auto* flag = std::get_if<bool>(&field)) {
    out += *flag ? "true" : "false";
  } else if (const auto* list = std::get_if<std::vector<std::string>>(&field)) {
    out += '[';
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out += ',';
      append_quoted(out, (*list)[i]);
    }
    out += ']';
  }
}

// Reads the flat subset of JSON. Every failing step leaves ok_ false; nothing throws.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool ok() const { return ok_; }
  std::size_t at() const { return at_; }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t'))
      ++at_;
  }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }
  // Takes the character if it comes next.
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void need(char c) {
    if (!take(c)) ok_ = false;
  }

  std::string text() {
    std::string out;
    need('"');
    while (ok_ && at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) ok_ = false;
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
    if (at_ < text_.size() && text_[at_] == '"') {
      ++at_;
    } else {
      ok_ = false;  // and stays inside the text: whoever called reads on
    }
    return out;
  }

  Record::Field field() {
    skip_space();
    const char first = at_ < text_.size() ? text_[at_] : '\0';
    if (first == '"') return text();
    if (first == '[') return list();
    if (first == 't' || first == 'f') return flag(first == 't');
    return number();
  }

 private:
  void escape(std::string& out) {
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return;
      case 'n':
        out += '\n';
        return;
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'u':
        break;
      default:
        ok_ = false;
        return;
    }
    unsigned code = 0;
    const auto digits = text_.substr(at_, 4);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    // Only bytes are ever written this way; texts of our peer need no other code points.
    if (digits.size() != 4 || read.ptr != digits.data() + 4 || code > 0x7f) ok_ = false;
    at_ += digits.size();
    out += static_cast<char>(code & 0x7fU);
  }

  std::vector<std::string> list() {
    std::vector<std::string> out;
    need('[');
    if (take(']')) return out;
    do {
      skip_space();
      out.push_back(text());
    } while (ok_ && take(','));
    need(']');
    return out;
  }

  bool flag(bool value) {
    const std::string_view word = value ? "true" : "false";
    if (text_.substr(at_, word.size()) == word) {
      at_ += word.size();
    } else {
      ok_ = false;
    }
    return value;
  }

  std::int64_t number() {
    std::int64_t value = 0;
    const auto* begin = text_.data() + at_;
    const auto read = std::from_chars(begin, text_.data() + text_.size(), value);
    if (read.ec != std::errc()) ok_ = false;
    at_ += static_cast<std::size_t>(read.ptr - begin);
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

// Twice the same name is refused: two readers might take different ones.
Result<Record> Record::parse(std::string_view text) {
  Record record;
  Reader reader(text);
  reader.need('{');
  if (!reader.take('}')) {
    do {
      reader.skip_space();
      std::string name = reader.text();
      reader.need(':');
      auto value = reader.field();
      if (reader.ok() && record.find(name) != nullptr) {
        return fail(Code::corrupt, "record: the name " + name + " comes twice");
      }
      record.fields_.emplace_back(std::move(name), std::move(value));
    } while (reader.ok() && reader.take(','));
    reader.need('}');
  }
  if (!reader.ok() || !reader.at_end()) {
    return fail(Code::corrupt, "record: no flat object at byte " + std::to_string(reader.at()));
  }
  return record;
}

std::string Record::text() const {
  std::string out = "{";
  for (const auto& field : fields_) {
    if (out.size() > 1) out += ',';
    append_quoted(out, field.first);
    out += ':';
    append_field(out, field.second);
  }
  return out + "}";
}

const Record::Field* Record::find(std::string_view name) const {
  for (const auto& field : fields_) {
    if (field.first == name) return &field.second;
  }
  return nullptr;
}

// Replacing moves the field to the end; nobody depends on the place.
Record& Record::put(std::string_view name, Field value, bool empty) {
  for (auto it = fields_.begin(); it != fields_.end(); ++it) {
    if (it->first == name) {
      fields_.erase(it);
      break;
    }
  }
  if (!empty) fields_.emplace_back(std::string(name), std::move(value));
  return *this;
}

Record& Record::set(std::string_view name, std::string value) {
  const bool empty = value.empty();
  return put(name, Field(std::move(value)), empty);
}

Record& Record::set(std::string_view name, std::int64_t value) {
  return put(name, Field(value), value == 0);
}

Record& Record::set(std::string_view name, bool value) {
  return put(name, Field(value), !value);
}

Record& Record::set(std::string_view name, std::vector<std::string> value) {
  const bool empty = value.empty();
  return put(name, Field(std::move(value)), empty);
}

const std::string& Record::text_of(std::string_view name) const {
  static const std::string kNone;
  const auto* field = find(name);
  const auto* text = field == nullptr ? nullptr : std::get_if<std::string>(field);
  return text == nullptr ? kNone : *text;
}

std::int64_t Record::number_of(std::string_view name) const {
  const auto* field = find(name);
  const auto* number = field == nullptr ? nullptr : std::get_if<std::int64_t>(field);
  return number == nullptr ? 0 : *number;
}

bool Record::flag_of(std::string_view name) const {
  const auto* field = find(name);
  const auto* flag = field == nullptr ? nullptr : std::get_if<bool>(field);
  return flag != nullptr && *flag;
}

const std::vector<std::string>& Record::list_of(std::string_view name) const {
  static const std::vector<std::string> kNone;
  const auto* field = find(name);
  const auto* list = field == nullptr ? nullptr : std::get_if<std::vector<std::string>>(field);
  return list == nullptr ? kNone : *list;
}

Result<std::vector<Record>> parse_lines(std::string_view text) {
  std::vector<Record> records;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty()) continue;
    MOORED_TRY(auto record, Record::parse(line));
    records.push_back(std::move(record));
  }
  return records;
}

std::string join_lines(const std::vector<Record>& records) {
  std::string out;
  for (const auto& record : records)
    out += record.text() + '\n';
  return out;
}

}  // namespace moored::shim
