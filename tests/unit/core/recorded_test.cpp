// Many objects looked up by key, in order and out of it.
#include "reconciler/diff/recorded.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "schema/model/core.hpp"
#include "tests/world/memory_store.hpp"

namespace moored {
namespace {

ConfigMap make_config(const std::string& space, const std::string& name) {
  ConfigMap config;
  config.metadata.namespace_name = space;
  config.metadata.name = name;
  return config;
}

TEST_CASE("Recorded objects are found in any order, twice, and not when they are absent") {
  constexpr int kCount = 60;  // far more than are searched for one by one
  test::MemoryStore store;
  std::vector<std::string> names;
  for (int i = 0; i < kCount; ++i) names.push_back("c" + std::to_string(i));
  Plan plan;
  for (const auto& name : names) {
    plan.put(make_object(make_config("shop", name)), "test");
    plan.put(make_object(make_config("till", name)), "test");
  }
  for (const Write& write : plan.writes) store.apply(write);
  RecordedObjects recorded(store);
  const auto find = [&](const std::string& space, const std::string& name) {
    return recorded.find(kind_of<ConfigMap>(), space, name);
  };
  const auto expect_all = [&](const std::vector<std::string>& order) {
    for (const auto& name : order) {
      const Object* object = find("shop", name);
      REQUIRE(object != nullptr);
      CHECK(object->key() == key_of<ConfigMap>("shop", name));
      CHECK(find("shop", name) == object);
      CHECK(find("shop", name + "x") == nullptr);
      REQUIRE(find("till", name) != nullptr);
      CHECK(find("till", name)->meta().namespace_name == "till");
    }
  };
  for (const auto& name : names) REQUIRE(find("shop", name) != nullptr);
  expect_all(names);
  expect_all({names.rbegin(), names.rend()});
  CHECK(find("shop", "") == nullptr);
  CHECK(find("shop", "zz") == nullptr);
  CHECK(find("", names[0]) == nullptr);
}

}  // namespace
}  // namespace moored
