#include "reconciler/diff/inventory.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace moored {
namespace {

constexpr char kSeparator = '_';  // in no name of a kind that moored carries out

// Splits an id in its four parts. Nothing: another number of parts.
std::optional<std::array<std::string, 4>> split_id(const std::string& id) {
  std::array<std::string, 4> parts;
  std::size_t part = 0;
  for (const char letter : id) {
    if (letter != kSeparator) {
      parts[part] += letter;
    } else if (++part == parts.size()) {
      return std::nullopt;
    }
  }
  if (part + 1 != parts.size()) return std::nullopt;
  return parts;
}

}  // namespace

InventoryEntry make_inventory_entry(const ObjectKey& key) {
  std::string id = key.namespace_name + kSeparator + key.name + kSeparator;
  id += key.kind->group;
  id += kSeparator;
  id += key.kind->kind;
  return {std::move(id), std::string(key.kind->version)};
}

std::optional<ObjectKey> find_inventory_key(const InventoryEntry& entry) {
  const auto parts = split_id(entry.id);
  if (!parts) return std::nullopt;
  const auto& group = (*parts)[2];
  const std::string api_version = group.empty() ? entry.v : group + '/' + entry.v;
  const Kind* kind = find_kind(api_version, (*parts)[3]);
  if (kind == nullptr) return std::nullopt;
  return ObjectKey{kind, (*parts)[0], (*parts)[1]};
}

bool holds(const Kustomization& unit, const ObjectKey& key) {
  if (!unit.status.inventory) return false;
  const auto& entries = unit.status.inventory->entries;
  return std::find(entries.begin(), entries.end(), make_inventory_entry(key)) != entries.end();
}

}  // namespace moored
