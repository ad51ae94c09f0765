// Cluster addresses: deterministic, never twice, never outside.
#include "reconciler/controllers/cluster_ip.hpp"

#include <catch2/catch.hpp>

#include "schema/model/core.hpp"

namespace moored {
namespace {

ObjectKey service(const std::string& name) { return key_of<Service>("default", name); }

TEST_CASE("The same name gets the same free address") {
  const auto first = plan_cluster_ip("10.210.0.0/16", service("web"), {});
  REQUIRE(first);
  CHECK(first->rfind("10.210.", 0) == 0);
  CHECK(plan_cluster_ip("10.210.0.0/16", service("web"), {}) == first);
}

TEST_CASE("A taken address is passed over") {
  const auto first = plan_cluster_ip("10.210.0.0/16", service("web"), {});
  const auto second = plan_cluster_ip("10.210.0.0/16", service("web"), {*first});
  REQUIRE(second);
  CHECK(second != first);
}

TEST_CASE("A small range is given out completely and then not at all") {
  std::set<std::string> taken;
  // 32 addresses: sixteen reserved at the start, one at the end.
  for (int n = 0; n < 15; ++n) {
    const auto address =
        plan_cluster_ip("10.0.0.0/27", service("s" + std::to_string(n)), taken);
    REQUIRE(address);
    CHECK(taken.insert(*address).second);
  }
  CHECK(taken.count("10.0.0.15") == 0);
  CHECK(taken.count("10.0.0.16") == 1);
  CHECK(taken.count("10.0.0.30") == 1);
  CHECK(taken.count("10.0.0.31") == 0);
  CHECK_FALSE(plan_cluster_ip("10.0.0.0/27", service("late"), taken));
}

TEST_CASE("The base of the range is rounded down to its prefix") {
  const auto address = plan_cluster_ip("10.0.0.77/24", service("web"), {});
  REQUIRE(address);
  CHECK(address->rfind("10.0.0.", 0) == 0);
}

TEST_CASE("What is not a range gives nothing") {
  for (const char* text : {"", "10.0.0.0", "10.0.0/24", "10.0.0.0/33", "10.0.0.256/24",
                           "10.0.0.0/24x", "a.b.c.d/8", "10.0.0.0/28", "10.0.0.0/", "/24",
                           "10.0.0.0.0/24", "-1.0.0.0/24"}) {
    INFO(text);
    CHECK_FALSE(plan_cluster_ip(text, service("web"), {}));
  }
}

TEST_CASE("A thousand Services get a thousand addresses") {
  std::set<std::string> taken;
  for (int n = 0; n < 1000; ++n) {
    const auto address =
        plan_cluster_ip("10.210.0.0/16", service("svc-" + std::to_string(n)), taken);
    REQUIRE(address);
    REQUIRE(taken.insert(*address).second);
  }
}

}  // namespace
}  // namespace moored
