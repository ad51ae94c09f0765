#include "reconciler/store/snapshot.hpp"

namespace moored::store {

bool HeadLess::operator()(const ObjectKey& a, const ObjectKey& b) const {
  if (a.kind != b.kind) return std::less<const Kind*>{}(a.kind, b.kind);
  if (const int order = a.namespace_name.compare(b.namespace_name); order != 0) return order < 0;
  return a.name < b.name;
}

std::size_t HeadHash::operator()(const ObjectKey& key) const {
  const std::hash<std::string_view> hash;
  return hash(key.name) * 31 + hash(key.namespace_name) * 17 + hash(key.kind->kind);
}

bool OwnedLess::operator()(const OwnedKey& a, const OwnedKey& b) const {
  if (const int order = a.owner_uid.compare(b.owner_uid); order != 0) return order < 0;
  return HeadLess{}(a.object, b.object);
}

std::size_t OwnedHash::operator()(const OwnedKey& key) const {
  return std::hash<std::string>{}(key.owner_uid) * 31 + HeadHash{}(key.object);
}

std::optional<Object> Snapshot::find(const ObjectKey& key) const {
  const Object* found = heads_.find(key);
  if (found == nullptr) return std::nullopt;
  return *found;
}

std::vector<Object> Snapshot::list(const Kind& kind, const std::string& namespace_name) const {
  std::vector<Object> out;
  heads_.visit_from({&kind, namespace_name, {}}, [&](const ObjectKey& key, const Object& object) {
    if (key.kind != &kind) return false;
    if (!namespace_name.empty() && key.namespace_name != namespace_name) return false;
    out.push_back(object);
    return true;
  });
  return out;
}

std::vector<Object> Snapshot::list_owned(const Kind& kind, const std::string& owner_uid) const {
  std::vector<Object> out;
  owned_.visit_from({owner_uid, {&kind, {}, {}}}, [&](const OwnedKey& key, const Object& object) {
    if (key.owner_uid != owner_uid || key.object.kind != &kind) return false;
    out.push_back(object);
    return true;
  });
  return out;
}

std::vector<Object> Snapshot::list_all() const {
  std::vector<Object> out;
  out.reserve(heads_.size());
  heads_.visit_all([&](const ObjectKey&, const Object& object) {
    out.push_back(object);
    return true;
  });
  return out;
}

Snapshot Snapshot::with(const Object& object, std::int64_t resource_version) const {
  const ObjectKey key = object.key();
  Snapshot next = without(key, resource_version);
  next.heads_ = heads_.with(key, object);
  for (const OwnerReference& owner : object.meta().owner_references) {
    next.owned_ = next.owned_.with({owner.uid, key}, object);
  }
  return next;
}

Snapshot Snapshot::without(const ObjectKey& key, std::int64_t resource_version) const {
  Snapshot next = *this;
  next.resource_version_ = resource_version;
  const Object* found = heads_.find(key);
  if (found == nullptr) return next;
  for (const OwnerReference& owner : found->meta().owner_references) {
    next.owned_ = next.owned_.without({owner.uid, key});
  }
  next.heads_ = heads_.without(key);
  return next;
}

}  // namespace moored::store
