// What differs between two values of one schema, leaf by leaf.
#include <set>

#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/codec/stored.hpp"
#include "schema/codec/text.hpp"
#include "schema/codec/text_check.hpp"

namespace moored {
namespace {

using codec::is_absent;
using codec::path_with_index;
using codec::path_with_key;

// Walks both values along the same rows and writes down the leaves that differ, in table order.
class Differ {
 public:
  explicit Differ(std::vector<FieldChange>& changes) : changes_(changes) {}

  // Both sides are of one schema; callers assert it, since the walk casts by the rows alone.
  void diff_struct(const TypeSchema& schema, const void* before, const void* after,
                   const std::string& path) {
    for (const auto& field : schema.fields) {
      if ((field.flags & kUnset) != 0) continue;
      const void* old_value = field.member(const_cast<void*>(before));
      const void* new_value = field.member(const_cast<void*>(after));
      // Most of two versions is the same, and needs neither texts nor paths.
      if (codec::is_same_value(*field.type, field, old_value, new_value)) continue;
      diff_value(*field.type, field, old_value, new_value, path_with_key(path, field.name));
    }
  }

 private:
  // Leaves are compared by the texts that a manifest would have, as those are what a report shows.
  void diff_value(const Type& type, const Field& field, const void* before, const void* after,
                  const std::string& path) {
    switch (type.shape) {
      case Shape::object: return diff_struct(type.object(), before, after, path);
      case Shape::optional: return diff_optional(type, field, before, after, path);
      case Shape::list: return diff_list(type, field, before, after, path);
      case Shape::map: return diff_map(type, field, before, after, path);
      default: {
        const auto old_text = text_of(type, field, before);
        const auto new_text = text_of(type, field, after);
        if (old_text == new_text) return;
        note(field, path, is_absent(type, before) ? "" : old_text,
             is_absent(type, after) ? "" : new_text);
      }
    }
  }

  // A struct that comes or goes is one change and not one per member: the member rows would all say
  // the same.
  void diff_optional(const Type& type, const Field& field, const void* before, const void* after,
                     const std::string& path) {
    const bool had = type.ops.size(before) > 0;
    const bool has = type.ops.size(after) > 0;
    if (had && has) {
      return diff_value(*type.element, field, type.ops.at(before, 0), type.ops.at(after, 0), path);
    }
    if (had != has) {
      note(field, path, had ? text_of(*type.element, field, type.ops.at(before, 0)) : "",
           has ? text_of(*type.element, field, type.ops.at(after, 0)) : "");
    }
  }

  // Lists with a merge key are compared element by element of the same key; others by position.
  void diff_list(const Type& type, const Field& field, const void* before, const void* after,
                 const std::string& path) {
    if (!field.merge_key.empty() && type.element->shape == Shape::object) {
      return diff_keyed(type, field, before, after, path);
    }
    const auto old_count = type.ops.size(before);
    const auto new_count = type.ops.size(after);
    for (std::size_t i = 0; i < std::max(old_count, new_count); ++i) {
      diff_element(type, field, i < old_count ? type.ops.at(before, i) : nullptr,
                   i < new_count ? type.ops.at(after, i) : nullptr, path_with_index(path, i));
    }
  }

  // The merge key is that of strategic merge patch, so moving an element is no change. Lists are
  // short; a linear find keeps the order of the document, which a map would lose.
  void diff_keyed(const Type& type, const Field& field, const void* before, const void* after,
                  const std::string& path) {
    const auto index = [&](const void* list) {
      std::vector<std::pair<std::string, const void*>> rows;
      for (std::size_t i = 0; i < type.ops.size(list); ++i) {
        const void* element = type.ops.at(list, i);
        rows.emplace_back(key_of_element(type.element->object(), field.merge_key, element),
                          element);
      }
      return rows;
    };
    const auto old_rows = index(before);
    const auto new_rows = index(after);
    const auto find = [](const auto& rows, const std::string& key) -> const void* {
      for (const auto& row : rows) {
        if (row.first == key) return row.second;
      }
      return nullptr;
    };
    const auto inner = [&](const std::string& key) {
      return path + "[" + std::string(field.merge_key) + "=" + key + "]";
    };
    for (const auto& [key, element] : old_rows) {
      diff_element(type, field, element, find(new_rows, key), inner(key));
    }
    for (const auto& [key, element] : new_rows) {
      if (find(old_rows, key) == nullptr) diff_element(type, field, nullptr, element, inner(key));
    }
  }

  // An element without the key has the empty one; several of those are matched with the first.
  static std::string key_of_element(const TypeSchema& schema, std::string_view name,
                                    const void* element) {
    for (const auto& field : schema.fields) {
      if (field.name != name) continue;
      return text_of(*field.type, field, field.member(const_cast<void*>(element)));
    }
    return {};
  }

  // Null stands for an element that one side does not have.
  void diff_element(const Type& type, const Field& field, const void* before, const void* after,
                    const std::string& path) {
    if (before != nullptr && after != nullptr) {
      return diff_value(*type.element, field, before, after, path);
    }
    if (before == nullptr && after == nullptr) return;
    note(field, path, before != nullptr ? text_of(*type.element, field, before) : "",
         after != nullptr ? text_of(*type.element, field, after) : "");
  }

  // The union of the keys, sorted: maps have no order of their own, and reports must not flap.
  void diff_map(const Type& type, const Field& field, const void* before, const void* after,
                const std::string& path) {
    const auto index = [&](const void* map) {
      std::map<std::string, const void*> rows;
      for (const auto& entry : type.ops.entries(map)) rows[*entry.key] = entry.value;
      return rows;
    };
    const auto old_rows = index(before);
    const auto new_rows = index(after);
    std::set<std::string> keys;
    for (const auto& row : old_rows) keys.insert(row.first);
    for (const auto& row : new_rows) keys.insert(row.first);
    for (const auto& key : keys) {
      const auto old_row = old_rows.find(key);
      const auto new_row = new_rows.find(key);
      diff_element(type, field, old_row == old_rows.end() ? nullptr : old_row->second,
                   new_row == new_rows.end() ? nullptr : new_row->second,
                   path_with_key(path, key));
    }
  }

  // Any value as the text a manifest would have. The value is wrapped into a schema of one row
  // whose member is the value itself, because the encoder only knows structs.
  static std::string text_of(const Type& type, const Field& field, const void* value) {
    if (type.shape == Shape::text && (field.flags & kBase64) == 0) {
      return *static_cast<const std::string*>(value);
    }
    static void* (*const kSelf)(void*) = [](void* self) { return self; };
    Field whole = field;
    whole.name = "value";
    whole.member = kSelf;
    whole.type = &type;
    whole.flags |= kKeepZero;
    const TypeSchema single{"value", std::span<const Field>(&whole, 1)};
    const Value encoded = encode_struct(single, value);
    const Value* only = encoded.find("value");
    if (only == nullptr) return {};
    return only->is_map() || only->is_list() ? write_json(*only) : only->scalar;
  }

  // Of secrets only the fact of a change is said; lengths and digests would tell too much.
  void note(const Field& field, const std::string& path, std::string before, std::string after) {
    if ((field.flags & kSecret) != 0) {
      if (!before.empty()) before = "(secret)";
      if (!after.empty()) after = before.empty() ? "(secret)" : "(another secret)";
    }
    changes_.push_back({path, std::move(before), std::move(after)});
  }

  std::vector<FieldChange>& changes_;
};

// Metadata that moves without anybody having asked for something else.
bool is_bookkeeping(const std::string& path) {
  constexpr std::string_view kPaths[] = {"metadata.resourceVersion", "metadata.generation",
                                         "metadata.creationTimestamp", "metadata.uid"};
  for (const auto& candidate : kPaths) {
    if (path == candidate) return true;
  }
  return false;
}

// The immutable rows of one struct, compared as wholes.
void collect_immutable(const TypeSchema& schema, const void* before, const void* after,
                       const std::string& path, std::vector<Error>& errors) {
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) continue;
    const void* old_value = field.member(const_cast<void*>(before));
    const void* new_value = field.member(const_cast<void*>(after));
    const auto inner = path_with_key(path, field.name);
    if ((field.flags & kImmutable) != 0) {
      // One row alone: whether anything below it moved, whatever it is made of.
      const TypeSchema single{schema.name, std::span<const Field>(&field, 1)};
      if (diff_struct(single, before, after, path).empty()) continue;
      auto error = codec::text_error("Immutable", "the field cannot be changed", {}, {}, inner);
      error.fix = "give the object another name, or remove it in one commit and add it in another";
      errors.push_back(std::move(error));
    } else if (field.type->shape == Shape::object) {
      collect_immutable(field.type->object(), old_value, new_value, inner, errors);
    }
  }
}

}  // namespace

std::vector<FieldChange> diff_struct(const TypeSchema& schema, const void* before,
                                     const void* after, const std::string& path) {
  std::vector<FieldChange> changes;
  Differ(changes).diff_struct(schema, before, after, path);
  return changes;
}

// The whole object is walked and filtered afterwards; that keeps one walk for all callers.
std::vector<FieldChange> diff(const Object& before, const Object& after, bool with_status) {
  MOORED_ASSERT(&before.kind() == &after.kind());
  if (before.body() == after.body()) return {};
  auto changes = diff_struct(before.kind().schema(), before.body(), after.body(), {});
  std::vector<FieldChange> kept;
  for (auto& change : changes) {
    if (is_bookkeeping(change.path)) continue;
    // With the dot, so that a member called statusText would not be taken for the status.
    const bool status = change.path == "status" || change.path.rfind("status.", 0) == 0;
    if (status && !with_status) continue;
    kept.push_back(std::move(change));
  }
  return kept;
}

std::vector<Error> check_immutable(const Object& before, const Object& after) {
  std::vector<Error> errors;
  collect_immutable(before.kind().schema(), before.body(), after.body(), {}, errors);
  return errors;
}

}  // namespace moored
