// Names that a replay gives again.
#include "reconciler/core/identity.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "reconciler/core/controller.hpp"
#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"
#include "tests/world/memory_store.hpp"

namespace moored {
namespace {

PlanContext context_of(const test::MemoryStore& store, std::string store_id = "abcdef") {
  return {store, {*parse_time("2026-01-02T03:04:05.678Z"), {}}, std::move(store_id), "node-1"};
}

const ObjectKey kWeb = key_of<Pod>("default", "web");

TEST_CASE("The same history gives the same names") {
  test::MemoryStore one;
  test::MemoryStore two;
  CHECK(derive_uid(context_of(one), kWeb, "a") == derive_uid(context_of(two), kWeb, "a"));
  CHECK(derive_suffix(context_of(one), kWeb, "a", 5) ==
        derive_suffix(context_of(two), kWeb, "a", 5));
}

TEST_CASE("Anything that differs gives another name") {
  test::MemoryStore store;
  test::MemoryStore later;
  ConfigMap map;
  map.metadata.name = "x";
  map.metadata.namespace_name = "default";
  later.apply({Write::Type::put, key_of<ConfigMap>("default", "x"), make_object(map), ""});
  std::set<std::string> uids;
  uids.insert(derive_uid(context_of(store), kWeb, "a"));
  uids.insert(derive_uid(context_of(store), kWeb, "b"));
  uids.insert(derive_uid(context_of(store, "012345"), kWeb, "a"));
  uids.insert(derive_uid(context_of(later), kWeb, "a"));
  uids.insert(derive_uid(context_of(store), key_of<Pod>("default", "api"), "a"));
  uids.insert(derive_uid(context_of(store), key_of<Pod>("other", "web"), "a"));
  CHECK(uids.size() == 6);
}

TEST_CASE("uids look like uids and suffixes like suffixes") {
  test::MemoryStore store;
  const std::string uid = derive_uid(context_of(store), kWeb, "a");
  REQUIRE(uid.size() == 36);
  CHECK(uid[8] == '-');
  CHECK(uid[14] == '4');
  const std::string suffix = derive_suffix(context_of(store), kWeb, "a", 5);
  CHECK(suffix.size() == 5);
  CHECK(suffix.find_first_not_of("bcdfghjklmnpqrstvwxz2456789") == std::string::npos);
}

TEST_CASE("Ten thousand names of one plan hardly ever meet") {
  test::MemoryStore store;
  std::set<std::string> uids;
  for (int n = 0; n < 10'000; ++n) {
    uids.insert(derive_uid(context_of(store), kWeb, std::to_string(n)));
  }
  CHECK(uids.size() == 10'000);
}

TEST_CASE("Times are recorded in whole seconds") {
  CHECK(format_micro_time(stamp({*parse_time("2026-01-02T03:04:05.678Z"), {}})) ==
        "2026-01-02T03:04:05.000000Z");
}

TEST_CASE("A recorded pod starts pending with its class") {
  test::MemoryStore store;
  Pod pod;
  pod.metadata.name = "web";
  pod.metadata.namespace_name = "default";
  pod.spec.containers.emplace_back().name = "web";
  const Object made = make_recorded(make_object(pod, {"s", "u", "r", "f", 3}), context_of(store));
  CHECK(made.as<Pod>().status.phase == "Pending");
  CHECK(made.as<Pod>().status.qos_class == "BestEffort");
  CHECK(made.meta().uid.size() == 36);
  CHECK(made.meta().creation_timestamp == *parse_time("2026-01-02T03:04:05Z"));
  CHECK(made.provenance().file == "f");
}

TEST_CASE("The hash of a text is the published one") {
  // Source: the test vectors of FNV-1a with 64 bits.
  CHECK(hash_text("") == 0xcbf29ce484222325ULL);
  CHECK(hash_text("a") == 0xaf63dc4c8601ec8cULL);
  CHECK(hash_text("foobar") == 0x85944171f73967e8ULL);
}

}  // namespace
}  // namespace moored
