#include "runtime/container/event_queue.hpp"

namespace moored::container {

// Never waits: the poll thread must go on reading.
void EventQueue::push(SandboxEvent event) {
  const std::lock_guard lock(mutex_);
  if (events_.size() >= kMaxEvents) {
    events_.pop_front();
    ++dropped_;
  }
  events_.push_back(std::move(event));
  filled_.notify_all();
}

std::vector<SandboxEvent> EventQueue::take(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  filled_.wait_for(lock, timeout, [&] { return !events_.empty(); });
  std::vector<SandboxEvent> taken(std::make_move_iterator(events_.begin()),
                                  std::make_move_iterator(events_.end()));
  events_.clear();
  return taken;
}

std::uint64_t EventQueue::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace moored::container
