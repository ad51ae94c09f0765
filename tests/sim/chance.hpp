// The dice, the clock and the end of a daemon: what every part of the simulation shares.
#pragma once

#include <cstdint>
#include <string>

#include "schema/base/random.hpp"
#include "schema/base/time.hpp"

namespace moored::sim {

// Thrown out of a port in the middle of whatever the daemon does, as a kill -9 would come. Only the
// simulation catches it; it then throws the whole daemon away and starts another one.
struct DaemonKilled {};

// Time that only the simulation moves.
class SimClock final : public Clock {
 public:
  Now now() const override { return now_; }
  void advance(Duration by) {
    now_.wall += by;
    now_.mono += by;
  }

 private:
  Now now_{*parse_time("2026-01-02T03:04:05Z"), MonoTime(std::chrono::hours(1))};
};

// How likely each thing goes wrong, in thousandths of its opportunities.
struct Odds {
  unsigned sandbox_fails = 0;     // a verb of the sandbox, before or after it took effect
  unsigned network_fails = 0;
  unsigned fetch_fails = 0;
  unsigned load_fails = 0;
  unsigned kill_in_port = 0;      // the daemon dies inside a call, before or after its effect
  unsigned kill_between = 0;      // the daemon dies between two steps
  unsigned container_dies = 0;    // at each step: a random running container ends
  unsigned shim_dies = 0;         // at each step: a random pod loses its shim
  unsigned power_fails = 0;       // at each step: the machine starts anew with what was synced
  unsigned disk_fails = 0;        // at each step: a write of the store a little later
};

// One source of chance for the whole run: the seed decides everything.
class Dice final : public Random {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::uint64_t next() override { return random_.next(); }
  bool hits(unsigned thousandths) { return thousandths > 0 && below(1000) < thousandths; }

 private:
  SeededRandom random_;
};

}  // namespace moored::sim
