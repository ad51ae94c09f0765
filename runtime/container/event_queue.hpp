// What happened to sandboxes, until the agent takes it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "schema/ports/sandbox.hpp"

namespace moored::container {

// Bounded: when it is full the oldest event goes. Nothing is lost by that, because an event only
// says where to look; the counter tells.
class EventQueue {
 public:
  static constexpr std::size_t kMaxEvents = 10'000;

  void push(SandboxEvent event);
  // Everything so far, oldest first; waits until something comes or the time is over.
  std::vector<SandboxEvent> take(std::chrono::milliseconds timeout);
  std::uint64_t dropped() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<SandboxEvent> events_;
  std::uint64_t dropped_ = 0;
};

}  // namespace moored::container
