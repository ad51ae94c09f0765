// Stores of every older version are taken over with all they hold.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "reconciler/store/connection.hpp"
#include "reconciler/store/database.hpp"
#include "reconciler/store/rescue.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

using store::Connection;

// The key that the dumped stores were sealed with.
const std::string kKey(64, 'k');

std::string dump_path(std::int64_t version) {
  return std::string(MOORED_SOURCE_DIR) + "/tests/golden/store/version-" +
         std::to_string(version) + ".sql";
}

Connection open_file(const std::string& path) {
  Connection::Options how;
  how.path = path;
  how.writable = true;
  auto opened = Connection::open(how);
  if (!opened) FAIL(opened.error().text());
  return *std::move(opened);
}

std::vector<std::string> list_text(Connection& connection, const std::string& statement) {
  std::vector<std::string> out;
  const Status read = connection.query(statement, {}, [&](const store::Row& row) -> Status {
    out.push_back(row.text(0));
    return {};
  });
  if (!read) FAIL(read.error().text());
  return out;
}

// A database as statements that make it again.
std::string dump(const std::string& path) {
  Connection connection = open_file(path);
  std::string out = "PRAGMA application_id=" + std::to_string(store::kApplicationId) +
                    ";\nPRAGMA user_version=" +
                    std::to_string(*connection.read_integer("PRAGMA user_version")) + ";\n";
  for (const auto& made : list_text(connection, "SELECT sql FROM sqlite_schema WHERE sql != ''")) {
    out += made + ";\n";
  }
  for (const auto& table :
       list_text(connection, "SELECT name FROM sqlite_schema WHERE type='table'")) {
    std::string values;
    for (const auto& column :
         list_text(connection, "SELECT name FROM pragma_table_info('" + table + "')")) {
      values += (values.empty() ? "quote(" : " || ',' || quote(") + column + ")";
    }
    for (const auto& row : list_text(connection, "SELECT " + values + " FROM " + table)) {
      out += "INSERT INTO " + table + " VALUES (" + row + ");\n";
    }
  }
  return out;
}

// What every dumped store holds: objects of both kinds of sealing, history, drift, receipts.
void fill(const TestDirectory& directory) {
  REQUIRE(write_file(directory.file("seal.key"), kKey, true, 0600));
  auto store = open_store(store_options(directory));
  Secret secret;
  secret.metadata.name = "pass";
  secret.metadata.namespace_name = "default";
  secret.data["word"] = "opensesame";
  record(*store, put_plan(secret), at(0));
  record(*store, put_plan(make_deployment("web", 1)), at(1));
  record(*store, put_plan(make_deployment("web", 3)), at(2));
  Plan more = remove_plan<Deployment>("absent");
  more.receipt.push_back({"main@sha1:" + std::string(40, 'a'), "ready", at(3).wall, "well"});
  more.drift.push_back({"d1", key_of<Deployment>("default", "web"), "", "process", "running",
                        "killed", "", at(3).wall, "", {}});
  record(*store, more, at(3));
}

// MOORED_GOLDEN=write makes the dump of a new version. One that is there is never written again:
// it is what machines of users hold.
TEST_CASE("the dump of the present version is there") {
  if (std::getenv("MOORED_GOLDEN") != nullptr && !path_exists(dump_path(store::kSchemaVersion))) {
    const TestDirectory directory;
    fill(directory);
    REQUIRE(make_directories(std::string(MOORED_SOURCE_DIR) + "/tests/golden/store", 0755));
    REQUIRE(write_file(dump_path(store::kSchemaVersion), dump(directory.file("moored.db")), true,
                       0644));
  }
  for (std::int64_t version = 1; version <= store::kSchemaVersion; ++version) {
    REQUIRE(path_exists(dump_path(version)));
  }
}

TEST_CASE("every older version has its step, and none is left out") {
  std::int64_t version = 1;
  for (const auto& step : store::all_migrations()) {
    CHECK(step.from == version);
    ++version;
  }
  CHECK(version == store::kSchemaVersion);
}

TEST_CASE("a store of any version is opened with everything that it holds") {
  for (std::int64_t version = 1; version <= store::kSchemaVersion; ++version) {
    INFO("version " << version);
    const TestDirectory directory;
    REQUIRE(write_file(directory.file("seal.key"), kKey, true, 0600));
    REQUIRE(open_file(directory.file("moored.db")).run(*read_file(dump_path(version))));
    auto opened = open_or_rebuild(store_options(directory), at(100));
    if (!opened) FAIL(opened.error().text());
    CHECK_FALSE(opened->loss);
    auto& store = *opened->store;
    const auto view = store.view();
    CHECK(view->find(key_of<Secret>("default", "pass"))->as<Secret>().data.at("word") ==
          "opensesame");
    CHECK(view->find(key_of<Deployment>("default", "web"))->as<Deployment>().spec.replicas == 3);
    const auto before = store.view_at(2);
    REQUIRE(before);
    CHECK((*before)->find(key_of<Deployment>("default", "web"))->as<Deployment>().spec.replicas ==
          1);
    CHECK(store.verify_audit()->rows == 4);
    CHECK(store.read_receipt("aaaa")->at(0).step == "ready");
    CHECK(store.read_drift(10)->at(0).id == "d1");
    CHECK(record(store, put_plan(make_config("new", "1")), at(101)).resource_version == 4);
    opened->store.reset();
    CHECK(*open_file(directory.file("moored.db")).read_integer("PRAGMA user_version") ==
          store::kSchemaVersion);
  }
}

}  // namespace
}  // namespace moored::test
