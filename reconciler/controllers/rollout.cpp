#include "reconciler/controllers/rollout.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace moored {
namespace {

// A count, or a percentage of the total.
std::int32_t resolve(const std::optional<IntOrString>& value, std::int32_t total, bool round_up) {
  const IntOrString wanted = value.value_or(IntOrString::of(std::string("25%")));
  if (!wanted.is_string) return std::max(wanted.number, 0);
  std::int64_t percent = 0;
  std::from_chars(wanted.text.data(), wanted.text.data() + wanted.text.size(), percent);
  const std::int64_t hundredths = std::max<std::int64_t>(percent, 0) * total;
  return static_cast<std::int32_t>((hundredths + (round_up ? 99 : 0)) / 100);
}

// One part of every set, added up.
std::int32_t sum(const std::vector<SetCount>& sets, std::int32_t (*part)(const SetCount&)) {
  std::int32_t total = 0;
  for (const SetCount& set : sets) total += part(set);
  return total;
}

// What stays available once the set has come down to what it wants: the worst pods go first.
std::int32_t lasting(const SetCount& set) { return std::min(set.available, set.replicas); }
std::int32_t wanted(const SetCount& set) { return set.replicas; }
// Pods that there are or will be.
std::int32_t occupied(const SetCount& set) { return std::max(set.replicas, set.pods); }

// Takes what serves nobody, the oldest set first.
void drop_unavailable(std::vector<SetCount>& old_sets, std::int32_t most) {
  for (SetCount& set : old_sets) {
    const std::int32_t step = std::min(most, set.replicas - lasting(set));
    set.replicas -= step;
    most -= step;
  }
}

// Takes what is left, the oldest set first.
void drop_available(std::vector<SetCount>& old_sets, std::int32_t most) {
  for (SetCount& set : old_sets) {
    const std::int32_t step = std::min(most, set.replicas);
    set.replicas -= step;
    most -= step;
  }
}

// The share of a change that one set takes.
std::int32_t share(const SetCount& set, const RolloutBounds& bounds, std::int32_t left) {
  const std::int32_t before = set.max_replicas > 0 ? set.max_replicas : bounds.replicas;
  if (before == 0) return 0;
  const double size = static_cast<double>(set.replicas) *
                      static_cast<double>(bounds.replicas + bounds.surge) /
                      static_cast<double>(before);
  const auto part = static_cast<std::int32_t>(std::lround(size)) - set.replicas;
  return left > 0 ? std::clamp(part, 0, left) : std::clamp(part, left, 0);
}

}  // namespace

RolloutBounds get_bounds(const DeploymentSpec& spec) {
  RolloutBounds bounds;
  bounds.replicas = std::max(spec.replicas.value_or(1), 0);
  if (spec.strategy.type == "Recreate") return bounds;
  const RollingUpdateDeployment rolling = spec.strategy.rolling_update.value_or(
      RollingUpdateDeployment{});
  bounds.surge = resolve(rolling.max_surge, bounds.replicas, true);
  bounds.unavailable = resolve(rolling.max_unavailable, bounds.replicas, false);
  if (bounds.surge == 0 && bounds.unavailable == 0) bounds.unavailable = 1;
  bounds.unavailable = std::min(bounds.unavailable, bounds.replicas);
  return bounds;
}

std::int32_t plan_new_replicas(const SetCount& new_set, const std::vector<SetCount>& old_sets,
                               const RolloutBounds& bounds) {
  if (new_set.replicas >= bounds.replicas) return bounds.replicas;
  const std::int32_t room = bounds.replicas + bounds.surge - sum(old_sets, occupied) -
                            occupied(new_set);
  const std::int32_t missing = bounds.replicas - new_set.replicas;
  return new_set.replicas + std::clamp(room, 0, missing);
}

void shrink_old_sets(const SetCount& new_set, std::vector<SetCount>& old_sets,
                     const RolloutBounds& bounds) {
  const std::int32_t least = bounds.replicas - bounds.unavailable;
  const std::int32_t new_unavailable = new_set.replicas - lasting(new_set);
  const std::int32_t most = sum(old_sets, wanted) + new_set.replicas - least - new_unavailable;
  if (most <= 0) return;
  drop_unavailable(old_sets, most);
  const std::int32_t spare = sum(old_sets, lasting) + lasting(new_set) - least;
  if (spare > 0) drop_available(old_sets, spare);
}

void spread_replicas(std::vector<SetCount>& sets, const RolloutBounds& bounds) {
  const std::int32_t allowed = bounds.replicas > 0 ? bounds.replicas + bounds.surge : 0;
  std::int32_t left = allowed - sum(sets, wanted);
  if (left < 0) {
    // Kubernetes shrinks in proportion only and may take ready pods before broken ones.
    drop_unavailable(sets, -left);
    left = allowed - sum(sets, wanted);
  }
  if (left == 0 || sets.empty()) return;
  std::vector<std::size_t> order(sets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // The largest first; among equals the newest when growing, the oldest when shrinking.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (sets[a].replicas != sets[b].replicas) return sets[a].replicas > sets[b].replicas;
    return left > 0 ? a > b : a < b;
  });
  for (const std::size_t index : order) {
    const std::int32_t step = share(sets[index], bounds, left);
    sets[index].replicas += step;
    left -= step;
  }
  SetCount& largest = sets[order.front()];
  largest.replicas = std::max(largest.replicas + left, 0);
}

}  // namespace moored
