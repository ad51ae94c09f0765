// Seeds of bad luck. A number replays a run: MOORED_SIM_SEED=N, with a planted mistake
// MOORED_SIM_PLANTED=NAME. MOORED_SIM_SEEDS=N runs the seeds from MOORED_SIM_FIRST (1) on.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include "schema/base/log.hpp"
#include "tests/sim/simulation.hpp"

namespace moored::sim {
namespace {

constexpr std::uint64_t kDefaultSeeds = 20;
constexpr std::uint64_t kPlantedSeeds = 40;   // within so many seeds a planted mistake is found

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

// What goes wrong on purpose is not logged, unless one run is looked at.
void be_quiet() {
  if (std::getenv("MOORED_SIM_SEED") != nullptr) return;
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  if (nowhere >= 0) ::close(nowhere);
}

SimResult run_seed(std::uint64_t seed, Planted planted = Planted::none) {
  be_quiet();
  SimOptions options;
  options.seed = seed;
  options.planted = planted;
  return Simulation(options).run();
}

std::string replay_command(std::uint64_t seed, std::string_view planted = {}) {
  std::string command = "MOORED_SIM_SEED=" + std::to_string(seed);
  if (!planted.empty()) command += " MOORED_SIM_PLANTED=" + std::string(planted);
  return command + " build/dev/tests/test_sim '[seeds]'";
}

TEST_CASE("Whatever goes wrong, the invariants hold and everything comes to rest", "[seeds]") {
  const std::uint64_t only = number_from("MOORED_SIM_SEED", 0);
  const std::uint64_t first = only > 0 ? only : number_from("MOORED_SIM_FIRST", 1);
  const std::uint64_t last =
      only > 0 ? only : first - 1 + number_from("MOORED_SIM_SEEDS", kDefaultSeeds);
  const char* name = std::getenv("MOORED_SIM_PLANTED");
  const Planted planted = name == nullptr ? Planted::none : find_planted(name);
  REQUIRE((name == nullptr || planted != Planted::none));
  SimResult sum;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const SimResult result = run_seed(seed, planted);
    sum.kills += result.kills;
    sum.power_cuts += result.power_cuts;
    sum.shim_deaths += result.shim_deaths;
    sum.disk_failures += result.disk_failures;
    sum.commits += result.commits;
    sum.ticks += result.ticks;
    sum.lists += result.lists;
    if (only > 0) std::cout << result.trace;
    INFO("replay with " << replay_command(seed) << '\n' << result.trace);
    CHECK(result.violation.empty());
    if (!result.violation.empty()) {
      std::cout << "seed " << seed << ": " << result.violation << "\n  " << replay_command(seed)
                << std::endl;
    }
  }
  std::cout << "simulated seeds " << first << " to " << last << ": " << sum.ticks << " steps, "
            << sum.commits << " commits, " << sum.kills << " deaths of the daemon, "
            << sum.power_cuts << " of them by power cuts, " << sum.shim_deaths
            << " deaths of shims, " << sum.disk_failures << " failed writes, " << sum.lists
            << " lists of watches\n";
  if (only == 0) CHECK(sum.kills > 0);
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

// Prints the table of docs/reliability.md. MOORED_SIM_PLANTED=NAME looks at one mistake only.
TEST_CASE("Every planted mistake is found", "[planted]") {
  const char* only = std::getenv("MOORED_SIM_PLANTED");
  std::cout << "| mistake | area | seeds | found by |\n|---|---|---|---|\n";
  for (const Mistake& mistake : all_mistakes()) {
    if (only != nullptr && mistake.name != only) continue;
    std::string found;
    std::uint64_t seed = 0;
    while (found.empty() && seed < kPlantedSeeds) found = run_seed(++seed, mistake.planted).violation;
    INFO(mistake.name << ": " << mistake.what << "; replay with "
                      << replay_command(1, mistake.name));
    CHECK_FALSE(found.empty());
    std::cout << "| " << mistake.what << " (`" << mistake.name << "`) | " << mistake.area << " | "
              << (found.empty() ? "-" : std::to_string(seed)) << " | " << found << " |"
              << std::endl;
  }
}

}  // namespace
}  // namespace moored::sim
