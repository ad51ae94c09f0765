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

// Follows what is recorded, and remembers which declared value asks for nothing that is not
// recorded, and what a tree's names were. Values are immutable and told apart by their addresses,
// which stay taken as long as they are kept here. An answer from here is the one that a new
// comparison would give. One thread.
class ComparisonMemo {
 public:
  // ---- the recorded state ----
  // All that was recorded since the last call, up to this version. A gap is noticed: nothing that
  // was noted before it holds any more.
  void follow(std::span<const Change> changes, std::int64_t version);
  // What may come to be recorded on top of that: for comparisons with a state of this version,
  // until the next call of either.
  void look_ahead(std::span<const Change> changes, std::int64_t version);

  // ---- pairs ----
  // The declared value asks for nothing that the recorded one, found in the state of this version,
  // does not have. Kept only if that is known to be recorded.
  void note_satisfied(const Object& declared, const Object& recorded, std::int64_t view_version);
  // Whether the state of this version holds what the declared value was noted with, for the unit:
  // then there is nothing to look up. False also when that is not known.
  bool is_satisfied(const Object& declared, const std::string& unit,
                    std::int64_t view_version) const;
  std::size_t size() const { return pairs_.size(); }

  // ---- names ----
  // Those of the unit's last tree, when these objects have the same in the same order; else null.
  // These are its last tree then.
  std::shared_ptr<const DeclaredNames> find_names(const std::string& unit,
                                                  const std::vector<Object>& objects);
  void note_names(const std::string& unit, const std::vector<Object>& objects,
                  std::shared_ptr<const DeclaredNames> names);

  // Forgets all pairs when most of them are of what no unit's last tree declares.
  void trim();

 private:
  struct Pair {
    Object declared;
    Object recorded;  // as it is in the followed state
  };
  struct Tree {
    std::vector<Object> objects;
    std::shared_ptr<const DeclaredNames> names;
  };
  void forget_all();
  void forget(const void* recorded);
  // Whether a value of the followed state is in that of this version as well.
  bool lasts(const void* recorded, std::int64_t view_version) const {
    if (view_version == version_) return true;
    return view_version == ahead_ && ahead_changed_.count(recorded) == 0;
  }

  std::unordered_map<const void*, Pair> pairs_;               // by the declared value
  std::unordered_map<const void*, const void*> by_recorded_;  // to the declared value
  std::map<std::string, Tree> trees_;                         // by unit
  std::int64_t version_ = -1;                                 // followed so far
  std::int64_t ahead_ = -1;                                   // looked ahead to
  std::unordered_set<const void*> ahead_changed_;             // recorded values, old and new
};

}  // namespace moored
