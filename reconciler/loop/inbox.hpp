// Where facts wait for the loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/ports/fact.hpp"

namespace moored {

// A fact with its cause, as it was posted.
struct PostedFact {
  Fact fact;
  Cause cause;
  std::uint64_t ticket = 0;  // somebody waits until it is recorded; 0: nobody
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
  // Posts and waits until the fact is durable: for what must be on record before it is done, or
  // before anybody is told that it was. Not for the loop's own thread. Errors: those of recording
  // it; unavailable (NotRecorded: not within the time, or the loop has ended; it waits on, and is
  // recorded when that is possible); exhausted.
  Status post_and_wait(Fact fact, Cause cause, std::chrono::milliseconds longest);
  // Tells whoever waits for these facts what became of them.
  void settle(const std::vector<PostedFact>& facts, const Status& outcome);
  // Nobody takes facts any more: who waits is told so at once, now and later.
  void close();
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
  bool push(PostedFact posted);

  mutable std::mutex mutex_;
  std::condition_variable_any news_;
  std::deque<PostedFact> facts_;
  std::size_t left_out_ = 0;
  bool news_waiting_ = false;
  std::condition_variable settled_;
  std::map<std::uint64_t, std::optional<Status>> tickets_;  // of those who wait
  std::uint64_t last_ticket_ = 0;
  bool closed_ = false;
};

}  // namespace moored
