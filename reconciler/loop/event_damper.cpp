#include "reconciler/loop/event_damper.hpp"

#include <algorithm>

namespace moored {
namespace {

std::string identity_of(const EventNote& note) {
  std::string out;
  for (const std::string* part : {&note.object.kind, &note.object.namespace_name, &note.object.name,
                                  &note.object.uid, &note.reason, &note.message, &note.component}) {
    out += *part;
    out += '\0';
  }
  return out;
}

}  // namespace

std::vector<EventNote> EventDamper::admit(const std::vector<EventNote>& notes, MonoTime now) {
  forget_old(now);
  std::vector<EventNote> out;
  for (const EventNote& note : notes) {
    const std::string identity = identity_of(note);
    const auto found = seen_.find(identity);
    if (found == seen_.end()) {
      make_room();
      seen_[identity] = {now, 0};
      out.push_back(note);
      continue;
    }
    Seen& seen = found->second;
    if (now - seen.admitted < kPause) {
      seen.waiting = std::min(seen.waiting + 1, kMaxRepeats - 1);
      continue;
    }
    out.insert(out.end(), seen.waiting + 1, note);
    seen = {now, 0};
  }
  return out;
}

// A note whose pause is over and that brings no count along is admitted like a new one.
void EventDamper::forget_old(MonoTime now) {
  if (now - forgot_ < kPause) return;
  forgot_ = now;
  std::erase_if(seen_, [&](const auto& note) {
    return note.second.waiting == 0 && now - note.second.admitted >= kPause;
  });
}

void EventDamper::make_room() {
  if (seen_.size() < kMaxNotes) return;
  seen_.erase(std::min_element(seen_.begin(), seen_.end(), [](const auto& a, const auto& b) {
    return a.second.admitted < b.second.admitted;
  }));
}

}  // namespace moored
