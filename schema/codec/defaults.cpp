// Defaults and checks: two walks over a filled-in object, guided by its rows.
#include <algorithm>
#include <cctype>

#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"
#include "schema/codec/text_check.hpp"

namespace moored::codec {
namespace {

// Goes down into what is there: an absent optional stays absent, since the defaults of a struct
// that nobody wrote would make it appear.
void default_value(const Type& type, void* value) {
  switch (type.shape) {
    case Shape::object: apply_defaults(type.object(), value); return;
    case Shape::optional:
    case Shape::list:
      for (std::size_t i = 0; i < type.ops.size(value); ++i) {
        default_value(*type.element, const_cast<void*>(type.ops.at(value, i)));
      }
      return;
    case Shape::map:
      for (const auto& entry : type.ops.entries(value)) {
        default_value(*type.element, const_cast<void*>(entry.value));
      }
      return;
    default: return;
  }
}

// Takes the next step off a path: a key, or an index as digits. False: nothing is left.
bool take_step(std::string_view& path, std::string& step, bool& is_index) {
  if (path.empty()) return false;
  if (path.front() == '.') path.remove_prefix(1);
  is_index = false;
  if (path.front() == '[') {
    const auto end = path.size() > 1 && path[1] == '"' ? path.find("\"]") : path.find(']');
    if (end == std::string_view::npos) return false;
    is_index = path[1] != '"';
    step = std::string(is_index ? path.substr(1, end - 1) : path.substr(2, end - 2));
    path.remove_prefix(is_index ? end + 1 : end + 2);
    return true;
  }
  const auto end = std::min(path.find('.'), path.find('['));
  step = std::string(path.substr(0, end));
  path.remove_prefix(end == std::string_view::npos ? path.size() : end);
  return !step.empty();
}

// One step from a value: the item or the member. Nothing: there is none.
const Value* step_into(const Value& from, const std::string& step, bool is_index) {
  if (!is_index) return from.find(step);
  const auto index = static_cast<std::size_t>(std::strtoull(step.c_str(), nullptr, 10));
  return from.is_list() && index < from.items.size() ? &from.items[index] : nullptr;
}

// True when the document has a text at that path.
bool is_text_at(const Value& document, std::string_view path) {
  const Value* at = &document;
  std::string step;
  bool is_index = false;
  while (at != nullptr && take_step(path, step, is_index)) at = step_into(*at, step, is_index);
  return at != nullptr && at->type == Value::Type::text;
}

// Walks an object with the place of everything that was written.
class Checker {
 public:
  Checker(const Value& document, const std::string& file, Diagnostics& diagnostics)
      : document_(document), file_(file), diagnostics_(diagnostics) {}

  // Members first, then the check of the whole: the latter may rely on well-formed parts only as
  // far as it looks itself, for it runs after errors too.
  void check_struct(const TypeSchema& schema, const void* object, const std::string& path) {
    for (const auto& field : schema.fields) {
      if ((field.flags & kUnset) != 0) continue;
      check_field(field, field.member(const_cast<void*>(object)), path_with_key(path, field.name));
    }
    if (schema.check == nullptr) return;
    std::vector<Error> errors;
    schema.check(object, errors);
    for (auto& error : errors) {
      const auto& inner = error.place.field;
      std::string full = path;
      if (!inner.empty()) full += (path.empty() || inner.front() == '[' ? "" : ".") + inner;
      report(std::move(error), full);
    }
  }

 private:
  // Zero and absent are one for a field without optional, as omitempty has it; such a value is not
  // checked, because the default was already put in. A required text that was written, but empty,
  // is told by its check, which knows what it should have been.
  void check_field(const Field& field, const void* value, const std::string& path) {
    if (is_absent(*field.type, value)) {
      if ((field.flags & kRequired) == 0) return;
      const bool empty_text = field.type->shape == Shape::text && is_text_at(document_, path);
      if (!empty_text || !run_check(field, value, path)) {
        report(text_error("InvalidValue", "the field is required", file_, {}, path), path);
      }
      return;
    }
    run_check(field, value, path);
    check_value(*field.type, value, path);
  }

  // The row's own check. True: it had something to say.
  bool run_check(const Field& field, const void* value, const std::string& path) {
    if (field.check == nullptr) return false;
    const bool optional = field.type->shape == Shape::optional;
    auto error = field.check(optional ? field.type->ops.at(value, 0) : value);
    if (!error) return false;
    const std::string inner = path + error->place.field;
    report(std::move(*error), inner);
    return true;
  }

  // Scalars have no size operation and end here; their rule was the row's.
  void check_value(const Type& type, const void* value, const std::string& path) {
    if (type.shape == Shape::object) return check_struct(type.object(), value, path);
    if (type.ops.size == nullptr) return;
    if (type.shape == Shape::map) {
      for (const auto& entry : type.ops.entries(value)) {
        check_value(*type.element, entry.value, path_with_key(path, *entry.key));
      }
      return;
    }
    for (std::size_t i = 0; i < type.ops.size(value); ++i) {
      const bool list = type.shape == Shape::list;
      check_value(*type.element, type.ops.at(value, i), list ? path_with_index(path, i) : path);
    }
  }

  // The place is looked up only now: most objects are valid, and a mark for every field would be
  // carried for nothing. A defaulted field gets the place of its nearest written parent.
  void report(Error error, const std::string& path) {
    const bool of_key = error.reason == "InvalidName" && path.size() > 2 &&
                        path.compare(path.size() - 2, 2, "\"]") == 0;
    const auto mark = find_mark(document_, path, of_key);
    if (error.reason.empty()) error.reason = "InvalidValue";
    error.place = {file_, mark.line, mark.column, path};
    diagnostics_.add_error(std::move(error));
  }

  const Value& document_;
  const std::string& file_;
  Diagnostics& diagnostics_;
};

}  // namespace

bool is_absent(const Type& type, const void* value) {
  switch (type.shape) {
    case Shape::boolean: return !*static_cast<const bool*>(value);
    case Shape::int32: return *static_cast<const std::int32_t*>(value) == 0;
    case Shape::int64: return *static_cast<const std::int64_t*>(value) == 0;
    case Shape::text: return static_cast<const std::string*>(value)->empty();
    case Shape::quantity: return static_cast<const Quantity*>(value)->milli() == 0;
    case Shape::int_or_string: {
      const auto& both = *static_cast<const IntOrString*>(value);
      return both.is_string ? both.text.empty() : both.number == 0;
    }
    case Shape::time: return *static_cast<const Time*>(value) == Time{};
    case Shape::optional:
    case Shape::list:
    case Shape::map: return type.ops.size(value) == 0;
    // A struct is absent when all of its members are; kUnset rows have no member to look at.
    case Shape::object: {
      for (const auto& field : type.object().fields) {
        if ((field.flags & kUnset) != 0) continue;
        if (!is_absent(*field.type, field.member(const_cast<void*>(value)))) return false;
      }
      return true;
    }
  }
  return true;
}

// Parents first, so that a struct made by a default gets the defaults of its own members; the hook
// of the type comes last, because it may derive one completed field from another.
void apply_defaults(const TypeSchema& schema, void* object) {
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) continue;
    void* member = field.member(object);
    if (!field.fallback.empty() && is_absent(*field.type, member)) {
      // The fallback takes the way of a written value, so that a default cannot have a type that a
      // manifest could not. Both asserts concern our own tables only.
      auto parsed = read_json(field.fallback);
      MOORED_ASSERT(parsed);
      Diagnostics diagnostics;
      Value wrapper = Value::make_map();
      wrapper.put(field.name, std::move(*parsed));
      const TypeSchema single{schema.name, std::span<const Field>(&field, 1)};
      Decoder(std::string(schema.name), Strictness::stored, diagnostics)
          .read_struct(single, wrapper, object, {});
      MOORED_ASSERT(diagnostics.ok());
    }
    default_value(*field.type, member);
  }
  if (schema.complete != nullptr) schema.complete(object);
}

void run_checks(const TypeSchema& schema, const void* object, const Value& document,
                const std::string& file, Diagnostics& diagnostics) {
  Checker(document, file, diagnostics).check_struct(schema, object, {});
}

// Follows the path as far as the document has it and gives the last place that exists.
Mark find_mark(const Value& document, std::string_view path, bool of_key) {
  const Value* at = &document;
  Mark mark = document.mark;
  std::string step;
  bool is_index = false;
  while (take_step(path, step, is_index)) {
    if (is_index) {
      const Value* item = step_into(*at, step, is_index);
      if (item == nullptr) break;
      at = item;
      mark = at->mark;
      continue;
    }
    const auto same = [&](const Value::Member& member) { return member.first.scalar == step; };
    const auto member = std::find_if(at->members.begin(), at->members.end(), same);
    if (member == at->members.end()) break;
    // A scalar is where it stands; a map, a list and nothing at all are where their key stands.
    at = &member->second;
    const bool at_key = at->is_map() || at->is_list() || at->type == Value::Type::null ||
                        (of_key && path.empty());
    mark = at_key ? member->first.mark : at->mark;
  }
  return mark;
}

}  // namespace moored::codec
