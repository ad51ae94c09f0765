// The state of the store at one resource version, in memory and shared.
#pragma once

#include <string>

#include "reconciler/store/persistent_map.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::store {

// Orders objects by kind, namespace, name; the order of kinds is that of their addresses.
struct HeadLess {
  bool operator()(const ObjectKey& a, const ObjectKey& b) const;
};
struct HeadHash {
  std::size_t operator()(const ObjectKey& key) const;
};

// An object as its owner sees it: owner first, so that what one owner has lies together.
struct OwnedKey {
  std::string owner_uid;
  ObjectKey object;
};
struct OwnedLess {
  bool operator()(const OwnedKey& a, const OwnedKey& b) const;
};
struct OwnedHash {
  std::size_t operator()(const OwnedKey& key) const;
};

// Holds every object once, indexed by key and by the uids of its owners. An immutable value: with()
// and without() make the next one. Secrets are in clear.
class Snapshot final : public StateView {
 public:
  std::int64_t resource_version() const override { return resource_version_; }
  std::optional<Object> find(const ObjectKey& key) const override;
  std::vector<Object> list(const Kind& kind, const std::string& namespace_name) const override;
  std::vector<Object> list_owned(const Kind& kind, const std::string& owner_uid) const override;

  std::size_t size() const { return heads_.size(); }
  // Every object, kind by kind.
  std::vector<Object> list_all() const;
  // The state with the object put in place, or taken out, at a new resource version.
  Snapshot with(const Object& object, std::int64_t resource_version) const;
  Snapshot without(const ObjectKey& key, std::int64_t resource_version) const;
  // The same objects, read at another version.
  Snapshot at_version(std::int64_t resource_version) const {
    Snapshot same = *this;
    same.resource_version_ = resource_version;
    return same;
  }

 private:
  std::int64_t resource_version_ = 0;
  PersistentMap<ObjectKey, Object, HeadHash, HeadLess> heads_;
  PersistentMap<OwnedKey, Object, OwnedHash, OwnedLess> owned_;
};

}  // namespace moored::store
