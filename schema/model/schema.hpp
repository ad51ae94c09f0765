// The schema is data: a type is a table of rows, and a row says everything about one field.
//
// One engine (schema/codec) interprets the tables for decode, encode, default, check, explain and
// diff. Nothing here is instantiated per kind and per purpose: a member's C++ type gives a Type,
// whose few function pointers reach into optionals, lists and maps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/base/shared_vector.hpp"
#include "schema/base/time.hpp"
#include "schema/model/declare.hpp"
#include "schema/model/quantity.hpp"

namespace moored {

// How a value looks on the wire and in memory.
enum class Shape {
  boolean, int32, int64, text, quantity, int_or_string,
  time,        // RFC 3339, whole seconds (rows flagged micro_time: six decimals)
  object,      // a struct with a table of its own
  list, map,   // of element; map keys are strings
  optional,    // absent or an element
};

// One entry of a map, as long as the map is not changed.
struct MapEntry {
  const std::string* key = nullptr;
  const void* value = nullptr;
};

// Reaches into a container without knowing its element's type. Only the fitting members are set.
struct ContainerOps {
  std::size_t (*size)(const void*) = nullptr;                   // list, map; optional: 0 or 1
  const void* (*at)(const void*, std::size_t) = nullptr;        // list, optional
  std::vector<MapEntry> (*entries)(const void*) = nullptr;      // map, sorted by key
  void* (*append)(void*) = nullptr;                             // list; optional: emplaces
  void* (*insert)(void*, const std::string& key) = nullptr;     // map
  void (*assign)(const void* from, void* to) = nullptr;
};

struct Type {
  Shape shape;
  const TypeSchema& (*object)() = nullptr;  // the table, for objects
  const Type* element = nullptr;            // for list, map, optional
  ContainerOps ops = {};
};

// What a check may say about a value: nothing, or an error whose place.field continues the field's
// own path (empty, "[2]" or ".key"; the engine adds file, line and the path before it).
// The value is the member; of an optional it is the element. Absent fields are not checked.
using Check = std::optional<Error> (*)(const void* value);

// Properties of a field that are yes or no.
enum FieldFlag : unsigned {
  kRequired = 1U << 0U,
  kImmutable = 1U << 1U,
  kServerOnly = 1U << 2U,   // written by moored: in a manifest dropped with a warning
  kRefused = 1U << 3U,      // written by moored: in a manifest refused
  kBase64 = 1U << 4U,       // text or map of text that is raw bytes in memory
  kMicroTime = 1U << 5U,    // six decimals
  kKeepZero = 1U << 6U,     // written also when zero, false or empty
  kSecret = 1U << 7U,       // the value never appears in messages, diffs or logs
  kNoEffect = 1U << 9U,     // kept as written, nothing to carry out here: told with a warning
  kUnset = 1U << 8U,        // Kubernetes knows it, moored refuses it (carried_by says why)
};

// One row: everything there is to say about one field.
struct Field {
  std::string_view name;           // JSON name
  void* (*member)(void*) = nullptr;  // address of the member in its struct; null for kUnset
  const Type* type = nullptr;
  unsigned flags = 0;
  std::string_view fallback;       // default as JSON text; empty: none
  Check check = nullptr;
  std::string_view merge_key;      // of lists that merge by key
  std::string_view carried_by;     // the part that carries the field out; never empty
  std::string_view doc;            // one line for explain
};

// One type: its name and its rows in the order they are written.
struct TypeSchema {
  std::string_view name;
  std::span<const Field> fields;
  // Checks that look at several fields; adds errors whose place.field is relative to this object.
  void (*check)(const void* object, std::vector<Error>& errors) = nullptr;
  // Defaults that depend on other fields; runs after those of the rows.
  void (*complete)(void* object) = nullptr;
};

// ---- from a member's C++ type to its Type -------------------------------------------------------
template <class T>
struct TypeOf {
  static constexpr Type value{Shape::object, &schema_of<T>};
};
template <> struct TypeOf<bool> { static constexpr Type value{Shape::boolean}; };
template <> struct TypeOf<std::int32_t> { static constexpr Type value{Shape::int32}; };
template <> struct TypeOf<std::int64_t> { static constexpr Type value{Shape::int64}; };
template <> struct TypeOf<std::string> { static constexpr Type value{Shape::text}; };
template <> struct TypeOf<Quantity> { static constexpr Type value{Shape::quantity}; };
template <> struct TypeOf<IntOrString> { static constexpr Type value{Shape::int_or_string}; };
template <> struct TypeOf<Time> { static constexpr Type value{Shape::time}; };

template <class T>
void assign_as(const void* from, void* to) {
  *static_cast<T*>(to) = *static_cast<const T*>(from);
}

template <class List>
struct TypeOfList {
  static std::size_t size(const void* p) { return static_cast<const List*>(p)->size(); }
  static const void* at(const void* p, std::size_t i) { return &(*static_cast<const List*>(p))[i]; }
  static void* append(void* p) { return &static_cast<List*>(p)->emplace_back(); }
  static constexpr ContainerOps kOps{&size, &at, nullptr, &append, nullptr, &assign_as<List>};
  static constexpr const Type& kElement = TypeOf<typename List::value_type>::value;
  static constexpr Type value{Shape::list, nullptr, &kElement, kOps};
};
template <class T>
struct TypeOf<std::vector<T>> : TypeOfList<std::vector<T>> {};
// For elements without times and defaults, which the engine changes in place.
template <class T>
struct TypeOf<SharedVector<T>> : TypeOfList<SharedVector<T>> {};

template <class T>
struct TypeOf<std::optional<T>> {
  using Maybe = std::optional<T>;
  static std::size_t size(const void* p) { return static_cast<const Maybe*>(p)->has_value(); }
  static const void* at(const void* p, std::size_t) { return &**static_cast<const Maybe*>(p); }
  static void* append(void* p) { return &static_cast<Maybe*>(p)->emplace(); }
  static constexpr ContainerOps kOps{&size, &at, nullptr, &append, nullptr, &assign_as<Maybe>};
  static constexpr Type value{Shape::optional, nullptr, &TypeOf<T>::value, kOps};
};

template <class T>
struct TypeOf<std::map<std::string, T>> {
  using Map = std::map<std::string, T>;
  static std::size_t size(const void* p) { return static_cast<const Map*>(p)->size(); }
  static std::vector<MapEntry> entries(const void* p) {
    std::vector<MapEntry> out;
    for (const auto& [key, value] : *static_cast<const Map*>(p)) out.push_back({&key, &value});
    return out;
  }
  static void* insert(void* p, const std::string& k) { return &(*static_cast<Map*>(p))[k]; }
  static constexpr ContainerOps kOps{&size, nullptr, &entries, nullptr, &insert, &assign_as<Map>};
  static constexpr Type value{Shape::map, nullptr, &TypeOf<T>::value, kOps};
};

template <class Member>
struct MemberTraits;
template <class Struct, class Value>
struct MemberTraits<Value Struct::*> {
  using StructType = Struct;
  using ValueType = Value;
};

// The rest of a row, named at the place where it is written.
struct FieldTraits {
  unsigned flags = 0;
  std::string_view fallback = {};
  Check check = nullptr;
  std::string_view merge_key = {};
  std::string_view carried_by;
  std::string_view doc;
};

// A row for a member: field<&PodSpec::hostname>("hostname", {.carried_by = "…", .doc = "…"}).
template <auto Member>
constexpr Field field(std::string_view name, FieldTraits traits) {
  using Struct = typename MemberTraits<decltype(Member)>::StructType;
  using MemberType = typename MemberTraits<decltype(Member)>::ValueType;
  return Field{name,
               [](void* object) -> void* { return &(static_cast<Struct*>(object)->*Member); },
               &TypeOf<MemberType>::value,
               traits.flags,
               traits.fallback,
               traits.check,
               traits.merge_key,
               traits.carried_by,
               traits.doc};
}

// A row for a field that Kubernetes has and moored refuses, with what to do instead.
constexpr Field refused(std::string_view name, std::string_view instead) {
  return Field{name, nullptr, nullptr, kUnset, {}, nullptr, {}, instead, {}};
}

// A row for a field that other writers leave in manifests: dropped there with a warning.
constexpr Field dropped(std::string_view name, std::string_view doc) {
  return Field{name, nullptr, nullptr, kServerOnly | kUnset, {}, nullptr, {}, "nothing", doc};
}

}  // namespace moored
