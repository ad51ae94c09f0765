// A queue of keys to look at: each at most once, later when told so, with back-off after failures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "schema/base/random.hpp"
#include "schema/base/time.hpp"

namespace moored {

// How a key waits after each failure in a row: first, twice that, … up to the longest; with jitter
// of up to a tenth, so that what failed together does not come back together.
struct BackOff {
  Duration first = std::chrono::seconds(1);
  Duration longest = std::chrono::minutes(5);

  // The wait after so many failures in a row (1 and more), without jitter.
  Duration after(unsigned failures) const {
    Duration wait = first;
    for (unsigned i = 1; i < failures && wait < longest; ++i)
      wait *= 2;
    return std::min(wait, longest);
  }
};

// Pure: the time is passed in. Not thread safe. Key needs operator< (or Less).
// A key is ready, waiting for a time, or backing off; adding a ready key again changes nothing.
template <class Key, class Less = std::less<Key>>
class KeyedQueue {
 public:
  // Keys held at once. One more is refused and counted; a periodic look finds it again.
  static constexpr std::size_t kMaxKeys = 200'000;

  explicit KeyedQueue(BackOff back_off = {}) : back_off_(back_off) {}
  // What waits points to keys of its own map.
  KeyedQueue(const KeyedQueue&) = delete;
  KeyedQueue& operator=(const KeyedQueue&) = delete;
  KeyedQueue(KeyedQueue&&) = default;
  KeyedQueue& operator=(KeyedQueue&&) = default;

  // Wants a look now. A key that backs off stays where it is: news do not shorten a back-off.
  void add(const Key& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      if (is_full()) return;
      entries_.emplace(key, Entry{});
      ready_.push_back(key);
      return;
    }
    Entry& entry = found->second;
    if (entry.ready || entry.backing_off) return;
    waiting_.erase({entry.due, &found->first});
    entry.ready = true;
    ready_.push_back(key);
  }

  // Wants a look no later than a time. The earliest wish counts.
  void add_at(const Key& key, MonoTime due) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      if (is_full()) return;
      wait(key, Entry{false, false, due});
      return;
    }
    Entry& entry = found->second;
    if (entry.ready || entry.backing_off || entry.due <= due) return;
    waiting_.erase({entry.due, &found->first});
    entry.due = due;
    waiting_.insert({due, &found->first});
  }

  // Takes the key that has been ready longest; nothing when none is ready at this time.
  std::optional<Key> pop(MonoTime now) {
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
      const Key& key = *waiting_.begin()->second;
      waiting_.erase(waiting_.begin());
      Entry& entry = entries_.at(key);
      entry.ready = true;
      entry.backing_off = false;
      ready_.push_back(key);
    }
    if (ready_.empty()) return std::nullopt;
    Key key = std::move(ready_.front());
    ready_.pop_front();
    entries_.erase(key);
    return key;
  }

  // The look at a popped key went well: its next failure counts as the first.
  void succeeded(const Key& key) { failures_.erase(key); }

  // The look failed: it is wanted again after the back-off.
  void failed(const Key& key, MonoTime now, Random& random) {
    const unsigned count = ++failures_[key];
    const Duration pause = back_off_.after(count);
    const auto tenth = static_cast<std::uint64_t>(pause.count() / 10);
    const Duration jitter(static_cast<std::int64_t>(random.below(tenth + 1)));
    drop(key);
    wait(key, Entry{false, true, now + pause + jitter});
  }

  // When pop() will next give something; nothing: never, as things are.
  std::optional<MonoTime> next_due(MonoTime now) const {
    if (!ready_.empty()) return now;
    if (waiting_.empty()) return std::nullopt;
    return std::max(now, waiting_.begin()->first);
  }

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  std::size_t ready_count() const { return ready_.size(); }
  std::size_t failing_count() const { return failures_.size(); }
  std::size_t refused_count() const { return refused_; }  // because of kMaxKeys

 private:
  struct Entry {
    bool ready = true;
    bool backing_off = false;
    MonoTime due{};
  };
  using Waiting = std::pair<MonoTime, const Key*>;  // the key lies in entries_
  struct WaitLess {
    bool operator()(const Waiting& a, const Waiting& b) const {
      if (a.first != b.first) return a.first < b.first;
      return Less{}(*a.second, *b.second);
    }
  };

  // The key has no entry.
  void wait(const Key& key, const Entry& entry) {
    const auto made = entries_.emplace(key, entry).first;
    waiting_.insert({entry.due, &made->first});
  }

  bool is_full() {
    if (entries_.size() < kMaxKeys) return false;
    ++refused_;
    return true;
  }

  // A key that was added while its look went on.
  void drop(const Key& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    if (found->second.ready) {
      ready_.erase(std::find_if(ready_.begin(), ready_.end(), [&](const Key& other) {
        return !Less{}(key, other) && !Less{}(other, key);
      }));
    } else {
      waiting_.erase({found->second.due, &found->first});
    }
    entries_.erase(found);
  }

  BackOff back_off_;
  std::map<Key, Entry, Less> entries_;
  std::deque<Key> ready_;
  std::set<Waiting, WaitLess> waiting_;
  std::map<Key, unsigned, Less> failures_;
  std::size_t refused_ = 0;
};

}  // namespace moored
