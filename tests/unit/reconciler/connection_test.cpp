// The traps of SQLite and SQLiteCpp, each with the behaviour that the store relies on.
#include "reconciler/store/connection.hpp"

#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>

#include "reconciler/store/database.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::store {
namespace {

using test::TestDirectory;

Connection open_at(const std::string& path, bool writable = true,
                   std::chrono::milliseconds busy_wait = std::chrono::milliseconds(5'000)) {
  Connection::Options options;
  options.path = path;
  options.writable = writable;
  options.busy_wait = busy_wait;
  auto opened = Connection::open(options);
  if (!opened) FAIL(opened.error().text());
  return *std::move(opened);
}

DatabaseOptions database_at(const TestDirectory& directory) {
  DatabaseOptions options;
  options.path = directory.file("moored.db");
  options.durable = false;
  return options;
}

Connection open_store_file(const DatabaseOptions& options) {
  auto opened = open_writer(options);
  if (!opened) FAIL(opened.error().text());
  return *std::move(opened);
}

TEST_CASE("numbers keep all 64 bits") {
  auto connection = open_at(":memory:");
  for (const std::int64_t number : {std::int64_t{1} << 40, INT64_MAX, INT64_MIN}) {
    REQUIRE(connection.read_integer("SELECT ?", {number}).value_or(0) == number);
  }
}

TEST_CASE("text and bytes come back as they went in") {
  auto connection = open_at(":memory:");
  const std::string bytes("a\0b\xff", 4);
  std::string text;
  std::string blob;
  bool null = false;
  REQUIRE(connection.query("SELECT ?, ?, ?", {std::string_view("ä'; --"), Blob{bytes}, Bind()},
                           [&](const Row& row) -> Status {
                             text = row.text(0);
                             blob = row.text(1);
                             null = row.is_null(2);
                             return {};
                           }));
  REQUIRE(text == "ä'; --");
  REQUIRE(blob == bytes);
  REQUIRE(null);
}

// A deferred transaction that reads before it writes fails at once when another one has written.
TEST_CASE("write transactions are immediate: they wait for each other instead of failing") {
  const TestDirectory directory;
  auto first = open_store_file(database_at(directory));
  auto second = open_at(directory.file("moored.db"), true, std::chrono::milliseconds(1));
  REQUIRE(first.run("CREATE TABLE t (x INTEGER)"));
  const Status outcome = first.transact([&]() -> Status {
    const Status other = second.transact([] { return Status(); });
    REQUIRE_FALSE(other.has_value());
    REQUIRE(other.error().reason == "StoreBusy");
    REQUIRE(other.error().code == Code::unavailable);
    return first.run("INSERT INTO t VALUES (1)");
  });
  REQUIRE(outcome.has_value());
  REQUIRE(second.transact([&]() -> Status {
    const auto seen = second.read_integer("SELECT count(*) FROM t");
    REQUIRE(seen.value_or(-1) == 1);
    return second.run("INSERT INTO t VALUES (2)");
  }));
}

TEST_CASE("an error inside a transaction takes everything back") {
  auto connection = open_at(":memory:");
  REQUIRE(connection.run("CREATE TABLE t (x INTEGER)"));
  const Status outcome = connection.transact([&]() -> Status {
    MOORED_CHECK(connection.run("INSERT INTO t VALUES (1)"));
    return fail(Code::invalid, "changed my mind");
  });
  REQUIRE(outcome.error().message == "changed my mind");
  REQUIRE(connection.read_integer("SELECT count(*) FROM t").value_or(-1) == 0);
  REQUIRE(connection.transact([&] { return connection.run("INSERT INTO t VALUES (1)"); }));
}

TEST_CASE("a file is only written by a connection that was opened for it") {
  const TestDirectory directory;
  auto writer = open_store_file(database_at(directory));
  auto reader = open_reader(database_at(directory));
  REQUIRE(reader.has_value());
  const Status outcome = reader->run("DELETE FROM meta");
  REQUIRE_FALSE(outcome.has_value());
  REQUIRE(outcome.error().code == Code::denied);
  Connection::Options absent;
  absent.path = directory.file("absent.db");
  REQUIRE(Connection::open(absent).error().code == Code::not_found);
  REQUIRE_FALSE(path_exists(directory.file("absent.db")));
}

// A SELECT that is left open keeps the log from being taken into the database: it grew 20-fold.
TEST_CASE("a query that was stopped half-way holds nothing open") {
  const TestDirectory directory;
  DatabaseOptions options = database_at(directory);
  auto writer = open_store_file(options);
  auto reader = open_reader(options);
  REQUIRE(reader.has_value());
  REQUIRE(writer.run("CREATE TABLE t (x INTEGER, y TEXT)"));
  REQUIRE(writer.run("INSERT INTO t VALUES (1, ''), (2, '')"));
  const Status stopped = reader->query(
      "SELECT x FROM t", {}, [](const Row&) -> Status { return fail(Code::invalid, "enough"); });
  REQUIRE(stopped.error().message == "enough");
  const std::string text(4'000, 'x');
  for (int i = 0; i < 3'000; ++i) {
    REQUIRE(
        writer.query("UPDATE t SET y = ? WHERE x = 1", {std::string_view(i % 2 == 0 ? text : "")}));
  }
  REQUIRE(std::filesystem::file_size(directory.file("moored.db-wal")) < (12U << 20U));
  REQUIRE(writer.read_integer("PRAGMA wal_checkpoint(TRUNCATE)").value_or(-1) == 0);
}

TEST_CASE("a pool of readers gives one connection to one thread and takes it back") {
  const TestDirectory directory;
  auto writer = open_store_file(database_at(directory));
  ReaderPool pool(database_at(directory));
  for (int i = 0; i < 50; ++i) {
    REQUIRE(pool.read([&](Connection& connection) -> Status {
      const auto tables = connection.read_integer("SELECT count(*) FROM sqlite_schema");
      return tables && *tables > 0 ? Status() : fail(Code::internal, "empty");
    }));
  }
  const Status failed =
      pool.read([](Connection&) -> Status { return fail(Code::not_found, "nothing"); });
  REQUIRE(failed.error().code == Code::not_found);
  REQUIRE(pool.read([](Connection&) { return Status(); }));
}

TEST_CASE("a reader sees one state for as long as it reads") {
  const TestDirectory directory;
  auto writer = open_store_file(database_at(directory));
  ReaderPool pool(database_at(directory));
  const Status outcome = pool.read([&](Connection& connection) -> Status {
    MOORED_TRY(const auto before, connection.read_integer("SELECT count(*) FROM meta"));
    MOORED_CHECK(writer.run("INSERT INTO meta VALUES ('a', 'b')"));
    MOORED_TRY(const auto after, connection.read_integer("SELECT count(*) FROM meta"));
    REQUIRE(before == after);
    return {};
  });
  REQUIRE(outcome.has_value());
}

TEST_CASE("the file is private, in WAL mode, and syncs what it acknowledges") {
  const TestDirectory directory;
  DatabaseOptions options = database_at(directory);
  options.durable = true;
  auto writer = open_store_file(options);
  REQUIRE(writer.read_integer("PRAGMA synchronous").value_or(-1) == 2);
  REQUIRE(writer.run("INSERT INTO meta VALUES ('a', 'b')"));
  for (const char* name : {"moored.db", "moored.db-wal", "moored.db-shm"}) {
    const auto mode = std::filesystem::status(directory.file(name)).permissions();
    REQUIRE((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
            std::filesystem::perms::none);
  }
}

TEST_CASE("an older file is brought up step by step, and only the missing steps run") {
  const Migration steps[] = {{1, "ALTER TABLE head ADD COLUMN two TEXT"},
                             {2, "ALTER TABLE head ADD COLUMN three TEXT"}};
  auto connection = open_at(":memory:");
  REQUIRE(upgrade(connection, 1, {}));
  REQUIRE(connection.read_integer("PRAGMA user_version").value_or(0) == 1);
  REQUIRE(upgrade(connection, 2, steps));
  REQUIRE(upgrade(connection, 2, steps));
  REQUIRE(connection.run("SELECT two FROM head"));
  REQUIRE_FALSE(connection.run("SELECT three FROM head"));
  REQUIRE(upgrade(connection, 3, steps));
  REQUIRE(connection.run("SELECT two, three FROM head"));
  REQUIRE(connection.read_integer("PRAGMA user_version").value_or(0) == 3);
}

TEST_CASE("a step that fails leaves the file as it was") {
  const Migration steps[] = {{1, "CREATE TABLE fresh (x); INSERT INTO nowhere VALUES (1)"}};
  auto connection = open_at(":memory:");
  REQUIRE(upgrade(connection, 1, {}));
  REQUIRE_FALSE(upgrade(connection, 2, steps));
  REQUIRE(connection.read_integer("PRAGMA user_version").value_or(0) == 1);
  REQUIRE_FALSE(connection.run("SELECT * FROM fresh"));
}

TEST_CASE("a newer file and a foreign one are refused in words and not touched") {
  auto newer = open_at(":memory:");
  REQUIRE(upgrade(newer, kSchemaVersion + 4, {}));
  const Status outcome = upgrade(newer);
  REQUIRE(outcome.error().reason == "StoreNewer");
  REQUIRE(outcome.error().message.find(std::to_string(kSchemaVersion + 4)) != std::string::npos);
  auto foreign = open_at(":memory:");
  REQUIRE(foreign.run("CREATE TABLE photos (x)"));
  REQUIRE(upgrade(foreign).error().reason == "ForeignDatabase");
}

TEST_CASE("what is no database, or a damaged one, is called so") {
  const TestDirectory directory;
  SECTION("text") {
    REQUIRE(write_file(directory.file("moored.db"), std::string(8'192, 'x'), true));
    const auto opened = open_writer(database_at(directory));
    REQUIRE(opened.error().code == Code::corrupt);
    REQUIRE(opened.error().reason == "StoreCorrupt");
  }
  SECTION("an empty file becomes a new store") {
    REQUIRE(write_file(directory.file("moored.db"), "", true));
    REQUIRE(open_writer(database_at(directory)).has_value());
  }
  SECTION("cut off") {
    { auto writer = open_store_file(database_at(directory)); }
    std::filesystem::resize_file(directory.file("moored.db"), 4'096 + 100);
    REQUIRE(open_writer(database_at(directory)).error().code == Code::corrupt);
  }
  SECTION("a page overwritten") {
    { auto writer = open_store_file(database_at(directory)); }
    auto text = read_file(directory.file("moored.db"));
    REQUIRE(text.has_value());
    text->replace(4'096, 4'096, std::string(4'096, '\x5a'));
    REQUIRE(write_file(directory.file("moored.db"), *text));
    REQUIRE(open_writer(database_at(directory)).error().code == Code::corrupt);
  }
}

TEST_CASE("a full file is called full and goes on when there is room") {
  const TestDirectory directory;
  auto writer = open_store_file(database_at(directory));
  REQUIRE(writer.run("PRAGMA max_page_count=40"));
  const std::string text(16'384, 'x');
  Status outcome;
  int written = 0;
  while (outcome && written < 100) {
    const std::string name = std::to_string(written);
    outcome = writer.query("INSERT INTO meta VALUES (?, ?)",
                           {std::string_view(name), std::string_view(text)});
    if (outcome) ++written;
  }
  REQUIRE_FALSE(outcome.has_value());
  REQUIRE(outcome.error().code == Code::exhausted);
  REQUIRE(outcome.error().reason == "StoreFull");
  REQUIRE(writer.read_integer("SELECT count(*) FROM meta").value_or(-1) == written);
  REQUIRE(writer.run("PRAGMA max_page_count=1000"));
  REQUIRE(writer.run("INSERT INTO meta VALUES ('room', 'again')"));
}

// The adapter really goes through the library it is meant to go through: its messages say so.
TEST_CASE("errors of SQLite arrive with their own words") {
  auto connection = open_at(":memory:");
  const Status outcome = connection.run("SELECT * FROM nowhere");
  REQUIRE(outcome.error().code == Code::internal);
  REQUIRE(outcome.error().message.find("no such table: nowhere") != std::string::npos);
  REQUIRE_FALSE(connection.query("SELECT FROM").has_value());
}

}  // namespace
}  // namespace moored::store
