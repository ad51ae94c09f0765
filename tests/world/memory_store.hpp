// A store in memory with the store's own rules: one counter, generation by spec, JSON round trip.
#pragma once

#include <map>
#include <utility>

#include "reconciler/core/plan.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"

namespace moored::test {

// Every object goes through its JSON, as it does in the real store, so that what is lost on the
// way is lost here too.
class MemoryStore final : public StateView {
 public:
  std::int64_t resource_version() const override { return version_; }

  std::optional<Object> find(const ObjectKey& key) const override {
    const auto found = objects_.find(key);
    if (found == objects_.end()) return std::nullopt;
    return found->second;
  }

  std::vector<Object> list(const Kind& kind, const std::string& space = {}) const override {
    std::vector<Object> found;
    for (const auto& [key, object] : objects_) {
      if (key.kind == &kind && (space.empty() || key.namespace_name == space)) {
        found.push_back(object);
      }
    }
    return found;
  }

  std::vector<Object> list_owned(const Kind& kind, const std::string& uid) const override {
    std::vector<Object> found;
    for (const auto& [key, object] : objects_) {
      if (key.kind != &kind) continue;
      for (const OwnerReference& owner : object.meta().owner_references) {
        if (owner.uid == uid) {
          found.push_back(object);
          break;
        }
      }
    }
    return found;
  }

  const std::map<ObjectKey, Object>& all() const { return objects_; }
  std::size_t size() const { return objects_.size(); }

  // Records one write; returns what changed, or nothing when the write changes nothing.
  std::optional<Change> apply(const Write& write) {
    const auto before = find(write.key);
    if (write.type == Write::Type::remove) {
      if (!before) return std::nullopt;
      objects_.erase(write.key);
      return Change{Change::Type::deleted, ++version_, *before, before};
    }
    if (write.type == Write::Type::status && !before) return std::nullopt;
    Object after = round_trip(write.object);
    if (before && encode_json(*before) == encode_json(after) &&
        before->provenance() == after.provenance()) {
      return std::nullopt;
    }
    ++version_;
    const bool respecified = before && spec_text(*before) != spec_text(after);
    const std::int64_t generation =
        before ? before->meta().generation + (respecified ? 1 : 0) : 1;
    after = with_meta(after, [&](ObjectMeta& meta) {
      meta.resource_version = std::to_string(version_);
      meta.generation = generation;
    });
    objects_[write.key] = after;
    return Change{before ? Change::Type::modified : Change::Type::added, version_, after, before};
  }

 private:
  static Object round_trip(const Object& object) {
    auto copy = decode_stored_json(object.kind(), encode_json(object));
    MOORED_ASSERT(copy.has_value());
    return copy->with_provenance(object.provenance());
  }
  static std::string spec_text(const Object& object) {
    const Value value = encode(object);
    const Value* spec = value.find("spec");
    return spec == nullptr ? std::string() : write_json(*spec);
  }

  std::map<ObjectKey, Object> objects_;
  std::int64_t version_ = 0;
};

}  // namespace moored::test
