// The value tree between text and types: the same for YAML and JSON, with source positions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moored {

// A position in the text, counted from 1; 0: made by us.
struct Mark {
  int line = 0;
  int column = 0;
};

// One node of a document. Numbers keep their text, so that nothing is rounded on the way.
struct Value {
  enum class Type { null, boolean, integer, real, text, list, map };
  struct Member;  // first: the key, a text node with its mark; second: the value

  Type type = Type::null;
  Mark mark;
  std::string scalar;          // text; "true"/"false"; decimal digits of a number
  std::vector<Value> items;    // list
  std::vector<Member> members; // map, in document order; keys are unique

  static Value of_text(std::string text);
  static Value of_integer(std::int64_t number);
  static Value of_boolean(bool truth);
  static Value make_list();
  static Value make_map();

  // The member of a map, or nullptr.
  const Value* find(std::string_view key) const;
  // Adds a member at the end of a map.
  Value& put(std::string_view key, Value value);
  bool is_map() const { return type == Type::map; }
  bool is_list() const { return type == Type::list; }
};

// Not a std::pair: Clang 14 needs all of one before Value is complete.
struct Value::Member {
  Member(Value key, Value value) : first(std::move(key)), second(std::move(value)) {}
  Value first;
  Value second;
};

}  // namespace moored
