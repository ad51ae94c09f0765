// RapidJSON's event reader and writer around the value tree.
#include <rapidjson/error/en.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cmath>
#include <cstdlib>

#include "schema/codec/scalar.hpp"
#include "schema/codec/text.hpp"
#include "schema/codec/text_check.hpp"
#include "schema/codec/tree_builder.hpp"

namespace moored {
namespace {

using codec::TreeBuilder;

// Counts lines while the reader goes forward, so that every event has a position.
class MarkedStream {
 public:
  using Ch = char;
  explicit MarkedStream(std::string_view text) : text_(text) {}

  Ch Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  Ch Take() {
    if (at_ >= text_.size()) return '\0';
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      line_start_ = at_;
    }
    return c;
  }
  std::size_t Tell() const { return at_; }
  // Only the in-situ reader writes; these exist because the reader's template names them.
  Ch* PutBegin() { return nullptr; }
  void Put(Ch) {}
  void Flush() {}
  std::size_t PutEnd(Ch*) { return 0; }

  // The position of the byte that is read next, columns in bytes.
  Mark mark() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }
  // Where the token ends that started at an offset before the current one on this line.
  Mark mark_before(std::size_t length) const {
    const auto column = static_cast<int>(at_ - line_start_) + 1 - static_cast<int>(length);
    return {line_, column < 1 ? 1 : column};
  }
  std::string_view written(std::size_t length) const { return text_.substr(at_ - length, length); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  int line_ = 1;
};

// Passes the reader's events to the builder. Numbers arrive as text and keep it.
class EventReader {
 public:
  EventReader(TreeBuilder& builder, const MarkedStream& stream)
      : builder_(builder), stream_(stream) {}

  bool Null() { return scalar(Value{}, "null", 4); }
  bool Bool(bool truth) { return scalar(Value::of_boolean(truth), "", truth ? 4 : 5); }
  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    Value value = Value::of_text(std::string(text, length));
    const bool real = value.scalar.find_first_of(".eE") != std::string::npos;
    value.type = real ? Value::Type::real : Value::Type::integer;
    return scalar(std::move(value), "", length);
  }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    return scalar(Value::of_text(std::string(text, length)), "", string_width());
  }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    return scalar(Value::of_text(std::string(text, length)), std::string_view(text, length),
                  string_width());
  }
  bool StartObject() {
    builder_.start_map(stream_.mark_before(1), 0);
    return !builder_.error();
  }
  bool EndObject(rapidjson::SizeType) {
    builder_.end_map();
    return !builder_.error();
  }
  bool StartArray() {
    builder_.start_list(stream_.mark_before(1), 0);
    return !builder_.error();
  }
  bool EndArray(rapidjson::SizeType) {
    builder_.end_list();
    return !builder_.error();
  }
  // Never called: numbers are taken as text.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

 private:
  bool scalar(Value value, std::string_view written, std::size_t width) {
    value.mark = stream_.mark_before(width);
    const std::string text(written.empty() ? std::string_view(value.scalar) : written);
    builder_.scalar(std::move(value), text, 0, false);
    return !builder_.error();
  }
  // Bytes from the opening to the closing quote of the string just read.
  std::size_t string_width() const {
    std::size_t width = 2;
    const auto quote_at = [&](std::size_t back) { return stream_.written(back).front(); };
    while (width < stream_.Tell()) {
      if (quote_at(width) == '"') {
        std::size_t slashes = 0;
        while (width + slashes < stream_.Tell() && quote_at(width + slashes + 1) == '\\') ++slashes;
        if (slashes % 2 == 0) return width;
      }
      ++width;
    }
    return width;
  }

  TreeBuilder& builder_;
  const MarkedStream& stream_;
};

// Not .inf and .nan, and not what no double holds: a reader of JSON may refuse it, as ours does.
bool is_json_number(const std::string& text) {
  return !codec::is_special_real(text) && std::isfinite(std::strtod(text.c_str(), nullptr));
}

template <class Writer>
void write(Writer& writer, const Value& value) {
  switch (value.type) {
    case Value::Type::null: writer.Null(); return;
    case Value::Type::boolean: writer.Bool(value.scalar == "true"); return;
    case Value::Type::integer:
    case Value::Type::real:
      if (!is_json_number(value.scalar)) {
        writer.String(value.scalar.data(), static_cast<rapidjson::SizeType>(value.scalar.size()));
        return;
      }
      writer.RawValue(value.scalar.data(), value.scalar.size(), rapidjson::kNumberType);
      return;
    case Value::Type::text:
      writer.String(value.scalar.data(), static_cast<rapidjson::SizeType>(value.scalar.size()));
      return;
    case Value::Type::list:
      writer.StartArray();
      for (const auto& item : value.items) write(writer, item);
      writer.EndArray();
      return;
    case Value::Type::map:
      writer.StartObject();
      for (const auto& [key, member] : value.members) {
        writer.Key(key.scalar.data(), static_cast<rapidjson::SizeType>(key.scalar.size()));
        write(writer, member);
      }
      writer.EndObject();
      return;
  }
}

}  // namespace

Result<Value> read_json(std::string_view text, const std::string& file,
                        const TextLimits& limits) {
  if (auto error = codec::check_text(text, file, limits.file_bytes)) {
    return Unexpected(std::move(*error));
  }
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  TreeBuilder builder(file, limits);
  MarkedStream stream(text);
  EventReader events(builder, stream);
  rapidjson::Reader reader;
  const auto result = reader.Parse<kFlags>(stream, events);
  if (builder.error()) return Unexpected(*builder.error());
  if (result.IsError()) {
    return Unexpected(codec::text_error("SyntaxError", rapidjson::GetParseError_En(result.Code()),
                                        file, stream.mark()));
  }
  auto root = builder.take_root();
  if (!root) return Unexpected(codec::text_error("SyntaxError", "the text is empty", file, {1, 1}));
  return std::move(*root);
}

std::string write_json(const Value& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  write(writer, value);
  return {buffer.GetString(), buffer.GetSize()};
}

std::string write_json_pretty(const Value& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> writer(buffer);
  writer.SetIndent(' ', 2);
  write(writer, value);
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace moored
