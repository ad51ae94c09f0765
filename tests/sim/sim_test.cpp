// Seeds of bad luck. MOORED_SIM_SEED=N replays one of them, MOORED_SIM_SEEDS=N runs so many.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "schema/base/log.hpp"
#include "tests/sim/simulation.hpp"

namespace moored::sim {
namespace {

constexpr std::uint64_t kDefaultSeeds = 20;
constexpr std::uint64_t kPlantedSeeds = 12;   // within so many seeds a planted mistake is found

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

SimResult run_seed(std::uint64_t seed, Planted planted = Planted::none) {
  set_log_level(LogLevel::error);
  SimOptions options;
  options.seed = seed;
  options.planted = planted;
  return Simulation(options).run();
}

TEST_CASE("Whatever goes wrong, the invariants hold and everything comes to rest") {
  const std::uint64_t only = number_from("MOORED_SIM_SEED", 0);
  const std::uint64_t first = only > 0 ? only : 1;
  const std::uint64_t last = only > 0 ? only : number_from("MOORED_SIM_SEEDS", kDefaultSeeds);
  int kills = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const SimResult result = run_seed(seed);
    kills += result.kills;
    if (only > 0) std::cout << result.trace;
    INFO("replay with MOORED_SIM_SEED=" << seed << '\n' << result.trace);
    CHECK(result.violation.empty());
    if (!result.violation.empty()) std::cout << "seed " << seed << ": " << result.violation << '\n';
  }
  std::cout << "simulated seeds " << first << " to " << last << ", " << kills
            << " deaths of the daemon\n";
  if (only == 0) CHECK(kills > 0);
}

TEST_CASE("The same seed gives the same run, to the last version") {
  const SimResult one = run_seed(7);
  const SimResult two = run_seed(7);
  CHECK(one.ticks == two.ticks);
  CHECK(one.kills == two.kills);
  CHECK(one.resource_version == two.resource_version);
  CHECK(one.outline == two.outline);
  CHECK(one.trace == two.trace);
}

TEST_CASE("Every planted mistake is found") {
  for (const Planted planted : kAllPlanted) {
    std::string found;
    std::uint64_t seed = 0;
    while (found.empty() && seed < kPlantedSeeds) found = run_seed(++seed, planted).violation;
    INFO(name_of(planted));
    CHECK_FALSE(found.empty());
    std::cout << name_of(planted) << ": seed " << seed << ": " << found << std::endl;
  }
}

}  // namespace
}  // namespace moored::sim
