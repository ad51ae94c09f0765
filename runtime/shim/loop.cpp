#include "runtime/shim/loop.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

namespace moored::shim {
namespace {

Unexpected failed(const char* what) {
  return Unexpected(system_error(what, errno));
}

}  // namespace

Result<Loop> Loop::create() {
  Loop loop;
  loop.epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop.epoll_) return failed("make event queue");
  return loop;
}

// Tokens are never used twice, so an event of a watch that is gone finds nothing.
Result<Loop::Token> Loop::watch(int fd, std::uint32_t events, Ready ready) {
  const Token token = next_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return failed("watch descriptor");
  watches_[token] = Watch{fd, std::move(ready)};
  return token;
}

Status Loop::change(Token token, std::uint32_t events) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return fail(Code::not_found, "change a watch that is gone");
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event) != 0) {
    return failed("change watch");
  }
  return {};
}

void Loop::unwatch(Token token) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watches_.erase(found);
}

Loop::Token Loop::start_timer(Steady::time_point when, std::function<void()> fire) {
  const Token token = next_++;
  timers_[token] = Timer{when, std::move(fire)};
  return token;
}

void Loop::stop_timer(Token token) {
  timers_.erase(token);
}

// Rounded up: waking before the moment would spin.
int Loop::wait_milliseconds() const {
  if (timers_.empty()) return -1;
  auto first = timers_.begin()->second.when;
  for (const auto& timer : timers_)
    first = std::min(first, timer.second.when);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(first - Steady::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, 3'600'000));
}

// Those that are due now; what they start comes with the next round.
void Loop::fire_timers() {
  const auto now = Steady::now();
  std::vector<Token> due;
  for (const auto& timer : timers_) {
    if (timer.second.when <= now) due.push_back(timer.first);
  }
  for (const auto token : due) {
    const auto found = timers_.find(token);
    if (found == timers_.end()) continue;  // stopped by one that fired before
    const auto fire = std::move(found->second.fire);
    timers_.erase(found);
    fire();
  }
}

Status Loop::run_once() {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 wait_milliseconds());
  if (count < 0 && errno != EINTR) return failed("wait for events");
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const auto found = watches_.find(event.data.u64);
    if (found == watches_.end()) continue;   // removed by one that was called before
    const auto ready = found->second.ready;  // a copy: it may remove itself
    ready(event.events);
  }
  fire_timers();
  return {};
}

}  // namespace moored::shim
