// The arithmetic of a rollout, as tables.
#include "reconciler/controllers/rollout.hpp"

#include <catch2/catch.hpp>

#include "schema/base/random.hpp"

namespace moored {
namespace {

DeploymentSpec rolling(std::int32_t replicas, std::optional<IntOrString> surge,
                       std::optional<IntOrString> unavailable) {
  DeploymentSpec spec;
  spec.replicas = replicas;
  spec.strategy.type = "RollingUpdate";
  spec.strategy.rolling_update = RollingUpdateDeployment{unavailable, surge};
  return spec;
}

IntOrString percent(const char* text) { return IntOrString::of(std::string(text)); }
IntOrString number(std::int32_t n) { return IntOrString::of(n); }

struct BoundsRow {
  const char* what;
  std::int32_t replicas;
  IntOrString surge;
  IntOrString unavailable;
  std::int32_t want_surge;
  std::int32_t want_unavailable;
};

TEST_CASE("Percentages are rounded as Kubernetes rounds them") {
  const BoundsRow rows[] = {
      {"defaults of one pod", 1, percent("25%"), percent("25%"), 1, 0},
      {"defaults of two pods", 2, percent("25%"), percent("25%"), 1, 0},
      {"defaults of three pods", 3, percent("25%"), percent("25%"), 1, 0},
      {"defaults of four pods", 4, percent("25%"), percent("25%"), 1, 1},
      {"defaults of ten pods", 10, percent("25%"), percent("25%"), 3, 2},
      {"plain numbers", 5, number(2), number(1), 2, 1},
      {"both zero make one unavailable", 3, number(0), number(0), 0, 1},
      {"both round to zero", 3, number(0), percent("10%"), 0, 1},
      {"all unavailable", 3, number(0), percent("100%"), 0, 3},
      {"more than there are", 3, number(1), number(7), 1, 3},
      {"surge above one hundred percent", 2, percent("150%"), number(0), 3, 0},
      {"one percent of many", 200, percent("1%"), percent("1%"), 2, 2},
      {"no replicas", 0, percent("25%"), percent("25%"), 0, 0},
      {"negative counts are none", 3, number(-1), number(-1), 0, 1},
  };
  for (const BoundsRow& row : rows) {
    INFO(row.what);
    const RolloutBounds bounds = get_bounds(rolling(row.replicas, row.surge, row.unavailable));
    CHECK(bounds.replicas == row.replicas);
    CHECK(bounds.surge == row.want_surge);
    CHECK(bounds.unavailable == row.want_unavailable);
  }
}

TEST_CASE("Bounds without a word about them are a quarter each way") {
  const RolloutBounds bounds = get_bounds(rolling(8, std::nullopt, std::nullopt));
  CHECK(bounds.surge == 2);
  CHECK(bounds.unavailable == 2);
}

TEST_CASE("Recreate goes neither above nor below") {
  DeploymentSpec spec;
  spec.replicas = 5;
  spec.strategy.type = "Recreate";
  const RolloutBounds bounds = get_bounds(spec);
  CHECK(bounds.surge == 0);
  CHECK(bounds.unavailable == 0);
}

struct GrowRow {
  const char* what;
  SetCount newest;                 // replicas, pods, available
  std::vector<SetCount> old_sets;
  RolloutBounds bounds;            // replicas, surge, unavailable
  std::int32_t want;
};

TEST_CASE("The new set grows as far as surge allows") {
  const GrowRow rows[] = {
      {"first rollout takes all", {0, 0, 0, 0}, {}, {3, 1, 0}, 3},
      {"one above the old ones", {0, 0, 0, 0}, {{3, 3, 3, 0}}, {3, 1, 0}, 1},
      {"no surge, nothing free", {0, 0, 0, 0}, {{3, 3, 3, 0}}, {3, 0, 1}, 0},
      {"no surge, one freed", {0, 0, 0, 0}, {{2, 2, 2, 0}}, {3, 0, 1}, 1},
      {"a freed place is still taken", {0, 0, 0, 0}, {{2, 3, 3, 0}}, {3, 0, 1}, 0},
      {"never above the wanted number", {2, 2, 2, 0}, {{0, 0, 0, 0}}, {3, 5, 0}, 3},
      {"too many are brought down", {5, 5, 5, 0}, {}, {3, 1, 0}, 3},
      {"pods not made yet count", {1, 0, 0, 0}, {{3, 3, 3, 0}}, {3, 1, 0}, 1},
      {"two old sets", {0, 0, 0, 0}, {{2, 2, 2, 0}, {2, 2, 2, 0}}, {4, 1, 1}, 1},
      {"over the bound already", {1, 1, 1, 0}, {{5, 5, 5, 0}}, {3, 1, 0}, 1},
      {"down to nothing", {2, 2, 2, 0}, {}, {0, 0, 0}, 0},
  };
  for (const GrowRow& row : rows) {
    INFO(row.what);
    CHECK(plan_new_replicas(row.newest, row.old_sets, row.bounds) == row.want);
  }
}

struct ShrinkRow {
  const char* what;
  SetCount newest;
  std::vector<SetCount> old_sets;
  RolloutBounds bounds;
  std::vector<std::int32_t> want;
};

TEST_CASE("Old sets give up only what others replace") {
  const ShrinkRow rows[] = {
      {"new pod not ready: all stay", {1, 1, 0, 0}, {{3, 3, 3, 0}}, {3, 1, 0}, {3}},
      {"new pod ready: one goes", {1, 1, 1, 0}, {{3, 3, 3, 0}}, {3, 1, 0}, {2}},
      {"one may be missing", {0, 0, 0, 0}, {{3, 3, 3, 0}}, {3, 0, 1}, {2}},
      {"missing already", {1, 1, 0, 0}, {{2, 2, 2, 0}}, {3, 0, 1}, {2}},
      {"broken old pods go first", {1, 1, 0, 0}, {{3, 3, 1, 0}}, {3, 1, 1}, {2}},
      {"the oldest set first", {2, 2, 2, 0}, {{2, 2, 2, 0}, {1, 1, 1, 0}}, {4, 1, 0}, {1, 1}},
      {"several sets", {4, 4, 4, 0}, {{2, 2, 2, 0}, {1, 1, 1, 0}}, {4, 3, 0}, {0, 0}},
      {"a pod still going does not count", {1, 1, 1, 0}, {{2, 3, 3, 0}}, {3, 1, 0}, {2}},
      {"all new ready: all old go", {3, 3, 3, 0}, {{1, 1, 1, 0}}, {3, 1, 0}, {0}},
      {"nothing wanted", {0, 0, 0, 0}, {{2, 2, 2, 0}}, {0, 0, 0}, {0}},
      {"all may be missing", {0, 0, 0, 0}, {{3, 3, 3, 0}}, {3, 0, 3}, {0}},
  };
  for (const ShrinkRow& row : rows) {
    INFO(row.what);
    std::vector<SetCount> sets = row.old_sets;
    shrink_old_sets(row.newest, sets, row.bounds);
    std::vector<std::int32_t> got;
    for (const SetCount& set : sets) got.push_back(set.replicas);
    CHECK(got == row.want);
  }
}

struct SpreadRow {
  const char* what;
  std::vector<SetCount> sets;      // the newest last
  RolloutBounds bounds;
  std::vector<std::int32_t> want;
};

TEST_CASE("A new number is spread in proportion") {
  const SpreadRow rows[] = {
      {"ten to fifteen", {{8, 8, 8, 13}, {5, 5, 0, 13}}, {15, 3, 2}, {11, 7}},
      {"nothing to do", {{3, 3, 3, 5}, {2, 2, 2, 5}}, {4, 1, 1}, {3, 2}},
      {"to nothing", {{3, 3, 3, 5}, {2, 2, 2, 5}}, {0, 0, 0}, {0, 0}},
      {"halved", {{6, 6, 6, 12}, {6, 6, 6, 12}}, {5, 1, 1}, {3, 3}},
      {"what is not available goes first", {{2, 2, 2, 5}, {3, 3, 0, 5}}, {2, 1, 0}, {2, 1}},
      {"then what is, the oldest first", {{6, 6, 4, 12}, {6, 6, 4, 12}}, {3, 1, 1}, {1, 3}},
      {"equal sets: the newest grows first", {{2, 2, 2, 4}, {2, 2, 2, 4}}, {4, 1, 1}, {2, 3}},
      {"size unknown: the wanted number stands in", {{2, 2, 2, 0}, {2, 2, 2, 0}}, {4, 0, 1},
       {2, 2}},
  };
  for (const SpreadRow& row : rows) {
    INFO(row.what);
    std::vector<SetCount> sets = row.sets;
    spread_replicas(sets, row.bounds);
    std::vector<std::int32_t> got;
    for (const SetCount& set : sets) got.push_back(set.replicas);
    CHECK(got == row.want);
  }
}

// ---- properties over random counts ------------------------------------------------------------

SetCount random_set(Random& random) {
  SetCount set;
  set.replicas = static_cast<std::int32_t>(random.below(6));
  set.pods = static_cast<std::int32_t>(random.below(6));
  set.available = static_cast<std::int32_t>(
      random.below(static_cast<std::uint64_t>(set.pods) + 1));
  set.max_replicas = static_cast<std::int32_t>(random.below(12));
  return set;
}

RolloutBounds random_bounds(Random& random) {
  RolloutBounds bounds;
  bounds.replicas = static_cast<std::int32_t>(random.below(9));
  bounds.surge = static_cast<std::int32_t>(random.below(4));
  bounds.unavailable = static_cast<std::int32_t>(
      random.below(static_cast<std::uint64_t>(bounds.replicas) + 1));
  if (bounds.surge == 0 && bounds.unavailable == 0 && bounds.replicas > 0) {
    bounds.unavailable = 1;
  }
  return bounds;
}

std::int32_t occupied(const std::vector<SetCount>& sets) {
  std::int32_t total = 0;
  for (const SetCount& set : sets) total += std::max(set.replicas, set.pods);
  return total;
}

std::int32_t lasting(const std::vector<SetCount>& sets) {
  std::int32_t total = 0;
  for (const SetCount& set : sets) total += std::min(set.replicas, set.available);
  return total;
}

TEST_CASE("Growing never passes the upper bound") {
  SeededRandom random(1);
  for (int round = 0; round < 20'000; ++round) {
    const RolloutBounds bounds = random_bounds(random);
    SetCount newest = random_set(random);
    const std::vector<SetCount> old_sets{random_set(random), random_set(random)};
    const std::int32_t before = newest.replicas;
    newest.replicas = plan_new_replicas(newest, old_sets, bounds);
    INFO("round " << round);
    REQUIRE(newest.replicas <= std::max(bounds.replicas, 0));
    if (newest.replicas > before) {
      REQUIRE(occupied({newest}) + occupied(old_sets) <=
              std::max(bounds.replicas + bounds.surge, 0));
    }
  }
}

TEST_CASE("Shrinking never passes the lower bound, and never grows a set") {
  SeededRandom random(2);
  for (int round = 0; round < 20'000; ++round) {
    const RolloutBounds bounds = random_bounds(random);
    const SetCount newest = random_set(random);
    const std::vector<SetCount> before{random_set(random), random_set(random)};
    std::vector<SetCount> after = before;
    shrink_old_sets(newest, after, bounds);
    const std::int32_t least = bounds.replicas - bounds.unavailable;
    const std::int32_t lost = lasting(before) - lasting(after);
    INFO("round " << round);
    for (std::size_t i = 0; i < after.size(); ++i) {
      REQUIRE(after[i].replicas <= before[i].replicas);
      REQUIRE(after[i].replicas >= 0);
    }
    if (lost > 0) REQUIRE(lasting(after) + lasting({newest}) >= least);
  }
}

TEST_CASE("Spreading keeps the sum at what is allowed") {
  SeededRandom random(3);
  for (int round = 0; round < 20'000; ++round) {
    const RolloutBounds bounds = random_bounds(random);
    std::vector<SetCount> sets{random_set(random), random_set(random), random_set(random)};
    spread_replicas(sets, bounds);
    std::int32_t total = 0;
    for (const SetCount& set : sets) {
      REQUIRE(set.replicas >= 0);
      total += set.replicas;
    }
    INFO("round " << round);
    REQUIRE(total >= (bounds.replicas > 0 ? bounds.replicas + bounds.surge : 0));
  }
}

}  // namespace
}  // namespace moored
