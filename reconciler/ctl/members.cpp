// Total readers: an answer of a newer daemon never fails an older client.
#include "reconciler/ctl/members.hpp"

#include <charconv>

namespace moored::ctl {

std::string text_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value == nullptr ? std::string() : value->scalar;
}

bool truth_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value != nullptr && value->type == Value::Type::boolean && value->scalar == "true";
}

// A number too large for us reads as 0: it is shown, never computed with.
std::int64_t number_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  if (value == nullptr || value->type != Value::Type::integer) return 0;
  std::int64_t number = 0;
  std::from_chars(value->scalar.data(), value->scalar.data() + value->scalar.size(), number);
  return number;
}

const std::vector<Value>& items_in(const Value& map, std::string_view name) {
  static const std::vector<Value> kNone;
  const Value* value = map.find(name);
  return value == nullptr ? kNone : value->items;
}

}  // namespace moored::ctl
