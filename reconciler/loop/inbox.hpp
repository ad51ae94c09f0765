// Where facts wait for the loop.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "schema/ports/fact.hpp"

namespace moored {

// A fact with its cause, as it was posted.
struct PostedFact {
  Fact fact;
  Cause cause;
};

// Bounded and thread safe. Facts come out in the order in which they were posted; a newer status of
// a pod, the node, a drift record or the packet rules takes the place of an older one that still
// waits: the loop looks at levels.
class Inbox final : public FactSink {
 public:
  // Above the first, facts that only tell a story (events) are left out; above the second, all are:
  // every follower posts its level again. What was left out is counted.
  static constexpr std::size_t kMaxStories = 2'000;
  static constexpr std::size_t kMaxFacts = 20'000;

  void post(Fact fact, Cause cause) override;
  // The oldest facts, at most limit; empty when none waits.
  std::vector<PostedFact> take(std::size_t limit);
  // Puts facts back to the front, in their order, when they could not be recorded. A level that a
  // newer fact has replaced meanwhile is left out.
  void put_back(std::vector<PostedFact> facts);

  // Waits until a fact is posted, wake() was called, the time has come, or a stop was asked for.
  // True: there is news since the last wait. Facts that were put back are none.
  bool wait_until(std::optional<MonoTime> due, const Clock& clock, std::stop_token stop);
  void wake();

  std::size_t size() const;
  std::size_t left_out() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any news_;
  std::deque<PostedFact> facts_;
  std::size_t left_out_ = 0;
  bool news_waiting_ = false;
};

}  // namespace moored
