#include "schema/codec/libyaml_check.hpp"

#include <yaml.h>

#include "schema/codec/text_check.hpp"

namespace moored::codec {
namespace {

// Owns a parser for one run.
class LibyamlParser {
 public:
  explicit LibyamlParser(std::string_view text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  LibyamlParser(const LibyamlParser&) = delete;
  LibyamlParser& operator=(const LibyamlParser&) = delete;
  ~LibyamlParser() { yaml_parser_delete(&parser_); }

  yaml_parser_t& get() { return parser_; }

 private:
  yaml_parser_t parser_{};
};

Mark mark_of(const yaml_mark_t& mark, int line_offset) {
  return {static_cast<int>(mark.line) + 1 + line_offset, static_cast<int>(mark.column) + 1};
}

// The parser's own words, with the tab named: the most frequent mistake made by hand.
Error syntax_error(const yaml_parser_t& parser, std::string_view text, const std::string& file,
                   int line_offset) {
  std::string message = parser.problem != nullptr ? parser.problem : "the text is not YAML";
  Mark mark = mark_of(parser.problem_mark, line_offset);
  if (parser.context != nullptr) message += std::string(" ") + parser.context;
  const bool unclosed = message.find("unexpected end of stream") != std::string::npos;
  if (unclosed && parser.context != nullptr) {
    mark = mark_of(parser.context_mark, line_offset);
    message += ": what starts here is never closed";
  }
  const auto at = parser.problem_mark.index;
  const bool tab = (at < text.size() && text[at] == '\t') ||
                   message.find("cannot start any token") != std::string::npos;
  auto error = text_error("SyntaxError", message, file, mark);
  if (tab && at < text.size() && text[at] == '\t') {
    error.message = "a tab is used for indentation";
    error.fix = "indent with spaces";
  }
  return error;
}

}  // namespace

std::optional<Error> check_with_libyaml(std::string_view text, const std::string& file,
                                        int line_offset, std::size_t depth_limit) {
  LibyamlParser parser(text);
  std::size_t depth = 0;
  for (;;) {
    yaml_event_t event;
    if (yaml_parser_parse(&parser.get(), &event) == 0) {
      return syntax_error(parser.get(), text, file, line_offset);
    }
    const auto type = event.type;
    const auto mark = mark_of(event.start_mark, line_offset);
    yaml_event_delete(&event);
    if (type == YAML_STREAM_END_EVENT) return std::nullopt;
    if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) ++depth;
    if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT) --depth;
    if (depth > depth_limit) {
      return text_error("NestingLimit",
                        "nested more than " + std::to_string(depth_limit) + " levels deep", file,
                        mark);
    }
  }
}

}  // namespace moored::codec
