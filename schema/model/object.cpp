#include "schema/model/object.hpp"

#include <algorithm>

namespace moored {

std::string Kind::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string ObjectKey::text() const {
  std::string out(kind == nullptr ? "?" : kind->kind);
  if (!namespace_name.empty()) out += "/" + namespace_name;
  return out + "/" + name;
}

std::strong_ordering ObjectKey::operator<=>(const ObjectKey& other) const {
  if (kind != other.kind) {
    const auto rows = all_kinds();
    const auto first = std::find(rows.begin(), rows.end(), kind);
    const auto second = std::find(rows.begin(), rows.end(), other.kind);
    return first <=> second;
  }
  if (const int order = namespace_name.compare(other.namespace_name); order != 0) {
    return order <=> 0;
  }
  return name.compare(other.name) <=> 0;
}

ObjectReference reference_to(const Object& object) {
  const auto& meta = object.meta();
  ObjectReference out;
  out.kind = object.kind().kind;
  out.namespace_name = meta.namespace_name;
  out.name = meta.name;
  out.uid = meta.uid;
  out.api_version = object.kind().api_version();
  out.resource_version = meta.resource_version;
  return out;
}

OwnerReference controller_reference(const Object& owner) {
  const auto& meta = owner.meta();
  return {owner.kind().api_version(), std::string(owner.kind().kind), meta.name, meta.uid,
          true, true};
}

const OwnerReference* find_controller(const ObjectMeta& meta) {
  const auto found = std::find_if(meta.owner_references.begin(), meta.owner_references.end(),
                                  [](const OwnerReference& owner) { return owner.controller; });
  return found == meta.owner_references.end() ? nullptr : &*found;
}

}  // namespace moored
