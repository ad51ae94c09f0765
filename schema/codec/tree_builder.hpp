// Builds a value tree from parser events and holds the rules of plain data.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/codec/text.hpp"
#include "schema/codec/value.hpp"

namespace moored::codec {

// Takes the events of one document in order. After the first error the rest is ignored.
class TreeBuilder {
 public:
  TreeBuilder(std::string file, const TextLimits& limits);

  // anchor 0: none. Scalars arrive typed; plain tells that no quotes were written.
  void scalar(Value value, std::string_view written, std::size_t anchor, bool plain);
  void start_list(Mark mark, std::size_t anchor);
  void start_map(Mark mark, std::size_t anchor);
  void end_list() { close(); }
  void end_map();
  void alias(Mark mark, std::size_t anchor);
  void refuse(std::string_view reason, std::string message, Mark mark, std::string_view fix = {});

  const std::optional<Error>& error() const { return error_; }
  // The finished root, or nothing for an empty document.
  std::optional<Value> take_root() { return std::move(root_); }
  // The path of the value that is read next.
  std::string path() const;

 private:
  struct Frame {
    Value value;
    std::size_t anchor = 0;
    std::unordered_map<std::string, int> lines;  // of a map: where each key was written
    std::optional<Value> key;          // a map's key that waits for its value
    bool merging = false;              // that key is a plain <<
    std::vector<std::pair<Value, Mark>> merges;  // values of <<, applied at the end
  };

  bool open(Value::Type type, Mark mark, std::size_t anchor);
  void close();
  void place(Value value, std::size_t anchor);
  void take_key(const Value& value, std::string_view written, bool plain);
  void apply_merges(Frame& frame);
  bool count(std::size_t nodes, Mark mark, bool written);
  bool check_scalar(const Value& value, bool is_key);

  std::string file_;
  TextLimits limits_;
  std::vector<Frame> stack_;
  std::map<std::size_t, Value> anchors_;
  std::optional<Value> root_;
  std::optional<Error> error_;
  std::size_t written_nodes_ = 0;
  std::size_t total_nodes_ = 0;
};

}  // namespace moored::codec
