// Comparisons that were made before: of ten thousand objects that a commit leaves alone none is
// compared twice.
#pragma once

#include <unordered_map>

#include "schema/model/object.hpp"

namespace moored {

// Remembers which declared value was found to ask for nothing that a recorded one does not have.
// Values are immutable and told apart by their addresses, which stay taken as long as they are kept
// here. An answer from here is the one that a new comparison would give. One thread.
class ComparisonMemo {
 public:
  bool is_unchanged(const Object& declared, const Object& recorded) const {
    const auto found = known_.find(declared.body());
    return found != known_.end() && found->second.recorded.body() == recorded.body();
  }
  void note_unchanged(const Object& declared, const Object& recorded) {
    known_[declared.body()] = {declared, recorded};
  }
  std::size_t size() const { return known_.size(); }
  // What is kept is bounded by what one commit may declare.
  void clear() { known_.clear(); }

 private:
  struct Pair {
    Object declared;
    Object recorded;
  };
  std::unordered_map<const void*, Pair> known_;
};

}  // namespace moored
