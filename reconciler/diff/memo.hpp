// What a comparison needs not find out again, because neither side has changed since.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "reconciler/diff/recorded.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// The names in a tree: as a set, and as the inventory of its unit in the order of ids.
struct DeclaredNames {
  std::unordered_set<ObjectKey, KeyHash> keys;
  std::shared_ptr<const Inventory> inventory;
};

// Remembers which declared value was found to ask for nothing that a recorded one does not have,
// which of these recorded values are still what is recorded, and what a tree's names were.
// Values are immutable and told apart by their addresses, which stay taken as long as they are kept
// here. An answer from here is the one that a new comparison would give. One thread.
class ComparisonMemo {
 public:
  // ---- pairs ----
  bool is_unchanged(const Object& declared, const Object& recorded) const;
  // view_version: of the state in which the recorded value was found.
  void note_unchanged(const Object& declared, const Object& recorded, std::int64_t view_version);
  std::size_t size() const { return pairs_.size(); }

  // ---- the recorded state ----
  // What was recorded, in the order of versions, up to this version. A gap is noticed, and nothing
  // that was noted before is then taken for recorded any more.
  void follow(std::span<const Change> changes, std::int64_t version);
  // The same of what may come to be recorded on top of that: for comparisons with a state of this
  // version, until the next call of either.
  void look_ahead(std::span<const Change> changes, std::int64_t version);
  // Whether the state of this version holds what the declared value was compared with, for the
  // unit: then there is nothing to look up. False also when that is not known.
  bool is_satisfied(const Object& declared, const std::string& unit,
                    std::int64_t view_version) const;

  // ---- names ----
  // Those of the unit's last tree, when these objects have the same in the same order; else null.
  std::shared_ptr<const DeclaredNames> find_names(const std::string& unit,
                                                  const std::vector<Object>& objects) const;
  void note_names(const std::string& unit, const std::vector<Object>& objects,
                  std::shared_ptr<const DeclaredNames> names);

  // Forgets all pairs when most of them are of what no unit's last tree declares.
  void trim();

 private:
  struct Pair {
    Object declared;
    Object recorded;
    std::uint64_t epoch = 0;  // in which it was found in the followed state; 0: in none
  };
  struct Tree {
    std::vector<Object> objects;
    std::shared_ptr<const DeclaredNames> names;
  };
  void forget(const void* recorded);
  // Whether a value of the followed state is in that of this version as well.
  bool lasts(const void* recorded, std::int64_t view_version) const {
    if (view_version == version_) return true;
    return view_version == ahead_ && ahead_changed_.count(recorded) == 0;
  }

  std::unordered_map<const void*, Pair> pairs_;                  // by the declared value
  std::unordered_map<const void*, const void*> by_recorded_;     // to the declared value
  std::map<std::string, Tree> trees_;                            // by unit
  std::int64_t version_ = -1;                                    // followed so far
  std::uint64_t epoch_ = 1;                                      // without a gap
  std::int64_t ahead_ = -1;                                      // version looked ahead to
  std::unordered_set<const void*> ahead_changed_;                // recorded values, old and new
};

}  // namespace moored
