// The parts of the store by themselves: the sharing map, sealing, the audit chain, compaction.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include "reconciler/store/audit.hpp"
#include "reconciler/store/connection.hpp"
#include "reconciler/store/database.hpp"
#include "reconciler/store/persistent_map.hpp"
#include "reconciler/store/seal.hpp"
#include "schema/base/random.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/model/cluster.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

using store::Connection;
using store::PersistentMap;
using store::Sealer;

TEST_CASE("a sharing map agrees with a plain one, and old versions stay") {
  SeededRandom random(GENERATE(1U, 2U, 3U));
  PersistentMap<int, std::string> shared;
  std::map<int, std::string> plain;
  std::vector<std::pair<PersistentMap<int, std::string>, std::map<int, std::string>>> versions;
  for (int step = 0; step < 2'000; ++step) {
    const int key = static_cast<int>(random.below(200));
    if (random.below(3) == 0) {
      shared = shared.without(key);
      plain.erase(key);
    } else {
      shared = shared.with(key, std::to_string(step));
      plain[key] = std::to_string(step);
    }
    if (step % 400 == 0) versions.emplace_back(shared, plain);
  }
  versions.emplace_back(shared, plain);
  for (const auto& [map, expected] : versions) {
    REQUIRE(map.size() == expected.size());
    std::map<int, std::string> all;
    int last = -1;
    bool sorted = true;
    map.visit_all([&](int key, const std::string& value) {
      sorted = sorted && key > last;
      last = key;
      all[key] = value;
      return true;
    });
    REQUIRE(sorted);
    REQUIRE(all == expected);
    for (int key = 0; key < 200; ++key) {
      const auto found = expected.find(key);
      const std::string* value = map.find(key);
      REQUIRE((value == nullptr) == (found == expected.end()));
      if (value != nullptr) REQUIRE(*value == found->second);
    }
  }
}

TEST_CASE("a walk of the sharing map begins where it is told and ends when it is told") {
  PersistentMap<int, int> map;
  for (int key = 0; key < 100; key += 2)
    map = map.with(key, key);
  for (int first = 0; first < 99; ++first) {
    std::vector<int> seen;
    map.visit_from(first, [&](int key, int) {
      seen.push_back(key);
      return seen.size() < 3;
    });
    const int begin = first + first % 2;
    REQUIRE(seen.front() == begin);
    REQUIRE(seen.size() == std::min<std::size_t>(3, static_cast<std::size_t>((100 - begin) / 2)));
  }
}

TEST_CASE("sealed values open with their key and context, and with nothing else") {
  const TestDirectory directory;
  const auto sealer = Sealer::open(directory.file("seal.key"), true);
  REQUIRE(sealer.has_value());
  const std::string clear = "canary-s3cret";
  const auto sealed = sealer->seal(clear, "here");
  REQUIRE(sealed.has_value());
  REQUIRE(sealed->find(clear) == std::string::npos);
  REQUIRE(*sealer->seal(clear, "here") != *sealed);
  REQUIRE(*sealer->unseal(*sealed, "here") == clear);
  REQUIRE(*sealer->unseal(*sealer->seal("", "here"), "here") == "");
  REQUIRE(sealer->unseal(*sealed, "there").error().code == Code::corrupt);
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    std::string bad = *sealed;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    REQUIRE_FALSE(sealer->unseal(bad, "here").has_value());
    REQUIRE_FALSE(sealer->unseal(sealed->substr(0, i), "here").has_value());
  }
  const auto other = Sealer::open(directory.file("other.key"), true);
  REQUIRE_FALSE(other->unseal(*sealed, "here").has_value());
  REQUIRE(other->digest(clear) != sealer->digest(clear));
  const auto again = Sealer::open(directory.file("seal.key"), false);
  REQUIRE(*again->unseal(*sealed, "here") == clear);
  REQUIRE(again->digest(clear) == sealer->digest(clear));
}

TEST_CASE("a key that others can read, or that is none, is refused") {
  const TestDirectory directory;
  const std::string path = directory.file("seal.key");
  REQUIRE(Sealer::open(path, false).error().code == Code::not_found);
  REQUIRE(Sealer::open(path, true).has_value());
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  REQUIRE(Sealer::open(path, true).error().reason == "KeyExposed");
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  REQUIRE(write_file(path, "short"));
  REQUIRE(Sealer::open(path, true).error().code == Code::corrupt);
}

Secret make_secret(const std::string& value) {
  Secret secret;
  secret.metadata.name = "token";
  secret.metadata.namespace_name = "default";
  secret.type = "Opaque";
  secret.data["password"] = value;
  secret.metadata.annotations["copy"] = value;
  return secret;
}

TEST_CASE("secrets are clear in memory and nowhere on disk") {
  const TestDirectory directory;
  const std::string canary = "canary-4711-canary";
  {
    auto store = open_store(store_options(directory));
    record(*store, put_plan(make_secret("before-" + canary)));
    record(*store, put_plan(make_secret(canary)));
    const auto secret = store->view()->find(key_of<Secret>("default", "token"));
    REQUIRE(secret->as<Secret>().data.at("password") == canary);
    const auto changes = store->changes_since(&kind_of<Secret>(), 1, 10);
    REQUIRE(changes->at(0).object.as<Secret>().data.at("password") == canary);
    REQUIRE(changes->at(0).previous->as<Secret>().data.at("password") == "before-" + canary);
    for (const char* name : {"moored.db", "moored.db-wal"}) {
      const auto bytes = read_file(directory.file(name));
      REQUIRE(bytes.has_value());
      REQUIRE(bytes->find(canary) == std::string::npos);
      REQUIRE(bytes->find("Y2FuYXJ5") == std::string::npos);
    }
  }
  auto store = open_store(store_options(directory));
  const auto secret = store->view()->find(key_of<Secret>("default", "token"));
  REQUIRE(secret->as<Secret>().data.at("password") == canary);
}

TEST_CASE("the audit of a secret tells that it changed, not what it is") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_secret("one")));
  record(*store, put_plan(make_secret("two")));
  record(*store, put_plan(make_secret("one")));
  const auto rows = store->read_audit("Secret/default/token", 10);
  REQUIRE(rows->size() == 3);
  const auto values = [&](std::size_t index) {
    const auto row = read_json((*rows)[index].canonical_json);
    for (const Value& field : row->find("changes")->items[0].find("fields")->items) {
      if (field.find("path")->scalar == "data.password") {
        return std::pair(field.find("before")->scalar, field.find("after")->scalar);
      }
    }
    return std::pair(std::string(), std::string());
  };
  const auto newest = values(0);
  const auto older = values(1);
  REQUIRE(newest.first == older.second);
  REQUIRE(newest.second == older.first);
  REQUIRE(newest.first != newest.second);
  REQUIRE(newest.first.rfind("hmac:", 0) == 0);
  for (const AuditEntry& entry : *rows) {
    REQUIRE(entry.canonical_json.find("\"one\"") == std::string::npos);
    REQUIRE(entry.canonical_json.find("\"two\"") == std::string::npos);
    REQUIRE(entry.canonical_json.find("b25l") == std::string::npos);
  }
}

TEST_CASE("a lost or foreign key is called so at the start") {
  const TestDirectory directory;
  { record(*open_store(store_options(directory)), put_plan(make_secret("one"))); }
  std::filesystem::remove(directory.file("seal.key"));
  const auto opened = Store::open(store_options(directory));
  REQUIRE(opened.error().reason == "SealBroken");
}

TEST_CASE("an audit row says who, what, why and when") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Provenance from{"flux/app", "flux/app", "main@sha1:abc", "deploy/app.yaml", 12};
  auto web = make_deployment("web", 1);
  Plan plan;
  plan.put(make_object(web, from), "declared in deploy/app.yaml:12");
  const Cause commit{Cause::Actor::commit, "Ada <ada@example.org>", "main@sha1:abc"};
  REQUIRE(store->record(plan, commit, at(1)));
  web.spec.replicas = 5;
  Plan scale;
  scale.put(make_object(web, from), "spec.replicas changed");
  REQUIRE(store->record(scale, commit, at(2)));
  const auto rows = store->read_audit("Deployment/default/web", 10);
  REQUIRE(rows->size() == 2);
  const auto row = read_json((*rows)[0].canonical_json);
  REQUIRE(row->find("actor")->scalar == "commit");
  REQUIRE(row->find("name")->scalar == "Ada <ada@example.org>");
  REQUIRE(row->find("reason")->scalar == "main@sha1:abc");
  REQUIRE(row->find("time")->scalar == format_micro_time(at(2).wall));
  const Value& change = row->find("changes")->items.at(0);
  REQUIRE(change.find("verb")->scalar == "updated");
  REQUIRE(change.find("object")->scalar == "Deployment/default/web");
  REQUIRE(change.find("why")->scalar == "spec.replicas changed");
  REQUIRE(change.find("source")->find("file")->scalar == "deploy/app.yaml");
  const Value& field = change.find("fields")->items.at(0);
  REQUIRE(field.find("path")->scalar == "spec.replicas");
  REQUIRE(field.find("before")->scalar == "1");
  REQUIRE(field.find("after")->scalar == "5");
}

TEST_CASE("long changes are cut in the audit and what is left out is counted") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  auto config = make_config("a", "1");
  record(*store, put_plan(config));
  for (int i = 0; i < 80; ++i)
    config.data["k" + std::to_string(i)] = std::string(5'000, 'x');
  record(*store, put_plan(config));
  const auto rows = store->read_audit("", 1);
  const auto row = read_json((*rows)[0].canonical_json);
  const Value& change = row->find("changes")->items.at(0);
  REQUIRE(change.find("fields")->items.size() == store::kMaxAuditFields);
  REQUIRE(change.find("fieldsLeftOut")->scalar == "30");
  REQUIRE((*rows)[0].canonical_json.size() < 64'000);
}

// Runs statements on the file as somebody with a database browser would.
void tamper(const TestDirectory& directory, const std::string& statements) {
  Connection::Options options;
  options.path = directory.file("moored.db");
  options.writable = true;
  auto connection = Connection::open(options);
  REQUIRE(connection.has_value());
  REQUIRE(connection->run(statements));
}

struct Tampering {
  const char* name;
  const char* statements;
  const char* first_broken;
};

TEST_CASE("an edited, removed or reordered audit row is found, offline too") {
  const TestDirectory directory;
  {
    auto store = open_store(store_options(directory));
    for (int i = 0; i < 5; ++i)
      record(*store, put_plan(make_config("a", std::to_string(i))));
    REQUIRE(store->verify_audit()->rows == 5);
  }
  REQUIRE(verify_audit_offline(directory.path())->rows == 5);
  const auto tampering = GENERATE(
      Tampering{"edited",
                "UPDATE audit SET canonical_json = replace(canonical_json, 'because', 'since') "
                "WHERE seq = 3",
                "row 3"},
      Tampering{"removed", "DELETE FROM audit WHERE seq = 2", "row 2"},
      Tampering{"cut off at the end", "DELETE FROM audit WHERE seq = 5", "row 5"},
      Tampering{"reordered",
                "UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; "
                "UPDATE audit SET seq = 3 WHERE seq = 99",
                "row 2"},
      Tampering{"all gone", "DELETE FROM audit", "row 1"},
      Tampering{"hash edited", "UPDATE audit SET hash = upper(hash) WHERE seq = 4", "row 4"},
      Tampering{"a rule from the future", "UPDATE audit SET hash_version = 9 WHERE seq = 1",
                "row 1"},
      Tampering{
          "a recorded object edited",
          "UPDATE revision SET json = CAST(replace(json, '\"3\"', '\"8\"') AS BLOB) WHERE rv = 4",
          "row 4"});
  INFO(tampering.name);
  tamper(directory, tampering.statements);
  const auto verdict = verify_audit_offline(directory.path());
  REQUIRE_FALSE(verdict.has_value());
  REQUIRE(verdict.error().reason == "AuditBroken");
  REQUIRE(verdict.error().message.find(tampering.first_broken) != std::string::npos);
}

// A forger who can hash: the chain holds by itself, and its end is told nowhere inside.
void cut_off(const TestDirectory& directory, std::int64_t last) {
  const std::string seq = std::to_string(last);
  tamper(directory, "DELETE FROM audit WHERE seq > " + seq +
                        "; DELETE FROM revision WHERE cause > " + seq +
                        "; UPDATE meta SET value = " + seq +
                        " WHERE name = 'audit_seq'; UPDATE meta SET value = (SELECT hash FROM "
                        "audit WHERE seq = " + seq + ") WHERE name = 'audit_hash'");
}

TEST_CASE("a chain that was cut off neatly is told by what was noted outside") {
  const TestDirectory directory;
  std::vector<AuditVerdict> heads;
  {
    auto store = open_store(store_options(directory));
    for (int i = 0; i < 5; ++i) {
      record(*store, put_plan(make_config("a", std::to_string(i))));
      heads.push_back(store->audit_end());
    }
  }
  CHECK(read_audit_head(directory.path())->hash == heads[4].hash);
  cut_off(directory, 3);
  SECTION("by audit.head") {
    const auto verdict = verify_audit_offline(directory.path());
    REQUIRE_FALSE(verdict.has_value());
    CHECK(verdict.error().message ==
          "audit row 4 is missing at the end of the chain: row 5 was written");
  }
  std::filesystem::remove(directory.file("audit.head"));
  SECTION("by a head noted elsewhere") {
    const auto verdict = verify_audit_offline(directory.path(), {heads[0], heads[3]});
    REQUIRE_FALSE(verdict.has_value());
    CHECK(verdict.error().message.find("audit row 4 is missing") == 0);
  }
  SECTION("by the hash of a row in between") {
    auto other = heads[1];
    other.hash[0] = other.hash[0] == 'a' ? 'b' : 'a';
    const auto verdict = verify_audit_offline(directory.path(), {other});
    REQUIRE_FALSE(verdict.has_value());
    CHECK(verdict.error().message.find("audit row 2 is not the one that was noted") == 0);
  }
  SECTION("and by nothing else") {
    CHECK(verify_audit_offline(directory.path(), {heads[2]})->rows == 3);
  }
}

TEST_CASE("an export has every row once, archived or not, and holds by itself") {
  const TestDirectory directory;
  {
    auto store = open_store(store_options(directory));
    for (int i = 0; i < 6; ++i) record(*store, put_plan(make_config("a", std::to_string(i))), at(i));
    REQUIRE(store->compact(CompactOptions{}, at(200 * 86'400)));
    record(*store, put_plan(make_config("a", "late")), at(200 * 86'400));
  }
  std::vector<Value> rows;
  const auto keep = [&](std::string_view line) -> Status {
    rows.push_back(*read_json(line));
    return {};
  };
  REQUIRE(export_audit(directory.path(), 1, keep));
  REQUIRE(rows.size() == 7);
  store::AuditEnd end;
  for (const Value& row : rows) {
    const std::string& json = row.find("json")->scalar;
    CHECK(row.find("prev")->scalar == end.hash);
    end = {end.seq + 1, store::audit_hash(end.hash, end.seq + 1, json)};
    CHECK(row.find("seq")->scalar == std::to_string(end.seq));
    CHECK(row.find("hash")->scalar == end.hash);
    CHECK(read_json(json)->find("actor") != nullptr);
  }
  rows.clear();
  REQUIRE(export_audit(directory.path(), 6, keep));
  CHECK(rows.size() == 2);
  CHECK_FALSE(export_audit(directory.path(), 1, [](std::string_view) -> Status {
    return fail(Code::unavailable, "nobody reads");
  }));
  CHECK_FALSE(export_audit(directory.file("nowhere"), 1, keep));
}

TEST_CASE("a flipped bit in a recorded object is found at the start") {
  const TestDirectory directory;
  { record(*open_store(store_options(directory)), put_plan(make_config("a", "hello"))); }
  tamper(directory, "UPDATE revision SET json = CAST(replace(json, 'hello', 'hullo') AS BLOB)");
  const auto opened = Store::open(store_options(directory));
  REQUIRE(opened.error().reason == "StoreCorrupt");
  REQUIRE(opened.error().message.find("default/a") != std::string::npos);
}

TEST_CASE("objects of unknown kinds and heads without a revision are called so") {
  const TestDirectory directory;
  { record(*open_store(store_options(directory)), put_plan(make_config("a", "1"))); }
  SECTION("kind") {
    tamper(directory, "UPDATE revision SET gvk = 'v9/Whatever'");
    REQUIRE(Store::open(store_options(directory)).error().code == Code::corrupt);
  }
  SECTION("head") {
    tamper(directory, "DELETE FROM revision");
    REQUIRE(Store::open(store_options(directory)).error().code == Code::corrupt);
  }
}

TEST_CASE("history that is forgotten is answered with Expired, the rest stays exact") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  for (int i = 0; i < 10; ++i)
    record(*store, put_plan(make_config("a", std::to_string(i))), at(i));
  record(*store, put_plan(make_config("b", "1")), at(10));
  record(*store, remove_plan<ConfigMap>("b"), at(11));
  for (int i = 0; i < 3; ++i) {
    record(*store, put_plan(make_config("a", "n" + std::to_string(i))), at(20 + i));
  }
  CompactOptions options;
  options.keep = std::chrono::seconds(100);
  REQUIRE_FALSE(*store->compact(options, at(115)));
  const auto old = store->changes_since(nullptr, 3, 100);
  REQUIRE(old.error().code == Code::exhausted);
  REQUIRE(old.error().reason == "Expired");
  REQUIRE(store->view_at(3).error().reason == "Expired");
  const auto kept = store->changes_since(nullptr, 12, 100);
  REQUIRE(kept.has_value());
  REQUIRE(kept->size() == 3);
  REQUIRE(kept->at(0).previous->as<ConfigMap>().data.at("key") == "9");
  const auto then = store->view_at(12);
  REQUIRE(then.has_value());
  REQUIRE((*then)->list(kind_of<ConfigMap>()).size() == 1);
  REQUIRE(store->verify_audit()->rows == 15);
  store.reset();
  store = open_store(store_options(directory));
  REQUIRE(store->view()->resource_version() == 15);
  REQUIRE(record(*store, put_plan(make_config("b", "1")), at(300)).resource_version == 16);
}

TEST_CASE("old audit rows move to files and stay part of the chain") {
  const TestDirectory directory;
  {
    auto store = open_store(store_options(directory));
    for (int i = 0; i < 30; ++i) {
      record(*store, put_plan(make_config("a", std::to_string(i))), at(i));
    }
    CompactOptions options;
    options.keep = std::chrono::seconds(100);
    options.max_rows = 10;
    while (*store->compact(options, at(120))) {
    }
    REQUIRE(store->read_audit("", 100)->size() == 10);
    REQUIRE(list_directory(directory.file("audit"))->size() == 2);
    REQUIRE(store->verify_audit()->rows == 30);
    while (*store->compact(options, at(9'000))) {
    }
    REQUIRE(store->read_audit("", 100)->size() == 1);
    record(*store, put_plan(make_config("a", "new")), at(9'001));
    REQUIRE(store->verify_audit()->rows == 31);
  }
  REQUIRE(verify_audit_offline(directory.path())->rows == 31);
  const auto names = list_directory(directory.file("audit"));
  const std::string path = directory.file("audit/" + names->at(1));
  const std::string text = *read_file(path);
  SECTION("an edited archive is found") {
    std::string edited = text;
    edited.replace(edited.find("because"), 7, "BECAUSE");
    REQUIRE(write_file(path, edited));
    const auto verdict = verify_audit_offline(directory.path());
    REQUIRE(verdict.error().message.find("row 11 was edited") != std::string::npos);
  }
  SECTION("a lost one is found") {
    std::filesystem::remove(path);
    const auto verdict = verify_audit_offline(directory.path());
    REQUIRE(verdict.error().message.find("row 11 is missing") != std::string::npos);
  }
  SECTION("rows that a crash left in two files are no fault") {
    REQUIRE(write_file(directory.file("audit/" + names->at(1) + ".again"), text, true));
    REQUIRE(verify_audit_offline(directory.path())->rows == 31);
  }
  SECTION("half a line is found") {
    REQUIRE(write_file(path, text.substr(0, text.size() / 2)));
    REQUIRE_FALSE(verify_audit_offline(directory.path()).has_value());
  }
}

TEST_CASE("history is bounded in bytes and forgotten in small steps") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  for (int i = 0; i < 40; ++i) {
    record(*store, put_plan(make_config("a", std::string(1'000, static_cast<char>('a' + i % 26)))));
  }
  CompactOptions options;
  options.max_bytes = 10'000;
  options.max_rows = 10;
  int calls = 1;
  while (*store->compact(options, at(1)))
    ++calls;
  REQUIRE(calls >= 3);
  REQUIRE(store->changes_since(nullptr, 5, 100).error().reason == "Expired");
  REQUIRE(store->changes_since(nullptr, 39, 100)->size() == 1);
  REQUIRE(store->view()->list(kind_of<ConfigMap>()).size() == 1);
}

TEST_CASE("events are forgotten after a day, other history stays") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_config("a", "1")), at(0));
  for (int i = 1; i <= 5; ++i) {
    Event event;
    event.metadata.name = "a.1";
    event.metadata.namespace_name = "default";
    event.count = i;
    record(*store, put_plan(event), at(i));
  }
  record(*store, put_plan(make_config("a", "2")), at(6));
  REQUIRE(store->read_audit("", 100)->size() == 2);
  REQUIRE_FALSE(*store->compact(CompactOptions{}, at(25 * 3600)));
  REQUIRE(store->changes_since(&kind_of<ConfigMap>(), 0, 100)->size() == 2);
  REQUIRE(store->changes_since(&kind_of<Event>(), 0, 100).error().reason == "Expired");
  REQUIRE(store->changes_since(nullptr, 0, 100).error().reason == "Expired");
  REQUIRE(store->changes_since(nullptr, 6, 100)->size() == 1);
  REQUIRE(store->view()->list(kind_of<Event>()).size() == 1);
}

}  // namespace
}  // namespace moored::test
