// yaml-cpp by events: its marks count from 0, its documents are handed over one by one.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "schema/codec/libyaml_check.hpp"
#include "schema/codec/scalar.hpp"
#include "schema/codec/text.hpp"
#include "schema/codec/text_check.hpp"
#include "schema/codec/tree_builder.hpp"

namespace moored {
namespace {

// yaml-cpp 0.7 gives the escapes \N and \_ as the bare bytes 85 and a0. All else is UTF-8, as the
// whole text was looked at before.
std::string mend_escapes(std::string_view text) {
  std::string mended;
  int following = 0;  // bytes of the character that was begun
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (following == 0 && (byte == 0x85 || byte == 0xa0)) mended += '\xc2';
    if (following > 0) {
      --following;
    } else {
      following = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : 0;
    }
    mended += c;
  }
  return mended;
}

using codec::TreeBuilder;

// A piece of the stream that holds one document.
struct Segment {
  std::string_view text;
  int line_offset = 0;
};

// Passes events on to the builder, with our own marks and typed scalars.
class EventReader final : public YAML::EventHandler {
 public:
  EventReader(TreeBuilder& builder, int line_offset)
      : builder_(builder), line_offset_(line_offset) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Value value;
    value.mark = to_mark(mark);
    builder_.scalar(std::move(value), "", anchor, true);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    builder_.alias(to_mark(mark), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& given) override {
    if (!accept_tag(tag, mark)) return;
    const bool whole = codec::is_utf8(given);
    const std::string mended = whole ? std::string() : mend_escapes(given);
    const std::string& text = whole ? given : mended;
    const bool plain = tag != "!";
    Value value = plain ? codec::resolve_plain(text) : Value::of_text(text);
    value.mark = to_mark(mark);
    builder_.scalar(std::move(value), text, anchor, plain);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    accept_tag(tag, mark);
    builder_.start_list(to_mark(mark), anchor);
  }
  void OnSequenceEnd() override { builder_.end_list(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    accept_tag(tag, mark);
    builder_.start_map(to_mark(mark), anchor);
  }
  void OnMapEnd() override { builder_.end_map(); }

 private:
  Mark to_mark(const YAML::Mark& mark) const {
    return {mark.line + 1 + line_offset_, mark.column + 1};
  }

  // "?" is a plain node, "!" a quoted one; anything else was written by hand.
  bool accept_tag(const std::string& tag, const YAML::Mark& mark) {
    if (tag.empty() || tag == "?" || tag == "!") return true;
    builder_.refuse("SyntaxError", "tags are not allowed", to_mark(mark), "remove the tag " + tag);
    return false;
  }

  TreeBuilder& builder_;
  int line_offset_;
};

bool is_marker(std::string_view line, std::string_view marker) {
  if (line.substr(0, marker.size()) != marker) return false;
  return line.size() == marker.size() || line[marker.size()] == ' ' ||
         line[marker.size()] == '\t' || line[marker.size()] == '\r';
}

bool is_blank_or_comment(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r");
  return first == std::string_view::npos || line[first] == '#';
}

// Splits at document lines ourselves: a marker at column 1 ends a document even inside a block.
std::vector<Segment> split_documents(std::string_view text) {
  std::vector<Segment> segments;
  std::size_t start = 0;
  int start_line = 0;
  bool holds_content = false;
  int line_number = 0;
  const auto cut = [&](std::size_t end, int next_line) {
    if (holds_content) segments.push_back({text.substr(start, end - start), start_line});
    start = end;
    start_line = next_line;
    holds_content = false;
  };
  bool directives = false;
  for (std::size_t at = 0; at < text.size(); ++line_number) {
    const auto newline = text.find('\n', at);
    const auto next = newline == std::string_view::npos ? text.size() : newline + 1;
    const auto line = text.substr(at, (newline == std::string_view::npos ? next : newline) - at);
    if (is_marker(line, "---")) {
      if (!directives) cut(at, line_number);
      directives = false;
      holds_content = holds_content || !is_blank_or_comment(line.substr(3));
    } else if (is_marker(line, "...")) {
      cut(at, line_number);
      start = next;
      start_line = line_number + 1;
    } else if (!line.empty() && line.front() == '%' && !holds_content) {
      directives = true;
    } else if (!is_blank_or_comment(line)) {
      holds_content = true;
    }
    at = next;
  }
  cut(text.size(), line_number);
  return segments;
}

Error parse_error(const YAML::ParserException& thrown, const std::string& file, int line_offset) {
  const Mark mark = thrown.mark.is_null()
                        ? Mark{}
                        : Mark{thrown.mark.line + 1 + line_offset, thrown.mark.column + 1};
  return codec::text_error("SyntaxError", thrown.msg, file, mark);
}

// Reads one document; the segment must hold exactly one.
Result<std::optional<Value>> read_segment(const Segment& segment, const std::string& file,
                                          const TextLimits& limits) {
  if (auto error = codec::check_with_libyaml(segment.text, file, segment.line_offset,
                                             limits.depth)) {
    return Unexpected(std::move(*error));
  }
  TreeBuilder builder(file, limits);
  try {
    std::istringstream stream{std::string(segment.text)};
    YAML::Parser parser(stream);
    EventReader reader(builder, segment.line_offset);
    const bool found = parser.HandleNextDocument(reader);
    if (builder.error()) return Unexpected(*builder.error());
    // The library makes further documents out of some malformed ones: refuse instead of guessing.
    EventReader rest(builder, segment.line_offset);
    if (found && parser.HandleNextDocument(rest)) {
      return Unexpected(codec::text_error("SyntaxError", "the document ends before its text does",
                                          file, {segment.line_offset + 1, 1}));
    }
  } catch (const YAML::ParserException& thrown) {
    return Unexpected(parse_error(thrown, file, segment.line_offset));
  }
  return builder.take_root();
}

}  // namespace

std::vector<Value> read_yaml(std::string_view text, const std::string& file,
                             Diagnostics& diagnostics, const TextLimits& limits) {
  std::vector<Value> documents;
  if (auto error = codec::check_text(text, file, limits.file_bytes)) {
    diagnostics.add_error(std::move(*error));
    return documents;
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    text.remove_prefix(kByteOrderMark.size());
  }
  for (const auto& segment : split_documents(text)) {
    auto document = read_segment(segment, file, limits);
    if (!document) {
      diagnostics.add_error(std::move(document).error());
    } else if (*document && (*document)->type != Value::Type::null) {
      documents.push_back(std::move(**document));
    }
  }
  return documents;
}

}  // namespace moored
