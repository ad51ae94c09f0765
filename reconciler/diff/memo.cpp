#include "reconciler/diff/memo.hpp"

namespace moored {
namespace {

// Pairs that are kept whatever the trees hold.
constexpr std::size_t kSlack = 1'000;

}  // namespace

void ComparisonMemo::forget_all() {
  pairs_.clear();
  by_recorded_.clear();
}

void ComparisonMemo::forget(const void* recorded) {
  const auto found = by_recorded_.find(recorded);
  if (found == by_recorded_.end()) return;
  pairs_.erase(found->second);
  by_recorded_.erase(found);
}

// Every change has a version of its own, so that their number tells whether one is missing.
void ComparisonMemo::follow(std::span<const Change> changes, std::int64_t version) {
  const bool gap = version_ + static_cast<std::int64_t>(changes.size()) != version;
  if (gap) forget_all();
  for (const Change& change : changes) {
    forget(change.object.body());
    if (change.previous) forget(change.previous->body());
    if (change.type == Change::Type::deleted && change.object.is<Kustomization>()) {
      const ObjectMeta& unit = change.object.meta();
      trees_.erase(unit.namespace_name + '/' + unit.name);
    }
  }
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

// One pair for each recorded value: what was declared before and meant the same is forgotten, so
// that a change of the recorded one reaches all there is.
void ComparisonMemo::note_satisfied(const Object& declared, const Object& recorded,
                                    std::int64_t view_version) {
  if (!lasts(recorded.body(), view_version)) return;
  forget(recorded.body());
  if (const auto before = pairs_.find(declared.body()); before != pairs_.end()) {
    by_recorded_.erase(before->second.recorded.body());
  }
  pairs_[declared.body()] = {declared, recorded};
  by_recorded_[recorded.body()] = declared.body();
}

bool ComparisonMemo::is_satisfied(const Object& declared, const std::string& unit,
                                  std::int64_t view_version) const {
  const auto found = pairs_.find(declared.body());
  return found != pairs_.end() && lasts(found->second.recorded.body(), view_version) &&
         found->second.recorded.provenance().unit == unit;
}

std::shared_ptr<const DeclaredNames> ComparisonMemo::find_names(
    const std::string& unit, const std::vector<Object>& objects) {
  const auto found = trees_.find(unit);
  if (found == trees_.end() || found->second.objects.size() != objects.size()) return nullptr;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    Object& last = found->second.objects[i];
    if (last.body() == objects[i].body()) continue;
    if (last.key() != objects[i].key()) return nullptr;
    last = objects[i];
  }
  return found->second.names;
}

void ComparisonMemo::note_names(const std::string& unit, const std::vector<Object>& objects,
                                std::shared_ptr<const DeclaredNames> names) {
  trees_[unit] = {objects, std::move(names)};
}

void ComparisonMemo::trim() {
  std::size_t declared = 0;
  for (const auto& [unit, tree] : trees_) declared += tree.objects.size();
  if (pairs_.size() > 2 * declared + kSlack) forget_all();
}

}  // namespace moored
