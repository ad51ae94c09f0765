#include "schema/codec/value.hpp"

namespace moored {

Value Value::of_text(std::string text) {
  Value value;
  value.type = Type::text;
  value.scalar = std::move(text);
  return value;
}

Value Value::of_integer(std::int64_t number) {
  Value value;
  value.type = Type::integer;
  value.scalar = std::to_string(number);
  return value;
}

Value Value::of_boolean(bool truth) {
  Value value;
  value.type = Type::boolean;
  value.scalar = truth ? "true" : "false";
  return value;
}

Value Value::make_list() {
  Value value;
  value.type = Type::list;
  return value;
}

Value Value::make_map() {
  Value value;
  value.type = Type::map;
  return value;
}

const Value* Value::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name.scalar == key) return &value;
  }
  return nullptr;
}

Value& Value::put(std::string_view key, Value value) {
  members.emplace_back(of_text(std::string(key)), std::move(value));
  return members.back().second;
}

}  // namespace moored
