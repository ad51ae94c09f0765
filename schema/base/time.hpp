// Points in time and the clock that is passed in.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace moored {

using Duration = std::chrono::microseconds;
// Wall time in UTC. What objects and records carry.
using Time = std::chrono::sys_time<Duration>;
// Time that never jumps. What back-off, grace and probe schedules are counted in.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Both times of one moment. The core is given these; only followers own a clock.
struct Now {
  Time wall;
  MonoTime mono;
};

// A seam of the simulation: the only way to learn the time.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now now() const = 0;
};

// The machine's own clocks.
class SystemClock final : public Clock {
 public:
  Now now() const override;
};

// RFC 3339 in UTC: whole seconds (2026-01-02T03:04:05Z), six or nine decimals.
std::string format_time(Time time);
std::string format_micro_time(Time time);
std::string format_nano_time(std::chrono::sys_time<std::chrono::nanoseconds> time);
// Reads RFC 3339 with any number of decimals and any offset. Nothing: not such a time.
std::optional<Time> parse_time(std::string_view text);
// Reads Go's durations as Flux writes them: 10s, 1m30s, 1h, 500ms. Nothing: not such a duration.
std::optional<Duration> parse_duration(std::string_view text);
// Writes a duration in the same form, exactly.
std::string format_duration(Duration duration);

}  // namespace moored
