#include "reconciler/diff/inventory.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace moored {
namespace {

constexpr char kSeparator = '_';  // in no name of a kind that moored carries out

// Splits an id in its four parts. Nothing: another number of parts.
std::optional<std::array<std::string_view, 4>> split_id(std::string_view id) {
  std::array<std::string_view, 4> parts;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    const auto end = id.find(kSeparator);
    if ((end == std::string_view::npos) != (part + 1 == parts.size())) return std::nullopt;
    parts[part] = id.substr(0, end);
    id.remove_prefix(end == std::string_view::npos ? id.size() : end + 1);
  }
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
  // Inventories are long: no text is made for the comparison.
  const auto kinds = all_kinds();
  const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind* row) {
    return row->kind == (*parts)[3] && row->group == (*parts)[2] && row->version == entry.v;
  });
  if (kind == kinds.end()) return std::nullopt;
  return ObjectKey{*kind, std::string((*parts)[0]), std::string((*parts)[1])};
}

bool holds(const Kustomization& unit, const ObjectKey& key) {
  if (!unit.status.inventory) return false;
  const auto& entries = unit.status.inventory->entries;
  return std::find(entries.begin(), entries.end(), make_inventory_entry(key)) != entries.end();
}

}  // namespace moored
