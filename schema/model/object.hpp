// An object of any registered kind, and the registry of kinds: one row per kind.
#pragma once

#include <compare>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/assert.hpp"
#include "schema/model/meta.hpp"
#include "schema/model/schema.hpp"

namespace moored {

class Object;

// A column of `kubectl get`, and a cell.
struct Column {
  std::string_view name;
  std::string_view type;    // string, integer, boolean, date
  std::string_view format;  // name for the first column, else empty
  int priority = 0;         // 1: only with -o wide
  std::string_view doc;
};
struct Cell {
  enum class Type { text, integer, boolean } type = Type::text;
  std::string text;
  std::int64_t number = 0;
  static Cell of(std::string t) { return {Type::text, std::move(t), 0}; }
  static Cell of_integer(std::int64_t n) { return {Type::integer, {}, n}; }
  static Cell of_boolean(bool b) { return {Type::boolean, {}, b ? 1 : 0}; }
};
struct TableFormat {
  std::span<const Column> columns;
  std::vector<Cell> (*cells)(const Object& object, Time now);
};

// Who may put an object of a kind into a repository.
enum class Origin {
  declared,   // people write it in Git
  internal,   // only moored writes it; refused in a manifest
};

// The registry row of a kind.
struct Kind {
  std::string_view group;    // empty for the core group
  std::string_view version;
  std::string_view kind;
  std::string_view plural;
  std::string_view singular;
  std::span<const std::string_view> short_names = {};
  bool namespaced = true;
  bool in_all = false;       // category "all"
  std::span<const std::string_view> subresources = {};  // status, scale, log
  Origin origin = Origin::declared;
  const TypeSchema& (*schema)() = nullptr;
  const TableFormat* table = nullptr;
  std::shared_ptr<void> (*make)() = nullptr;
  std::shared_ptr<void> (*copy)(const void*) = nullptr;
  ObjectMeta& (*meta)(void*) = nullptr;
  // Further paths that a fieldSelector may name, beside metadata.name and metadata.namespace.
  std::span<const std::string_view> selectable = {};

  std::string api_version() const;  // "v1" or "apps/v1"
};

// All rows, in the order in which discovery lists them. The row order is also ObjectKey's order.
std::span<const Kind* const> all_kinds();
// The row of an apiVersion and kind, or nullptr.
const Kind* find_kind(std::string_view api_version, std::string_view kind);
// The row of a group and plural, or nullptr.
const Kind* find_resource(std::string_view group, std::string_view version,
                          std::string_view plural);
// Names one object for ever-changing contents: kind, namespace (empty if none) and name.
struct ObjectKey {
  const Kind* kind = nullptr;
  std::string namespace_name;
  std::string name;

  std::string text() const;  // Kind/namespace/name or Kind/name
  bool operator==(const ObjectKey&) const = default;
  std::strong_ordering operator<=>(const ObjectKey& other) const;
};

// Where a declared object was written.
struct Provenance {
  std::string source;    // namespace/name of the GitRepository; empty: moored made it
  std::string unit;      // namespace/name of the Kustomization that applies it
  std::string revision;  // branch@sha1:<40 hex>
  std::string file;
  int line = 0;
  bool operator==(const Provenance&) const = default;
};

// An immutable, shared value of some kind. Copies are cheap; changes make a new Object.
class Object {
 public:
  Object() = default;
  Object(const Kind& kind, std::shared_ptr<const void> body, Provenance provenance = {})
      : kind_(&kind), body_(std::move(body)) {
    if (provenance != Provenance()) {
      provenance_ = std::make_shared<const Provenance>(std::move(provenance));
    }
  }

  explicit operator bool() const { return kind_ != nullptr; }
  const Kind& kind() const { return *kind_; }
  const void* body() const { return body_.get(); }
  const ObjectMeta& meta() const { return kind_->meta(const_cast<void*>(body_.get())); }
  ObjectKey key() const { return {kind_, meta().namespace_name, meta().name}; }
  const Provenance& provenance() const {
    static const Provenance kNone;
    return provenance_ ? *provenance_ : kNone;
  }
  Object with_provenance(Provenance p) const { return Object(*kind_, body_, std::move(p)); }

  // The typed value. The kind must be T's.
  template <class T>
  const T& as() const {
    MOORED_ASSERT(kind_ == &kind_of<T>());
    return *static_cast<const T*>(body_.get());
  }
  template <class T>
  bool is() const { return kind_ == &kind_of<T>(); }

 private:
  const Kind* kind_ = nullptr;
  std::shared_ptr<const void> body_;
  std::shared_ptr<const Provenance> provenance_;  // null: moored made it
};

template <class T>
Object make_object(T value, Provenance provenance = {}) {
  return Object(kind_of<T>(), std::make_shared<const T>(std::move(value)), std::move(provenance));
}

template <class T>
ObjectKey key_of(std::string namespace_name, std::string name) {
  return {&kind_of<T>(), std::move(namespace_name), std::move(name)};
}

// The reference under which an object is known to events and target references.
ObjectReference reference_to(const Object& object);
// An owner reference with controller: true.
OwnerReference controller_reference(const Object& owner);
// The owner marked as controller, or nullptr.
const OwnerReference* find_controller(const ObjectMeta& meta);

}  // namespace moored
