#include "tests/sim/planted.hpp"

#include <utility>

namespace moored::sim {
namespace {

thread_local Planted current = Planted::none;
thread_local int turns = 0;

// Every so many times a mistake that is not made always is made.
constexpr int kOften = 5;

constexpr Mistake kMistakes[] = {
    {Planted::unsynced_commits, "store", "unsynced_commits", "commits are not synced to the disk"},
    {Planted::unwritten_commits, "store", "unwritten_commits",
     "one transaction in eight is acknowledged and not written"},
    {Planted::unaudited_changes, "store", "unaudited_changes",
     "one transaction in eight loses its audit row"},
    {Planted::swallowed_disk_errors, "store", "swallowed_disk_errors",
     "a transaction that failed is taken for written"},
    {Planted::greedy_compaction, "store", "greedy_compaction",
     "forgetting history takes a newest revision along"},
    {Planted::uid_given_again, "store", "uid_given_again",
     "an object that is made again gets the uid it had"},
    {Planted::forgotten_timers, "loop", "forgotten_timers",
     "nothing is called again when its time comes"},
    {Planted::lost_farewells, "loop", "lost_farewells", "facts about pods that are gone are lost"},
    {Planted::swapped_facts, "loop", "swapped_facts", "an older status overtakes a newer one"},
    {Planted::dropped_on_failure, "loop", "dropped_on_failure",
     "facts that the store did not take are not kept"},
    {Planted::blind_to_the_past, "loop", "blind_to_the_past",
     "what an object was before wakes nobody"},
    {Planted::stale_plans, "loop", "stale_plans", "plans are made on a state that lags behind"},
    {Planted::deaf_to_pods, "controllers", "deaf_to_pods", "ReplicaSets do not hear of their pods"},
    {Planted::hasty_rollout, "controllers", "hasty_rollout", "all old pods are taken at once"},
    {Planted::extra_pod, "controllers", "extra_pod", "each pod is made twice"},
    {Planted::forgetful_endpoints, "controllers", "forgetful_endpoints",
     "Services do not hear of pods"},
    {Planted::deaf_to_sets, "controllers", "deaf_to_sets",
     "Deployments do not hear of their ReplicaSets"},
    {Planted::greedy_surge, "controllers", "greedy_surge", "new pods come without regard to surge"},
    {Planted::endpoints_only_grow, "controllers", "endpoints_only_grow",
     "an endpoint once listed stays listed"},
    {Planted::restless_cluster_ip, "controllers", "restless_cluster_ip",
     "a Service gets another address now and then"},
    {Planted::early_victory, "controllers", "early_victory",
     "a revision is called ready when it is applied"},
    {Planted::leaked_sandboxes, "agent", "leaked_sandboxes", "removing a sandbox does nothing"},
    {Planted::leaked_addresses, "agent", "leaked_addresses", "giving back an address does nothing"},
    {Planted::lost_exits, "agent", "lost_exits", "ends of containers are not heard of"},
    {Planted::lost_shim_deaths, "agent", "lost_shim_deaths", "deaths of shims are not heard of"},
    {Planted::flattering_probe, "agent", "flattering_probe", "every probe succeeds"},
    {Planted::brutal_stop, "agent", "brutal_stop", "the stop signal is SIGKILL"},
    {Planted::endless_stop, "agent", "endless_stop", "after the grace period nothing is killed"},
    {Planted::hasty_restarts, "agent", "hasty_restarts", "restarts do not back off"},
    {Planted::early_farewell, "agent", "early_farewell",
     "a pod is called gone as soon as it is to go"},
    {Planted::unheard_commits, "agent", "unheard_commits", "commits do not wake the agent"},
    {Planted::killing_start, "adoption", "killing_start", "a start of the daemon ends what runs"},
    {Planted::blind_adoption, "adoption", "blind_adoption", "what runs already is not seen"},
    {Planted::adopted_as_dead, "adoption", "adopted_as_dead", "what runs is taken for ended"},
    {Planted::unseen_exits, "adoption", "unseen_exits", "what has ended is taken for running"},
    {Planted::forgotten_attempts, "adoption", "forgotten_attempts",
     "attempts are counted from the beginning again"},
    {Planted::forgotten_readiness, "adoption", "forgotten_readiness",
     "what was ready is not until it is probed"},
    {Planted::trusted_halves, "prune", "trusted_halves", "half a tree is taken for a whole one"},
    {Planted::lost_inventory, "prune", "lost_inventory", "what was applied is not remembered"},
    {Planted::orphaned_children, "prune", "orphaned_children",
     "what an owner leaves behind is not removed"},
    {Planted::pruned_strangers, "prune", "pruned_strangers",
     "what another unit declares is removed"},
    {Planted::skipped_change, "watch", "skipped_change", "a watch begins one change too late"},
    {Planted::hidden_deletions, "watch", "hidden_deletions", "a watch does not tell of deletions"},
    {Planted::silent_gap, "watch", "silent_gap",
     "a watch that is too old goes on instead of beginning anew"},
    {Planted::deaf_agent, "watch", "deaf_agent", "the agent misses one change in five"},
};

}  // namespace

std::span<const Mistake> all_mistakes() { return kMistakes; }

Planted find_planted(std::string_view name) {
  for (const Mistake& mistake : kMistakes) {
    if (mistake.name == name) return mistake.planted;
  }
  return Planted::none;
}

Planted current_planted() { return current; }
int take_turn() { return ++turns; }

PlantedScope::PlantedScope(Planted planted) {
  current = planted;
  turns = 0;
}
PlantedScope::~PlantedScope() { current = Planted::none; }

// A status that differs from the one told before is held back until the next one was told.
void PlantedSink::post(Fact fact, Cause cause) {
  has_news_ = true;
  const auto* pod = std::get_if<PodObserved>(&fact);
  if (is_planted(Planted::lost_farewells) && pod != nullptr && pod->gone) return;
  if (is_planted(Planted::swapped_facts) && pod != nullptr && !pod->gone) {
    if (!held_) {
      held_.emplace(std::move(fact), std::move(cause));
      return;
    }
    inner_.post(std::move(fact), std::move(cause));
    inner_.post(std::move(held_->first), std::move(held_->second));
    held_.reset();
    return;
  }
  inner_.post(std::move(fact), std::move(cause));
}

Result<std::vector<Change>> PlantedState::changes_since(const Kind* kind, std::int64_t after,
                                                        std::size_t limit) const {
  if (reader_ == Reader::agent) {
    auto changes = inner_.changes_since(kind, after, limit);
    if (is_planted(Planted::deaf_agent) && changes) {
      std::erase_if(*changes, [](const Change&) { return take_turn() % kOften == 0; });
    }
    return changes;
  }
  const bool turn = take_turn() % kOften == 0;
  if (is_planted(Planted::skipped_change) && turn) ++after;
  auto changes = inner_.changes_since(kind, after, limit);
  if (is_planted(Planted::silent_gap) && !changes && changes.error().reason == "Expired") {
    return std::vector<Change>{};
  }
  if (is_planted(Planted::hidden_deletions) && changes) {
    std::erase_if(*changes, [](const Change& one) { return one.type == Change::Type::deleted; });
  }
  return changes;
}

}  // namespace moored::sim
