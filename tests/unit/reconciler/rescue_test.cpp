// A database that is damaged, gone or behind: what is noticed, what is kept, what is said.
#include "reconciler/store/rescue.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "reconciler/store/anchor.hpp"
#include "reconciler/store/connection.hpp"
#include "reconciler/store/database.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

namespace fs = std::filesystem;

// The id comes from the anchor, as it does in a daemon.
StoreOptions options_of(const TestDirectory& directory) {
  StoreOptions options = store_options(directory);
  options.store_id.clear();
  return options;
}

RescuedStore rescue(const StoreOptions& options, Now now = at(1'000)) {
  auto opened = open_or_rebuild(options, now);
  if (!opened) FAIL(opened.error().text());
  return *std::move(opened);
}

// Five rows; the newest version, the last hash and the id that are lost.
struct Past {
  std::string store_id;
  std::string hash;
  std::int64_t version = 0;
};
Past make_past(const TestDirectory& directory) {
  Past past;
  auto store = open_store(options_of(directory));
  for (int i = 0; i < 5; ++i) {
    past.version =
        record(*store, put_plan(make_config("a", std::to_string(i)))).resource_version;
  }
  past.store_id = store->store_id();
  past.hash = store->audit_end().hash;
  return past;
}

std::vector<std::string> list_lost(const TestDirectory& directory) {
  std::vector<std::string> lost;
  for (const auto& entry : fs::directory_iterator(directory.path())) {
    const std::string name = entry.path().filename();
    if (name.rfind("lost-", 0) == 0) lost.push_back(name);
  }
  std::sort(lost.begin(), lost.end());
  return lost;
}

void remove_database(const TestDirectory& directory) {
  for (const char* name : {"moored.db", "moored.db-wal", "moored.db-shm"}) {
    fs::remove(directory.file(name));
  }
}

// Flips every byte of a page in the middle of the file.
void flip_page(const TestDirectory& directory) {
  std::fstream file(directory.file("moored.db"), std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<std::streamoff>(fs::file_size(directory.file("moored.db")));
  const std::streamoff begin = size / 4096 / 2 * 4096;
  std::string page(4096, '\0');
  file.seekg(begin);
  file.read(page.data(), 4096);
  for (char& byte : page) byte = static_cast<char>(~byte);
  file.seekp(begin);
  file.write(page.data(), 4096);
}

TEST_CASE("a sound store and a new one are opened without a word") {
  const TestDirectory directory;
  CHECK_FALSE(rescue(options_of(directory)).loss);
  const Past past = make_past(directory);
  const auto again = rescue(options_of(directory));
  CHECK_FALSE(again.loss);
  CHECK(again.store->view()->resource_version() == past.version);
}

struct Damage {
  const char* name;
  void (*make)(const TestDirectory& directory);
  const char* words;
  bool set_aside;
};

TEST_CASE("a damaged or missing database is set aside and begun anew") {
  const TestDirectory directory;
  const Past past = make_past(directory);
  const auto damage = GENERATE(
      Damage{"removed", &remove_database, "the database is missing", false},
      Damage{"cut to nothing",
             [](const TestDirectory& at) {
               remove_database(at);
               REQUIRE(write_file(at.file("moored.db"), "", true));
             },
             "the database is empty", true},
      Damage{"garbage",
             [](const TestDirectory& at) {
               remove_database(at);
               REQUIRE(write_file(at.file("moored.db"), std::string(20'000, 'g'), true));
             },
             "not a database", true},
      Damage{"a page flipped", &flip_page, "damaged", true},
      Damage{"cut in half",
             [](const TestDirectory& at) {
               fs::resize_file(at.file("moored.db"), fs::file_size(at.file("moored.db")) / 2);
             },
             "damaged", true},
      Damage{"marked at run time",
             [](const TestDirectory& at) { REQUIRE(mark_damaged(at.path(), "a read failed")); },
             "a read failed", true});
  INFO(damage.name);
  damage.make(directory);
  auto rescued = rescue(options_of(directory));
  REQUIRE(rescued.loss);
  CHECK(rescued.loss->reason.find(damage.words) != std::string::npos);
  CHECK(rescued.loss->audit_seq == 5);
  CHECK(rescued.loss->audit_hash == past.hash);
  CHECK(describe_loss(*rescued.loss).find("ended at row 5 (hash " + past.hash) !=
        std::string::npos);
  // The same store to everyone outside, with versions that nobody has seen.
  CHECK(rescued.store->store_id() == past.store_id);
  CHECK(rescued.store->view()->resource_version() > past.version);
  CHECK(rescued.store->view()->list(kind_of<ConfigMap>()).empty());
  const auto old = rescued.store->changes_since(nullptr, past.version, 10);
  CHECK(old.error().reason == "Expired");
  const auto lost = list_lost(directory);
  REQUIRE(lost.size() == 1);
  CHECK(lost[0] == "lost-20231114T223000Z");
  CHECK(fs::exists(directory.file(lost[0] + "/reason")));
  CHECK(fs::exists(directory.file(lost[0] + "/moored.db")) == damage.set_aside);
  // It goes on as any store, and the next start has nothing to say.
  record(*rescued.store, put_plan(make_config("b", "1")));
  rescued.store.reset();
  CHECK_FALSE(rescue(options_of(directory)).loss);
  CHECK(verify_audit_offline(directory.path())->rows == 1);
}

TEST_CASE("a database from before the last rows stays, and the gap is a loss") {
  const TestDirectory directory;
  {
    auto store = open_store(options_of(directory));
    record(*store, put_plan(make_config("a", "0")));
  }
  const std::string copy = *read_file(directory.file("moored.db"));
  const Past past = make_past(directory);
  REQUIRE(write_file(directory.file("moored.db"), copy, true));
  auto rescued = rescue(options_of(directory));
  REQUIRE(rescued.loss);
  CHECK(rescued.loss->reason == "the database ends at audit row 1 although row 5 was written");
  CHECK(rescued.loss->set_aside.empty());
  CHECK(rescued.store->view()->resource_version() > past.version);
  CHECK(rescued.store->changes_since(nullptr, past.version, 10).error().reason == "Expired");
  CHECK(describe_loss(*rescued.loss).find("rows up to row 5") == 0);
  CHECK(rescued.store->view()->list(kind_of<ConfigMap>()).size() == 1);
}

TEST_CASE("what is neither damaged nor ours is refused and stays where it is") {
  const TestDirectory directory;
  make_past(directory);
  const auto run = [&](const char* statement) {
    store::Connection::Options how;
    how.path = directory.file("moored.db");
    how.writable = true;
    REQUIRE(store::Connection::open(how)->run(statement));
  };
  SECTION("written by a newer moored") {
    run("PRAGMA user_version=99");
    const auto refused = open_or_rebuild(options_of(directory), at(0));
    CHECK(refused.error().reason == "StoreNewer");
    CHECK(refused.error().message.find("newer moored") != std::string::npos);
    CHECK_FALSE(refused.error().fix.empty());
  }
  SECTION("of another program") {
    run("PRAGMA application_id=1");
    CHECK(open_or_rebuild(options_of(directory), at(0)).error().reason == "ForeignDatabase");
  }
  SECTION("sealed with a key that is gone") {
    fs::remove(directory.file("seal.key"));
    CHECK(open_or_rebuild(options_of(directory), at(0)).error().reason == "SealBroken");
  }
  CHECK(list_lost(directory).empty());
}

TEST_CASE("the archived rows of a lost chain go aside with it") {
  const TestDirectory directory;
  make_past(directory);
  {
    auto store = open_store(options_of(directory));
    CompactOptions compact;
    REQUIRE(store->compact(compact, at(365 * 86'400)));
  }
  REQUIRE(fs::exists(directory.file("audit")));
  remove_database(directory);
  auto rescued = rescue(options_of(directory));
  CHECK_FALSE(fs::exists(directory.file("audit")));
  CHECK(fs::exists(directory.file(list_lost(directory).at(0) + "/audit")));
  record(*rescued.store, put_plan(make_config("b", "1")));
  CHECK(rescued.store->verify_audit()->rows == 1);
}

TEST_CASE("only so many damaged databases are kept, the newest ones") {
  const TestDirectory directory;
  for (int i = 0; i < 6; ++i) {
    make_past(directory);
    remove_database(directory);
    rescue(options_of(directory), at(i));
  }
  const auto lost = list_lost(directory);
  REQUIRE(lost.size() == kMaxSetAside);
  CHECK(lost.back() == "lost-20231114T221325Z");
}

TEST_CASE("two losses in one second keep both databases") {
  const TestDirectory directory;
  for (int i = 0; i < 2; ++i) {
    make_past(directory);
    REQUIRE(mark_damaged(directory.path(), "test"));
    rescue(options_of(directory));
  }
  CHECK(list_lost(directory).size() == 2);
}

TEST_CASE("damage that is met at run time is told once and marked for the next start") {
  const TestDirectory directory;
  StoreOptions options = options_of(directory);
  std::vector<std::string> told;
  options.on_damage = [&](const Error& error) { told.push_back(error.text()); };
  {
    auto store = open_store(options);
    for (int i = 0; i < 5; ++i) record(*store, put_plan(make_config("a", std::to_string(i))));
    const std::int64_t version = store->view()->resource_version();
    store::Connection::Options how;
    how.path = directory.file("moored.db");
    how.writable = true;
    REQUIRE(store::Connection::open(how)->run(
        "UPDATE revision SET json = CAST(replace(json, '\"3\"', '\"8\"') AS BLOB) WHERE rv = 4"));
    CHECK(store->view_at(4).error().reason == "StoreCorrupt");
    CHECK_FALSE(store->view_at(4).has_value());
    CHECK(store->view()->resource_version() == version);  // what is in memory is served on
  }
  CHECK(told.size() == 1);
  auto rescued = rescue(options_of(directory));
  REQUIRE(rescued.loss);
  CHECK(rescued.loss->reason == told[0]);
}

TEST_CASE("the anchor follows each commit and is nothing when it cannot be read") {
  const TestDirectory directory;
  CHECK_FALSE(store::read_anchor(directory.path()));
  const Past past = make_past(directory);
  const auto anchor = store::read_anchor(directory.path());
  REQUIRE(anchor);
  CHECK(anchor->audit.seq == 5);
  CHECK(anchor->audit.hash == past.hash);
  CHECK(anchor->resource_version == past.version);
  CHECK(anchor->store_id == past.store_id);
  const char* broken = GENERATE("", "{", "[]", "{\"seq\":\"x\",\"hash\":\"\"}",
                                "{\"seq\":-1,\"resourceVersion\":1,\"hash\":\"\"}");
  REQUIRE(write_file(directory.file("audit.head"), broken));
  CHECK_FALSE(store::read_anchor(directory.path()));
}

}  // namespace
}  // namespace moored::test
