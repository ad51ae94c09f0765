// The newest changes in memory, against the log on the disk.
#include "reconciler/store/recent.hpp"

#include <catch2/catch.hpp>

#include "fixture.hpp"
#include "schema/codec/codec.hpp"

using namespace moored;
using namespace moored::test;
using moored::store::RecentChanges;

namespace {

Change change_of(std::int64_t version, bool config) {
  Change change;
  change.resource_version = version;
  change.object = config ? make_object(make_config("a", std::to_string(version)))
                         : make_object(make_deployment("web", 1));
  return change;
}

std::vector<std::int64_t> versions(const std::optional<std::vector<Change>>& changes) {
  std::vector<std::int64_t> out;
  REQUIRE(changes);
  for (const auto& change : *changes) out.push_back(change.resource_version);
  return out;
}

using Versions = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("changes are found from a version on, of a kind, up to a number") {
  RecentChanges recent;
  recent.reset(10);
  for (std::int64_t version = 11; version <= 16; ++version) {
    recent.add(change_of(version, version % 2 == 0), 100);
  }
  CHECK(versions(recent.find_since(nullptr, 13, 100)) == Versions{14, 15, 16});
  CHECK(versions(recent.find_since(nullptr, 10, 2)) == Versions{11, 12});
  CHECK(versions(recent.find_since(&kind_of<ConfigMap>(), 12, 100)) == Versions{14, 16});
  CHECK(versions(recent.find_since(nullptr, 16, 100)).empty());
  CHECK(versions(recent.find_since(nullptr, 99, 100)).empty());
  // Version 10 is the last that is not known here.
  CHECK_FALSE(recent.find_since(nullptr, 9, 100));
  recent.reset(16);
  CHECK(recent.size() == 0);
  CHECK_FALSE(recent.find_since(nullptr, 15, 100));
}

TEST_CASE("what is dropped is known to be missing") {
  RecentChanges recent;
  recent.reset(10);
  recent.drop();
  CHECK(versions(recent.find_since(nullptr, 10, 100)).empty());
  recent.add(change_of(11, true), 100);
  recent.add(change_of(12, true), 100);
  recent.drop();
  CHECK(recent.size() == 0);
  CHECK_FALSE(recent.find_since(nullptr, 11, 100));
  recent.add(change_of(13, true), 100);
  CHECK(versions(recent.find_since(nullptr, 12, 100)) == Versions{13});
}

TEST_CASE("what is kept in memory is bounded by number and by bytes") {
  RecentChanges recent;
  for (std::int64_t version = 1; version <= 1'000; ++version) {
    recent.add(change_of(version, true), 1);
  }
  CHECK(recent.size() == RecentChanges::kMaxChanges);
  CHECK_FALSE(recent.find_since(nullptr, 743, 100));
  CHECK(recent.find_since(nullptr, 744, 1'000)->size() == RecentChanges::kMaxChanges);
  recent.add(change_of(1'001, true), RecentChanges::kMaxBytes - 10);
  CHECK(recent.size() == 11);
  recent.add(change_of(1'002, true), RecentChanges::kMaxBytes + 1);
  CHECK(recent.size() == 0);
  CHECK_FALSE(recent.find_since(nullptr, 1'001, 10));
  CHECK(recent.find_since(nullptr, 1'002, 10)->empty());
}

TEST_CASE("memory and disk tell the same changes") {
  const TestDirectory directory;
  const auto options = store_options(directory);
  auto store = open_store(options);
  for (int i = 0; i < 20; ++i) {
    record(*store, put_plan(make_config("a" + std::to_string(i % 3), std::to_string(i))));
    if (i % 5 == 4) record(*store, remove_plan<ConfigMap>("a" + std::to_string(i % 3)));
  }
  // What was written by another process's store is read from the disk.
  std::vector<std::vector<Change>> in_memory;
  for (std::int64_t after = 0; after < 24; ++after) {
    in_memory.push_back(*store->changes_since(nullptr, after, 7));
  }
  store.reset();
  store = open_store(options);
  for (std::int64_t after = 0; after < 24; ++after) {
    const auto from_disk = store->changes_since(nullptr, after, 7);
    REQUIRE(from_disk);
    const auto& kept = in_memory[static_cast<std::size_t>(after)];
    REQUIRE(from_disk->size() == kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const Change& change = (*from_disk)[i];
      CHECK(change.type == kept[i].type);
      CHECK(change.resource_version == kept[i].resource_version);
      CHECK(encode_json(change.object) == encode_json(kept[i].object));
      CHECK(change.object.provenance() == kept[i].object.provenance());
      REQUIRE(change.previous.has_value() == kept[i].previous.has_value());
      if (change.previous) CHECK(encode_json(*change.previous) == encode_json(*kept[i].previous));
    }
  }
}
