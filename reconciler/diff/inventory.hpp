// The inventory of a unit: which objects it put there, in Flux's words.
#pragma once

#include <optional>

#include "schema/model/flux.hpp"
#include "schema/model/object.hpp"

namespace moored {

// namespace_name_group_Kind and the version.
InventoryEntry make_inventory_entry(const ObjectKey& key);
// Nothing: not an entry, or of a kind that this version does not know.
std::optional<ObjectKey> find_inventory_key(const InventoryEntry& entry);
// Whether the unit's inventory names the object.
bool holds(const Kustomization& unit, const ObjectKey& key);

}  // namespace moored
