// The engine that interprets the schema tables: decode, encode, default, check, diff, explain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"
#include "schema/model/object.hpp"

namespace moored {

// One leaf that differs, as field path and JSON texts (empty: absent). Secret values are masked.
struct FieldChange {
  std::string path;    // spec.template.spec.containers[name=web].image
  std::string before;
  std::string after;
  bool operator==(const FieldChange&) const = default;
};

// Reads a declared object: strict, with defaults filled in and every check run.
// All errors of the document go to diagnostics. Nothing: at least one error was added.
std::optional<Object> decode_manifest(const Value& document, const std::string& file,
                                      Diagnostics& diagnostics);
// Reads what we wrote ourselves (store, worker), without defaults and checks.
// Errors: corrupt (an unknown field, a wrong type).
Result<Object> decode_stored(const Kind& kind, const Value& document);
Result<Object> decode_stored_json(const Kind& kind, std::string_view json);
// The object as a value tree or canonical JSON: apiVersion and kind first, then the rows in order.
Value encode(const Object& object);
std::string encode_json(const Object& object);
// Only one struct, without apiVersion and kind (a status, a spec, a template).
Value encode_struct(const TypeSchema& schema, const void* object);
Result<void> decode_struct(const TypeSchema& schema, const Value& document, void* object);

// What differs between two objects of one kind, in row order; top-level parts can be left out.
// Resource version, generation and the times of metadata never count.
std::vector<FieldChange> diff(const Object& before, const Object& after, bool with_status);
// What differs between two structs of the same schema.
std::vector<FieldChange> diff_struct(const TypeSchema& schema, const void* before,
                                     const void* after, const std::string& path);
// Fields flagged kImmutable that differ, as errors with place.field.
std::vector<Error> check_immutable(const Object& before, const Object& after);

// The row of a dotted path such as spec.template.spec.containers.image, or not_found with the
// nearest name. Used by explain and by the support table.
Result<const Field*> find_field(const TypeSchema& schema, std::string_view path);
// The name nearest to a mistyped one among candidates, or empty when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace moored
