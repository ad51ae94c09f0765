#include "schema/codec/stored.hpp"

#include <algorithm>
#include <chrono>

#include "schema/codec/decoder.hpp"

namespace moored {
namespace {

bool is_left_out(const Field& field, std::initializer_list<std::string_view> left_out) {
  return (field.flags & kUnset) != 0 ||
         std::find(left_out.begin(), left_out.end(), field.name) != left_out.end();
}

Time written_time(const Field& field, Time time) {
  using std::chrono::floor;
  if ((field.flags & kMicroTime) != 0) return floor<std::chrono::microseconds>(time);
  return floor<std::chrono::seconds>(time);
}

void cut_times(const Type& type, const Field& field, void* value) {
  switch (type.shape) {
    case Shape::time: {
      auto& time = *static_cast<Time*>(value);
      time = written_time(field, time);
      return;
    }
    case Shape::object: return make_stored(type.object(), value);
    case Shape::optional:
    case Shape::list:
      for (std::size_t i = 0; i < type.ops.size(value); ++i) {
        cut_times(*type.element, field, const_cast<void*>(type.ops.at(value, i)));
      }
      return;
    case Shape::map:
      // Maps of text, labels and files, hold no times.
      if (type.element->shape == Shape::text) return;
      for (const auto& entry : type.ops.entries(value)) {
        cut_times(*type.element, field, const_cast<void*>(entry.value));
      }
      return;
    default: return;
  }
}

template <class T>
bool are_equal(const void* one, const void* other) {
  return *static_cast<const T*>(one) == *static_cast<const T*>(other);
}

bool is_same_map(const Type& type, const Field& field, const void* one, const void* other) {
  if (type.ops.size(one) == 0) return true;
  const auto first = type.ops.entries(one);
  const auto second = type.ops.entries(other);
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (*first[i].key != *second[i].key) return false;
    if (!codec::is_same_value(*type.element, field, first[i].value, second[i].value)) return false;
  }
  return true;
}

void copy_value(const Type& type, const void* from, void* to) {
  switch (type.shape) {
    case Shape::boolean: return assign_as<bool>(from, to);
    case Shape::int32: return assign_as<std::int32_t>(from, to);
    case Shape::int64: return assign_as<std::int64_t>(from, to);
    case Shape::text: return assign_as<std::string>(from, to);
    case Shape::quantity: return assign_as<Quantity>(from, to);
    case Shape::int_or_string: return assign_as<IntOrString>(from, to);
    case Shape::time: return assign_as<Time>(from, to);
    case Shape::object: return copy_rows(type.object(), from, to, {});
    case Shape::optional:
    case Shape::list:
    case Shape::map: return type.ops.assign(from, to);
  }
}

}  // namespace

void make_stored(const TypeSchema& schema, void* object) {
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) continue;
    cut_times(*field.type, field, field.member(object));
  }
}

bool is_same_struct(const TypeSchema& schema, const void* one, const void* other) {
  return std::all_of(schema.fields.begin(), schema.fields.end(), [&](const Field& field) {
    return (field.flags & kUnset) != 0 ||
           codec::is_same_value(*field.type, field, field.member(const_cast<void*>(one)),
                                field.member(const_cast<void*>(other)));
  });
}

bool is_same_object(const Object& one, const Object& other,
                    std::initializer_list<std::string_view> left_out) {
  MOORED_ASSERT(&one.kind() == &other.kind());
  if (one.body() == other.body()) return true;
  const auto fields = one.kind().schema().fields;
  return std::all_of(fields.begin(), fields.end(), [&](const Field& field) {
    return is_left_out(field, left_out) ||
           codec::is_same_value(*field.type, field, field.member(const_cast<void*>(one.body())),
                                field.member(const_cast<void*>(other.body())));
  });
}

void copy_rows(const TypeSchema& schema, const void* from, void* to,
               std::initializer_list<std::string_view> left_out) {
  for (const auto& field : schema.fields) {
    if (is_left_out(field, left_out)) continue;
    copy_value(*field.type, field.member(const_cast<void*>(from)), field.member(to));
  }
}

// Equal sizes first: what follows relies on them.
bool codec::is_same_value(const Type& type, const Field& field, const void* one,
                          const void* other) {
  if (type.ops.size != nullptr && type.ops.size(one) != type.ops.size(other)) return false;
  switch (type.shape) {
    case Shape::boolean: return are_equal<bool>(one, other);
    case Shape::int32: return are_equal<std::int32_t>(one, other);
    case Shape::int64: return are_equal<std::int64_t>(one, other);
    case Shape::text: return are_equal<std::string>(one, other);
    case Shape::int_or_string: return are_equal<IntOrString>(one, other);
    case Shape::quantity:
      return static_cast<const Quantity*>(one)->text() ==
             static_cast<const Quantity*>(other)->text();
    case Shape::time:
      return written_time(field, *static_cast<const Time*>(one)) ==
             written_time(field, *static_cast<const Time*>(other));
    case Shape::object: return is_same_struct(type.object(), one, other);
    case Shape::map: return is_same_map(type, field, one, other);
    case Shape::optional:
    case Shape::list:
      // Elements that are shared are not looked at.
      if (type.ops.size(one) == 0 || type.ops.at(one, 0) == type.ops.at(other, 0)) return true;
      for (std::size_t i = 0; i < type.ops.size(one); ++i) {
        if (!is_same_value(*type.element, field, type.ops.at(one, i), type.ops.at(other, i))) {
          return false;
        }
      }
      return true;
  }
  return false;
}

}  // namespace moored
