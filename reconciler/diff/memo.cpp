#include "reconciler/diff/memo.hpp"

namespace moored {
namespace {

// Pairs that are kept whatever the trees hold.
constexpr std::size_t kSlack = 1'000;

}  // namespace

bool ComparisonMemo::is_unchanged(const Object& declared, const Object& recorded) const {
  const auto found = pairs_.find(declared.body());
  return found != pairs_.end() && found->second.recorded.body() == recorded.body();
}

// One pair for each recorded value: what was declared before and meant the same is forgotten, so
// that a change of the recorded one reaches all there is.
void ComparisonMemo::note_unchanged(const Object& declared, const Object& recorded,
                                    std::int64_t view_version) {
  Pair& pair = pairs_[declared.body()];
  if (pair.recorded) by_recorded_.erase(pair.recorded.body());
  pair = {declared, recorded, lasts(recorded.body(), view_version) ? epoch_ : 0};
  const auto [place, fresh] = by_recorded_.try_emplace(recorded.body(), declared.body());
  if (fresh || place->second == declared.body()) return;
  pairs_.erase(place->second);
  place->second = declared.body();
}

void ComparisonMemo::trim() {
  std::size_t declared = 0;
  for (const auto& [unit, tree] : trees_) declared += tree.objects.size();
  if (pairs_.size() <= 2 * declared + kSlack) return;
  pairs_.clear();
  by_recorded_.clear();
}

void ComparisonMemo::forget(const void* recorded) {
  const auto found = by_recorded_.find(recorded);
  if (found == by_recorded_.end()) return;
  pairs_.erase(found->second);
  by_recorded_.erase(found);
}

void ComparisonMemo::follow(std::span<const Change> changes, std::int64_t version) {
  std::int64_t reached = version_;
  for (const Change& change : changes) {
    if (change.resource_version == reached + 1) reached = change.resource_version;
    forget(change.object.body());
    if (change.previous) forget(change.previous->body());
    if (change.type == Change::Type::deleted && change.object.is<Kustomization>()) {
      const ObjectMeta& unit = change.object.meta();
      trees_.erase(unit.namespace_name + '/' + unit.name);
    }
  }
  if (reached != version) ++epoch_;
  version_ = version;
  ahead_ = -1;
  ahead_changed_.clear();
}

void ComparisonMemo::look_ahead(std::span<const Change> changes, std::int64_t version) {
  ahead_ = version_ + static_cast<std::int64_t>(changes.size()) == version ? version : -1;
  ahead_changed_.clear();
  for (const Change& change : changes) {
    ahead_changed_.insert(change.object.body());
    if (change.previous) ahead_changed_.insert(change.previous->body());
  }
}

bool ComparisonMemo::is_satisfied(const Object& declared, const std::string& unit,
                                  std::int64_t view_version) const {
  const auto found = pairs_.find(declared.body());
  return found != pairs_.end() && found->second.epoch == epoch_ &&
         lasts(found->second.recorded.body(), view_version) &&
         found->second.recorded.provenance().unit == unit;
}

std::shared_ptr<const DeclaredNames> ComparisonMemo::find_names(
    const std::string& unit, const std::vector<Object>& objects) const {
  const auto found = trees_.find(unit);
  if (found == trees_.end() || found->second.objects.size() != objects.size()) return nullptr;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const Object& before = found->second.objects[i];
    if (before.body() == objects[i].body()) continue;
    if (&before.kind() != &objects[i].kind() || before.key() != objects[i].key()) return nullptr;
  }
  return found->second.names;
}

void ComparisonMemo::note_names(const std::string& unit, const std::vector<Object>& objects,
                                std::shared_ptr<const DeclaredNames> names) {
  trees_[unit] = {objects, std::move(names)};
}

}  // namespace moored
