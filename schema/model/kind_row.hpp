// Completes a registry row with what the compiler knows about the kind's struct.
#pragma once

#include <memory>

#include "schema/model/checks.hpp"
#include "schema/model/object.hpp"

namespace moored {

// Fills in schema, make, copy and meta; the rest of the row is written by hand.
template <class T>
constexpr Kind row_of(Kind row) {
  row.schema = &schema_of<T>;
  row.make = []() -> std::shared_ptr<void> { return std::make_shared<T>(); };
  row.copy = [](const void* body) -> std::shared_ptr<void> {
    return std::make_shared<T>(*static_cast<const T*>(body));
  };
  row.meta = [](void* body) -> ObjectMeta& { return static_cast<T*>(body)->metadata; };
  return row;
}

// The row that every kind starts with.
template <auto Member>
constexpr Field metadata_row() {
  return field<Member>("metadata", {.carried_by = "reconciler/core",
                                    .doc = "Name, namespace, labels and annotations."});
}
// The row of a status: written by moored, dropped from manifests with a warning.
template <auto Member>
constexpr Field status_row(std::string_view carried_by) {
  return field<Member>("status", {.flags = kServerOnly,
                                  .carried_by = carried_by,
                                  .doc = "What moored observes; never read from Git."});
}

// The check of metadata that every kind runs: the name is present and fits the kind's grammar.
void check_metadata(const ObjectMeta& meta, TextRule name_rule, std::vector<Error>& errors);

}  // namespace moored
