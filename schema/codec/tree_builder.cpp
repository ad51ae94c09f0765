#include "schema/codec/tree_builder.hpp"

#include <algorithm>
#include <utility>

#include "schema/base/log.hpp"
#include "schema/codec/text_check.hpp"

namespace moored::codec {
namespace {

// Nodes of a tree, counted no further than the limit.
std::size_t count_nodes(const Value& value, std::size_t limit) {
  std::size_t nodes = 1;
  for (const auto& item : value.items) {
    if (nodes > limit) return nodes;
    nodes += count_nodes(item, limit - nodes);
  }
  for (const auto& member : value.members) {
    if (nodes > limit) return nodes;
    nodes += count_nodes(member.second, limit - nodes) + 1;
  }
  return nodes;
}

// Aliases of small trees are always allowed: the budget is for bombs.
constexpr std::size_t kFreeNodes = 1000;

}  // namespace

TreeBuilder::TreeBuilder(std::string file, const TextLimits& limits)
    : file_(std::move(file)), limits_(limits) {}

// Only the first error counts: after it the tree no longer mirrors the text, and every event is
// ignored until the end.
void TreeBuilder::refuse(std::string_view reason, std::string message, Mark mark,
                         std::string_view fix) {
  if (error_) return;
  error_ = text_error(reason, std::move(message), file_, mark, path());
  error_->fix = fix;
}

// Where the next value would go, made from the open frames; only errors need it.
std::string TreeBuilder::path() const {
  std::string out;
  for (const auto& frame : stack_) {
    if (frame.value.is_list()) {
      out = path_with_index(out, frame.value.items.size());
    } else if (frame.key) {
      out = path_with_key(out, frame.key->scalar);
    }
  }
  return out;
}

// Counted before a node is made, so that a bomb costs no memory. An honest document repeats a few
// anchors; the factor is far above that and far below the exponent of nested aliases.
bool TreeBuilder::count(std::size_t nodes, Mark mark, bool written) {
  total_nodes_ += nodes;
  if (written) written_nodes_ += nodes;
  if (total_nodes_ > limits_.nodes) {
    refuse(written ? "LimitExceeded" : "AliasExpansionLimit",
           "the document has more than " + std::to_string(limits_.nodes) + " nodes", mark);
  } else if (total_nodes_ > limits_.expansion * written_nodes_ + kFreeNodes) {
    refuse("AliasExpansionLimit",
           "aliases expand the document to more than " + std::to_string(limits_.expansion) +
               " times what is written",
           mark);
  }
  return !error_;
}

// What an escape can bring into a text that was clean as a file. NUL is refused because paths and
// the environment end at it; half of a surrogate pair, because it is no UTF-8 any more: RapidJSON
// lets a lone second half through, and all of them begin with this byte.
bool TreeBuilder::check_scalar(const Value& value, bool is_key) {
  const char* const what = is_key ? "the key" : "the value";
  if (value.scalar.find('\0') != std::string::npos) {
    refuse("ControlCharacter", std::string(what) + " holds a NUL byte", value.mark);
  } else if (value.scalar.find('\xed') != std::string::npos && !is_utf8(value.scalar)) {
    refuse("EncodingNotUTF8", std::string(what) + " holds half of a surrogate pair",
           value.mark, "write both halves, or the character itself");
  }
  return !error_;
}

// In a map without a pending key the scalar is that key; the events differ by their order alone.
void TreeBuilder::scalar(Value value, std::string_view written, std::size_t anchor, bool plain) {
  if (error_ || !count(1, value.mark, true)) return;
  const bool key_wanted =
      !stack_.empty() && stack_.back().value.is_map() && !stack_.back().key.has_value();
  if (!check_scalar(value, key_wanted)) return;
  if (key_wanted) {
    if (anchor != 0) anchors_[anchor] = value;
    return take_key(value, written, plain);
  }
  place(std::move(value), anchor);
}

// A key is what was written and not what YAML 1.1 makes of it: `on:` would become true. Where the
// two differ, the author is asked to quote instead of one being chosen. A second key of one name is
// refused, as most parsers would drop one in silence.
void TreeBuilder::take_key(const Value& value, std::string_view written, bool plain) {
  Value key = Value::of_text(std::string(written));
  key.mark = value.mark;
  if (plain && value.type == Value::Type::null) {
    return refuse("WrongType", "the key is empty", key.mark, "write the key in quotes");
  }
  if (plain && value.type != Value::Type::text && value.scalar != written) {
    return refuse("WrongType", "the key reads as " + value.scalar, key.mark,
                  "write the key in quotes: \"" + escape_text(written, 64) + "\"");
  }
  if (key.scalar.size() > limits_.key_bytes) {
    return refuse("LimitExceeded",
                  "the key is longer than " + std::to_string(limits_.key_bytes) + " bytes",
                  key.mark);
  }
  auto& frame = stack_.back();
  const bool merge = plain && key.scalar == "<<";
  const Mark mark = key.mark;
  std::optional<int> first;
  if (merge && !frame.merges.empty()) first = frame.merges.front().second.line;
  if (!merge) {
    const auto [line, fresh] = frame.lines.emplace(key.scalar, mark.line);
    if (!fresh) first = line->second;
  }
  frame.key = std::move(key);
  frame.merging = merge;
  if (first) {
    refuse("DuplicateKey",
           "the key " + escape_text(written, 64) + " was already given at line " +
               std::to_string(*first),
           mark, "keep one of the two");
  }
}

// Depth is bounded because later walks over the tree are recursive.
bool TreeBuilder::open(Value::Type type, Mark mark, std::size_t anchor) {
  if (error_ || !count(1, mark, true)) return false;
  if (!stack_.empty() && stack_.back().value.is_map() && !stack_.back().key) {
    refuse("WrongType", "a key must be a string", mark);
    return false;
  }
  if (stack_.size() >= limits_.depth) {
    refuse("NestingLimit",
           "nested more than " + std::to_string(limits_.depth) + " levels deep", mark);
    return false;
  }
  Frame frame;
  frame.value.type = type;
  frame.value.mark = mark;
  frame.anchor = anchor;
  stack_.push_back(std::move(frame));
  return true;
}

void TreeBuilder::start_list(Mark mark, std::size_t anchor) {
  open(Value::Type::list, mark, anchor);
}

void TreeBuilder::start_map(Mark mark, std::size_t anchor) {
  open(Value::Type::map, mark, anchor);
}

// Merges wait for the end of the map: a key written below << still wins.
void TreeBuilder::end_map() {
  if (error_) return;
  apply_merges(stack_.back());
  close();
}

void TreeBuilder::close() {
  if (error_) return;
  Frame frame = std::move(stack_.back());
  stack_.pop_back();
  place(std::move(frame.value), frame.anchor);
}

// The anchor keeps a copy of the finished value; an alias to an unfinished one would be a cycle.
void TreeBuilder::place(Value value, std::size_t anchor) {
  if (error_) return;
  if (anchor != 0) anchors_[anchor] = value;
  if (stack_.empty()) {
    root_ = std::move(value);
    return;
  }
  auto& frame = stack_.back();
  if (frame.value.is_list()) {
    frame.value.items.push_back(std::move(value));
    return;
  }
  if (frame.merging) {
    if (!value.is_map() && !value.is_list()) {
      return refuse("WrongType", "<< merges only maps", value.mark);
    }
    frame.merges.emplace_back(std::move(value), frame.key->mark);
  } else {
    frame.value.members.emplace_back(std::move(*frame.key), std::move(value));
  }
  frame.key.reset();
}

// Keys written in the map win; of several merged maps the first that has a key wins.
void TreeBuilder::apply_merges(Frame& frame) {
  for (auto& [merged, mark] : frame.merges) {
    std::vector<Value> maps;
    if (merged.is_map()) {
      maps.push_back(std::move(merged));
    } else {
      maps = std::move(merged.items);
    }
    for (auto& map : maps) {
      if (!map.is_map()) return refuse("WrongType", "<< merges only maps", mark);
      for (auto& member : map.members) {
        if (frame.lines.emplace(member.first.scalar, mark.line).second) {
          frame.value.members.push_back(std::move(member));
        }
      }
    }
  }
}

// Aliases are expanded into copies, so that nothing behind the reader knows of them.
void TreeBuilder::alias(Mark mark, std::size_t anchor) {
  if (error_) return;
  const auto open_anchor = std::any_of(stack_.begin(), stack_.end(), [&](const Frame& frame) {
    return frame.anchor == anchor && anchor != 0;
  });
  if (open_anchor) {
    return refuse("AliasCycle", "the alias points to a value that contains it", mark);
  }
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) return refuse("SyntaxError", "the alias has no anchor", mark);
  const auto budget = limits_.nodes;
  if (!count(count_nodes(found->second, budget), mark, false)) return;
  const bool key_wanted =
      !stack_.empty() && stack_.back().value.is_map() && !stack_.back().key.has_value();
  if (!key_wanted) return place(found->second, 0);
  if (found->second.type != Value::Type::text) {
    return refuse("WrongType", "a key must be a string", mark);
  }
  take_key(found->second, found->second.scalar, false);
}

}  // namespace moored::codec
