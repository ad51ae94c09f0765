// Mistakes that are planted on purpose: the simulation has to find every one of them.
//
// None of them is in the product. They sit in the simulated ports, in wrappers around the seams
// that the composition root fills (controllers, reduce, sinks, views), and, where there is no seam,
// in functions that the linker puts in place of the real ones (tests/CMakeLists.txt, --wrap): the
// real one is called, and its answer bent.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "reconciler/core/reduce.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::sim {

enum class Planted {
  none,
  // store
  unsynced_commits, unwritten_commits, unaudited_changes, swallowed_disk_errors, greedy_compaction,
  uid_given_again,
  // loop
  forgotten_timers, lost_farewells, swapped_facts, dropped_on_failure, blind_to_the_past,
  stale_plans,
  // controllers
  deaf_to_pods, hasty_rollout, extra_pod, forgetful_endpoints, deaf_to_sets, greedy_surge,
  endpoints_only_grow, restless_cluster_ip, early_victory,
  // agent
  leaked_sandboxes, leaked_addresses, lost_exits, lost_shim_deaths, flattering_probe, brutal_stop,
  endless_stop, hasty_restarts, early_farewell, unheard_commits,
  // adoption
  killing_start, blind_adoption, adopted_as_dead, unseen_exits,
  forgotten_attempts, forgotten_readiness,
  // prune
  trusted_halves, lost_inventory, orphaned_children, pruned_strangers,
  // watch
  skipped_change, hidden_deletions, silent_gap, deaf_agent,
};

// One row of the table that is printed.
struct Mistake {
  Planted planted;
  std::string_view area;
  std::string_view name;
  std::string_view what;
};
std::span<const Mistake> all_mistakes();
// none: there is none of that name.
Planted find_planted(std::string_view name);

// The mistake that is switched on in this thread; none outside of a run.
Planted current_planted();
inline bool is_planted(Planted planted) { return current_planted() == planted; }
// Counts from one in every run: mistakes that are not made always are made at some turns.
int take_turn();
class PlantedScope {
 public:
  explicit PlantedScope(Planted planted);
  ~PlantedScope();
  PlantedScope(const PlantedScope&) = delete;
  PlantedScope& operator=(const PlantedScope&) = delete;
};

// ---- wrappers around the seams ------------------------------------------------------------------

// The real controllers, with the mistake wrapped around the one it concerns.
std::vector<std::unique_ptr<Controller>> make_planted_controllers(const StateSource& state);
// The real reduce(), with the mistakes that are made with facts.
Plan planted_reduce(const Fact& fact, const PlanContext& context, const ReduceOptions& options);

// The real sink, or one that loses some facts or turns them round.
class PlantedSink final : public FactSink {
 public:
  explicit PlantedSink(FactSink& inner) : inner_(inner) {}
  void post(Fact fact, Cause cause) override;
  // Something was posted since it was last said to be taken.
  bool has_news() const { return has_news_; }
  void take_news() { has_news_ = false; }

 private:
  FactSink& inner_;
  bool has_news_ = false;
  std::optional<std::pair<Fact, Cause>> held_;
};

// What a follower reads, with the mistakes that are made on the way to it.
class PlantedState final : public StateSource {
 public:
  enum class Reader { agent, watch };
  PlantedState(const StateSource& inner, Reader reader) : inner_(inner), reader_(reader) {}
  std::shared_ptr<const StateView> view() const override { return inner_.view(); }
  Result<std::vector<Change>> changes_since(const Kind* kind, std::int64_t after,
                                            std::size_t limit) const override;
  Result<std::shared_ptr<const StateView>> view_at(std::int64_t version) const override {
    return inner_.view_at(version);
  }

 private:
  const StateSource& inner_;
  Reader reader_;
};

}  // namespace moored::sim
