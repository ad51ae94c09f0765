// Keeps a storm of equal notes from becoming a storm of writes. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "reconciler/core/plan.hpp"

namespace moored {

// A note that was just admitted is only counted; the next one after the pause brings the count
// along, as that many equal notes. Not thread safe.
class EventDamper {
 public:
  static constexpr Duration kPause = std::chrono::seconds(1);
  // Notes that are told apart at once; the one admitted longest ago is forgotten first.
  static constexpr std::size_t kMaxNotes = 2'000;
  // Repetitions that one write can bring along.
  static constexpr std::size_t kMaxRepeats = 1'000;

  std::vector<EventNote> admit(const std::vector<EventNote>& notes, MonoTime now);
  std::size_t size() const { return seen_.size(); }

 private:
  struct Seen {
    MonoTime admitted{};
    std::size_t waiting = 0;
  };
  void forget_old(MonoTime now);
  void make_room();

  std::map<std::string, Seen> seen_;
  MonoTime forgot_{};  // when forget_old was last at work
};

}  // namespace moored
