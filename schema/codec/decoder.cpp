#include "schema/codec/decoder.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "schema/base/log.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text_check.hpp"
#include "schema/host/sha256.hpp"

namespace moored::codec {
namespace {

// With its article, because it stands at the start of a sentence for the author of a manifest; the
// words are those of JSON, not of our own enumeration.
std::string_view type_name(const Value& value) {
  switch (value.type) {
    case Value::Type::null: return "null";
    case Value::Type::boolean: return "a boolean";
    case Value::Type::integer: return "an integer";
    case Value::Type::real: return "a number";
    case Value::Type::text: return "a string";
    case Value::Type::list: return "a list";
    case Value::Type::map: return "a map";
  }
  return "a value";
}

// Exact letter case, as the strict decoding of Kubernetes: "hostip" is a misspelling and is
// answered with a suggestion. Tables are short, so a scan beats an index.
const Field* find_row(const TypeSchema& schema, std::string_view name) {
  for (const auto& field : schema.fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

// Refused and unset rows too: who misspells one of them learns its name and, next time, the reason
// why it is not carried out.
std::vector<std::string_view> row_names(const TypeSchema& schema) {
  std::vector<std::string_view> names;
  for (const auto& field : schema.fields) names.push_back(field.name);
  return names;
}

}  // namespace

Decoder::Decoder(std::string file, Strictness strictness, Diagnostics& diagnostics)
    : file_(std::move(file)), strictness_(strictness), diagnostics_(diagnostics) {}

// Decoding goes on after an error, so that one look at a commit shows all of its faults at once.
void Decoder::refuse(std::string_view reason, std::string message, Mark mark,
                     const std::string& path, std::string fix) {
  auto error = text_error(reason, std::move(message), file_, mark, path);
  error.fix = std::move(fix);
  diagnostics_.add_error(std::move(error));
}

// The classic trap is an unquoted 1.10, yes or 0755 where text is wanted: the fix shows the value
// quoted. Of a secret nothing is shown, since errors reach logs and the status of the unit.
void Decoder::wrong_type(const Value& value, std::string_view wanted, const std::string& path,
                         bool secret) {
  std::string shown;
  const bool scalar = !value.is_map() && !value.is_list() && value.type != Value::Type::null;
  if (scalar && !secret) shown = " (" + escape_text(value.scalar, 64) + ")";
  const bool quote = wanted == "a string" && scalar;
  refuse("WrongType",
         std::string(type_name(value)) + shown + " where " + std::string(wanted) + " is wanted",
         value.mark, path, quote ? "quote it: \"" + (secret ? "…" : value.scalar) + "\"" : "");
}

// An error and no warning: a field that is dropped in silence is how a misspelt limit is lost.
void Decoder::unknown_field(const TypeSchema& schema, const Value& key, const std::string& path) {
  const auto near = nearest_name(key.scalar, row_names(schema));
  refuse("UnknownField",
         std::string(schema.name) + " has no field " + escape_text(key.scalar, 64), key.mark, path,
         near.empty() ? "remove it" : "did you mean " + near + "?");
}

// Walks what is written, not the rows: every key is judged, and absent members keep their zero
// values until the defaults are applied.
void Decoder::read_struct(const TypeSchema& schema, const Value& value, void* object,
                          const std::string& path) {
  if (value.type == Value::Type::null) return;  // as Kubernetes reads it: nothing was given
  if (!value.is_map()) return wrong_type(value, "a map", path);
  for (const auto& [key, member] : value.members) {
    read_member(schema, key, member, object, path_with_key(path, key.scalar));
  }
}

void Decoder::read_document(const TypeSchema& schema, const Value& document, void* object) {
  for (const auto& [key, member] : document.members) {
    if (key.scalar == "apiVersion" || key.scalar == "kind") continue;
    read_member(schema, key, member, object, path_with_key({}, key.scalar));
  }
}

// The flags are judged before the value: a refused field is told by its name, whatever it holds.
// Stored documents skip that part, as moored itself wrote the fields of the server.
void Decoder::read_member(const TypeSchema& schema, const Value& key, const Value& value,
                          void* object, const std::string& path) {
  const Field* field = find_row(schema, key.scalar);
  if (field == nullptr) return unknown_field(schema, key, path);
  if (strictness_ == Strictness::manifest) {
    if ((field->flags & kRefused) != 0) {
      return refuse("Forbidden", "only moored writes this field", key.mark, path, "remove it");
    }
    if ((field->flags & kServerOnly) != 0) {
      auto warning = text_error("Forbidden", "only moored writes this field; it was ignored",
                                file_, key.mark, path);
      warning.fix = "remove it";
      diagnostics_.add_warning(std::move(warning));
      return;
    }
    if ((field->flags & kNoEffect) != 0 && value.type != Value::Type::null) {
      diagnostics_.add_warning(text_error(
          "NoEffect", "the field has no effect here: " + std::string(field->doc), file_, key.mark,
          path));
    }
  }
  if ((field->flags & kUnset) != 0) {
    if (value.type == Value::Type::null) return;
    return refuse("UnknownField", "moored does not carry out this field", key.mark, path,
                  std::string(field->carried_by));
  }
  if (value.type == Value::Type::null) return;
  read_value(*field->type, *field, value, field->member(object), path);
}

// The row is handed down through lists and maps because its flags (secret, Base64) concern the
// scalars at the bottom. An optional is given a value only here, after null was turned away.
void Decoder::read_value(const Type& type, const Field& field, const Value& value, void* target,
                         const std::string& path) {
  switch (type.shape) {
    case Shape::optional:
      return read_value(*type.element, field, value, type.ops.append(target), path);
    case Shape::object: return read_struct(type.object(), value, target, path);
    case Shape::list: return read_list(type, field, value, target, path);
    case Shape::map: return read_map(type, field, value, target, path);
    default: read_scalar(type, field, value, target, path);
  }
}

// A lone dash is null in YAML and nearly always a slip of indentation, hence an error. The index
// counts refused elements as well, so that paths are those of the document.
void Decoder::read_list(const Type& type, const Field& field, const Value& value, void* target,
                        const std::string& path) {
  if (!value.is_list()) return wrong_type(value, "a list", path);
  std::size_t index = 0;
  for (const auto& item : value.items) {
    const auto item_path = path_with_index(path, index++);
    if (item.type == Value::Type::null) {
      wrong_type(item, "an element", item_path);
      continue;
    }
    read_value(*type.element, field, item, type.ops.append(target), item_path);
  }
}

// Keys are free text here, so none is unknown. A null member of a text map means the empty text, as
// Kubernetes reads `key:` with nothing behind it.
void Decoder::read_map(const Type& type, const Field& field, const Value& value, void* target,
                       const std::string& path) {
  if (!value.is_map()) return wrong_type(value, "a map", path);
  for (const auto& [key, member] : value.members) {
    const auto member_path = path_with_key(path, key.scalar);
    void* slot = type.ops.insert(target, key.scalar);
    if (member.type == Value::Type::null) {
      if (type.element->shape != Shape::text) wrong_type(member, "a value", member_path);
      continue;
    }
    // A place inside a map is that of its key: that is what a reader looks for.
    const bool at_key = !member.is_map() && !member.is_list() && (field.flags & kBase64) != 0;
    if (!at_key) {
      read_value(*type.element, field, member, slot, member_path);
      continue;
    }
    Value placed = member;
    placed.mark = key.mark;
    read_value(*type.element, field, placed, slot, member_path);
  }
}

// No conversion between text and numbers: "8080" is not a port, as in the strict decoding of
// Kubernetes. Only quantities and int-or-string may be written either way.
bool Decoder::read_scalar(const Type& type, const Field& field, const Value& value, void* target,
                          const std::string& path) {
  switch (type.shape) {
    case Shape::boolean:
      if (value.type != Value::Type::boolean) {
        wrong_type(value, "true or false", path);
        return false;
      }
      *static_cast<bool*>(target) = value.scalar == "true";
      return true;
    case Shape::int32:
    case Shape::int64: return read_integer(type, value, target, path);
    case Shape::text: return read_text(field, value, target, path);
    case Shape::time: return read_time(value, target, path);
    case Shape::quantity: {
      // A plain 2 and a quoted "2" are the same amount, so the spelling is read whatever its type.
      const auto quantity =
          value.is_map() || value.is_list() ? std::nullopt : Quantity::parse(value.scalar);
      if (!quantity) {
        refuse("InvalidValue", escape_text(value.scalar, 64) + " is not a quantity", value.mark,
               path, "write for instance 250m, 1.5, 64Mi or 2Gi");
        return false;
      }
      *static_cast<Quantity*>(target) = *quantity;
      return true;
    }
    case Shape::int_or_string: {
      auto& both = *static_cast<IntOrString*>(target);
      if (value.type == Value::Type::text) {
        both = IntOrString::of(value.scalar);
        return true;
      }
      both.is_string = false;
      static constexpr Type kNumber{Shape::int32};
      if (value.type == Value::Type::integer) {
        return read_integer(kNumber, value, &both.number, path);
      }
      wrong_type(value, "an integer or a string", path);
      return false;
    }
    default: return false;
  }
}

// Bytes are kept decoded in memory: what the container sees must not depend on who encodes.
bool Decoder::read_text(const Field& field, const Value& value, void* target,
                        const std::string& path) {
  const bool secret = (field.flags & kSecret) != 0;
  if (value.type != Value::Type::text) {
    wrong_type(value, "a string", path, secret);
    return false;
  }
  auto& text = *static_cast<std::string*>(target);
  if ((field.flags & kBase64) == 0) {
    text = value.scalar;
    return true;
  }
  // base64(1) wraps at 76 columns; line ends inside the value are no fault of its author.
  std::string encoded;
  for (const char c : value.scalar) {
    if (c != '\n' && c != '\r') encoded += c;
  }
  if (base64_decode(encoded, text)) return true;
  refuse("InvalidValue", "the value is not base64", value.mark, path,
         secret ? "encode it, or use stringData" : "encode it, or use data");
  return false;
}

// The YAML reader has already judged the shape of the digits; what remains is the range, which
// strtoll reports through errno alone.
bool Decoder::read_integer(const Type& type, const Value& value, void* target,
                           const std::string& path) {
  std::string digits = value.scalar;
  // 3.0 and 1e3 are integers to Kubernetes when nothing is lost.
  if (value.type == Value::Type::real) {
    char* end = nullptr;
    const double real = std::strtod(digits.c_str(), &end);
    // 9.0e15 lies just below 2^53, up to which a double holds every integer exactly.
    const bool whole = end != nullptr && *end == '\0' && real > -9.0e15 && real < 9.0e15 &&
                       static_cast<double>(static_cast<std::int64_t>(real)) == real;
    if (!whole) {
      wrong_type(value, "an integer", path);
      return false;
    }
    digits = std::to_string(static_cast<std::int64_t>(real));
  } else if (value.type != Value::Type::integer) {
    wrong_type(value, "an integer", path);
    return false;
  }
  errno = 0;
  char* end = nullptr;
  const long long number = std::strtoll(digits.c_str(), &end, 10);
  const bool narrow = type.shape == Shape::int32;
  const bool fits = errno == 0 && *end == '\0' &&
                    (!narrow || (number >= std::numeric_limits<std::int32_t>::min() &&
                                 number <= std::numeric_limits<std::int32_t>::max()));
  if (!fits) {
    refuse("InvalidValue",
           escape_text(digits, 32) + " does not fit into " + (narrow ? "32" : "64") + " bits",
           value.mark, path);
    return false;
  }
  if (narrow) {
    *static_cast<std::int32_t*>(target) = static_cast<std::int32_t>(number);
  } else {
    *static_cast<std::int64_t*>(target) = number;
  }
  return true;
}

// RFC 3339 only. YAML 1.1 timestamps arrive as text, because the reader has no such type.
bool Decoder::read_time(const Value& value, void* target, const std::string& path) {
  const auto time = value.type == Value::Type::text ? parse_time(value.scalar) : std::nullopt;
  if (!time) {
    refuse("InvalidValue", escape_text(value.scalar, 64) + " is not a time", value.mark, path,
           "write it as 2026-01-02T03:04:05Z");
    return false;
  }
  *static_cast<Time*>(target) = *time;
  return true;
}

}  // namespace moored::codec
