// A whole machine with its daemon under bad luck, decided by one number.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "tests/sim/daemon.hpp"
#include "tests/sim/planted.hpp"
#include "tests/sim/watcher.hpp"
#include "tests/sim/witness.hpp"

namespace moored::sim {

struct SimOptions {
  std::uint64_t seed = 1;
  Planted planted = Planted::none;
  int rounds = 2;            // of bad luck, each followed by a rest in which all must come right
  int ticks = 500;           // of bad luck in each round
  bool deaths = true;        // the daemon is killed at random points
};

struct SimResult {
  std::string violation;     // empty: every invariant held
  std::string trace;         // the last things that happened
  int kills = 0;
  int power_cuts = 0;        // among them
  int shim_deaths = 0;
  int disk_failures = 0;
  int lists = 0;             // times that a watch had to begin anew
  int commits = 0;
  int ticks = 0;
  std::int64_t resource_version = 0;
  std::string outline;       // names and versions of all objects at the end
};

class Simulation {
 public:
  explicit Simulation(SimOptions options);
  ~Simulation();
  SimResult run();

 private:
  void note(const std::string& what);
  void violate(const std::string& what);
  void start_daemon();
  void kill(const char* where);
  void cut_power();
  void strike();
  void push_commit(bool final);
  void tick();
  void advance_to_next();
  void bad_luck();
  void rest();
  void set_odds();
  // ---- invariants ----
  void check();
  void check_calm();
  void check_floor(const StateView& view);
  void check_ceiling(const StateView& view);
  std::string find_unsettled() const;
  std::string find_unsettled_pods(const StateView& view) const;
  std::string find_difference(const Pod& pod) const;
  std::string find_unsettled_machine(const StateView& view) const;

  PlantedScope scope_;
  SimOptions options_;
  SimResult result_;
  std::string directory_;
  Dice dice_;
  Odds odds_;
  SimClock clock_;
  Machine machine_;
  Remote remote_;
  std::unique_ptr<Daemon> daemon_;
  std::deque<std::string> trace_;
  std::int64_t version_ = 0;
  MonoTime moment_{};                  // when time moved last
  int ticks_at_moment_ = 0;
  Watcher watcher_;
  int watch_at_ = 0;                   // tick of its next look
  Witness witness_;
  bool watches_floor_ = false;         // no container dies by itself in this run
  int patience_ = 0;                   // seconds that pods of every commit must be ready; 0: any
  std::optional<int> floor_;           // pods that must serve; nothing: not settled yet
  std::optional<int> ceiling_;         // pods that may be active
};

}  // namespace moored::sim
