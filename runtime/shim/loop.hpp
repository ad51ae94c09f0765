// The shim's only thread: waits for descriptors and for points in time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

using Steady = std::chrono::steady_clock;

// Calls back when a descriptor is ready or a moment has come. Callbacks may add and remove watches
// and timers, their own too.
class Loop {
 public:
  using Token = std::uint64_t;  // 0 is never given out
  using Ready = std::function<void(std::uint32_t events)>;

  static Result<Loop> create();

  // events: EPOLLIN, EPOLLOUT, EPOLLPRI. The descriptor stays the caller's.
  Result<Token> watch(int fd, std::uint32_t events, Ready ready);
  // Changes what is waited for.
  Status change(Token token, std::uint32_t events);
  void unwatch(Token token);
  Token start_timer(Steady::time_point when, std::function<void()> fire);
  void stop_timer(Token token);
  // Waits for the next thing and calls back once for each that is ready.
  Status run_once();

 private:
  struct Watch {
    int fd = -1;
    Ready ready;
  };
  struct Timer {
    Steady::time_point when;
    std::function<void()> fire;
  };
  int wait_milliseconds() const;
  void fire_timers();

  UniqueFd epoll_;
  Token next_ = 1;
  std::map<Token, Watch> watches_;
  std::map<Token, Timer> timers_;
};

}  // namespace moored::shim
