// The way into version 1 cgroups, as far as it needs no groups; tests/privileged has the rest.
#include <catch2/catch.hpp>

#include "runtime/shim/entrance.hpp"

using namespace moored;

TEST_CASE("entrances are opened in their order, or the missing one is named") {
  const auto opened = shim::open_entrances({"/dev/null", "/dev/full"});
  REQUIRE(opened);
  REQUIRE(opened->size() == 2);
  CHECK(shim::enter_group(opened->at(0).get()));
  const auto refused = shim::enter_group(opened->at(1).get());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::exhausted);
  CHECK_THAT(refused.error().message, Catch::Contains("enter cgroup"));

  const auto missing = shim::open_entrances({"/dev/null", "/no/such/group/tasks"});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::not_found);
  CHECK_THAT(missing.error().message, Catch::Contains("/no/such/group/tasks"));
  CHECK(shim::open_entrances({})->empty());
}
