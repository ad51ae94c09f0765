// The half of the engine that writes: structs into value trees, by the schema tables.
#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/host/sha256.hpp"

namespace moored {
namespace {

using codec::is_absent;

Value encode_value(const Type& type, const Field& field, const void* value);

Value encode_list(const Type& type, const Field& field, const void* value) {
  Value list = Value::make_list();
  const auto count = type.ops.size(value);
  list.items.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    list.items.push_back(encode_value(*type.element, field, type.ops.at(value, i)));
  }
  return list;
}

Value encode_map(const Type& type, const Field& field, const void* value) {
  Value map = Value::make_map();
  const auto entries = type.ops.entries(value);
  map.members.reserve(entries.size());
  for (const auto& entry : entries) {
    map.put(*entry.key, encode_value(*type.element, field, entry.value));
  }
  return map;
}

Value encode_value(const Type& type, const Field& field, const void* value) {
  switch (type.shape) {
    case Shape::boolean: return Value::of_boolean(*static_cast<const bool*>(value));
    case Shape::int32: return Value::of_integer(*static_cast<const std::int32_t*>(value));
    case Shape::int64: return Value::of_integer(*static_cast<const std::int64_t*>(value));
    case Shape::text: {
      const auto& text = *static_cast<const std::string*>(value);
      return Value::of_text((field.flags & kBase64) != 0 ? base64_encode(text) : text);
    }
    case Shape::quantity: return Value::of_text(static_cast<const Quantity*>(value)->text());
    case Shape::int_or_string: {
      const auto& both = *static_cast<const IntOrString*>(value);
      return both.is_string ? Value::of_text(both.text) : Value::of_integer(both.number);
    }
    case Shape::time: {
      const auto time = *static_cast<const Time*>(value);
      const bool micro = (field.flags & kMicroTime) != 0;
      return Value::of_text(micro ? format_micro_time(time) : format_time(time));
    }
    case Shape::object: return encode_struct(type.object(), value);
    case Shape::optional: return encode_value(*type.element, field, type.ops.at(value, 0));
    case Shape::list: return encode_list(type, field, value);
    case Shape::map: return encode_map(type, field, value);
  }
  return {};
}

}  // namespace

Value encode_struct(const TypeSchema& schema, const void* object) {
  Value map = Value::make_map();
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) continue;
    const void* member = field.member(const_cast<void*>(object));
    const bool absent = is_absent(*field.type, member);
    const bool empty_optional = field.type->shape == Shape::optional && absent;
    if (absent && ((field.flags & kKeepZero) == 0 || empty_optional)) continue;
    map.put(field.name, encode_value(*field.type, field, member));
  }
  return map;
}

Value encode(const Object& object) {
  Value document = Value::make_map();
  document.put("apiVersion", Value::of_text(object.kind().api_version()));
  document.put("kind", Value::of_text(std::string(object.kind().kind)));
  Value body = encode_struct(object.kind().schema(), object.body());
  for (auto& member : body.members) document.members.push_back(std::move(member));
  return document;
}

}  // namespace moored
