// What a service supervisor such as systemd is told: readiness, the end, and signs of life.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "schema/base/result.hpp"

namespace moored {

// Sends one message, such as "READY=1", to the socket that NOTIFY_SOCKET names, a path or, with a
// leading @, an abstract name. Without the variable nobody listens, which is success.
// Own code, because the library for it would load four compressors and a cipher into the daemon.
// Waits five seconds at most for one that is slow to read.
// Errors: invalid (neither a path nor abstract), not_found, unavailable (nobody reads there).
// Source: sd_notify(3), "Notes".
Status notify_supervisor(std::string_view message);

// How long the supervisor waits for a sign of life before it kills: WATCHDOG_USEC, if WATCHDOG_PID
// is this process or absent. Nothing: it does not watch. Source: sd_watchdog_enabled(3).
std::optional<std::chrono::microseconds> find_watchdog_patience();

// A thread that must go round and round to be alive.
struct Pulse {
  std::string name;
  std::function<std::uint64_t()> rounds;  // how many it has finished
  std::function<void()> wake;             // asks it for one more
};

// Whether threads still do their rounds. Not thread safe.
class Vitality {
 public:
  explicit Vitality(std::vector<Pulse> pulses);
  // The names of those that have not finished a round since they were last seen to; then asks each
  // of them for one. Right after the beginning nobody is late.
  std::vector<std::string> find_still();

 private:
  std::vector<Pulse> pulses_;
  std::vector<std::optional<std::uint64_t>> seen_;  // rounds at the last look
};

// Tells the supervisor three times within its patience that the daemon lives, as long as every
// pulse moves. One that stands still is named in the log, and no sign is given until it moves.
class Watchdog {
 public:
  // Starts its thread if the supervisor watches. What the pulses use must outlive this.
  explicit Watchdog(std::vector<Pulse> pulses);

 private:
  void run(std::stop_token stop, std::chrono::microseconds pause);

  Vitality vitality_;
  std::jthread thread_;
};

}  // namespace moored
