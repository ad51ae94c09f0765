// Backups: what is in them, what is checked, and the way back onto an empty machine.
#include "reconciler/store/backup.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "reconciler/store/connection.hpp"
#include "reconciler/store/rescue.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

namespace fs = std::filesystem;

Secret make_secret() {
  Secret secret;
  secret.metadata.name = "pass";
  secret.metadata.namespace_name = "default";
  secret.data["word"] = "opensesame";
  return secret;
}

// A state directory with a store, archived rows, and what lies beside it.
struct Machine {
  TestDirectory directory;
  BackupPlaces places{directory.file("state"), directory.file("etc/moored.yaml")};

  StoreOptions options() const {
    StoreOptions options;
    options.directory = places.state_dir + "/store";
    return options;
  }
  std::string state(const std::string& name) const { return places.state_dir + "/" + name; }
};

void fill(const Machine& machine) {
  auto store = open_store(machine.options());
  record(*store, put_plan(make_secret()), at(0));
  for (int i = 0; i < 5; ++i) {
    record(*store, put_plan(make_config("a", std::to_string(i))), at(i));
  }
  REQUIRE(store->compact(CompactOptions{}, at(200 * 86'400)));
  record(*store, put_plan(make_config("b", "late")), at(200 * 86'400));
  REQUIRE(make_directories(machine.state("network"), 0700));
  REQUIRE(write_file(machine.state("network/addresses"), "moored-addresses 1\n", true));
  REQUIRE(write_file(machine.state("instance"), "a1b2c3\n", true));
  REQUIRE(write_file(machine.state("ranges"), "10.209.0.0/16 10.210.0.0/16\n", true));
  REQUIRE(make_directories(machine.directory.file("etc"), 0755));
  REQUIRE(write_file(machine.places.configuration, "listen: 127.0.0.1:0\n", true));
}

BackupReport back_up(const Machine& machine, const std::string& file) {
  auto report = write_backup(machine.places, file, at(300 * 86'400));
  if (!report) FAIL(report.error().text());
  return *report;
}

void edit(const std::string& file, const std::string& statements) {
  store::Connection::Options how;
  how.path = file;
  how.writable = true;
  const Status edited = store::Connection::open(how)->run(statements);
  if (!edited) FAIL(edited.error().text());
}

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

TEST_CASE("a backup goes onto an empty machine and everything is there") {
  const Machine from;
  fill(from);
  const std::string file = from.directory.file("backup");
  const auto report = back_up(from, file);
  CHECK(report.audit.rows == 7);
  CHECK(report.files == 6);  // key, instance, ranges, addresses, configuration, archive
  CHECK(report.taken_at == format_time(at(300 * 86'400).wall));
  struct ::stat mode {};
  REQUIRE(::stat(file.c_str(), &mode) == 0);
  CHECK((mode.st_mode & 0777) == 0600);
  CHECK(names_in(from.directory.path()) == std::set<std::string>{"backup", "etc", "state"});

  const Machine to;
  const auto restored = restore_backup(file, to.places, false, at(0));
  if (!restored) FAIL(restored.error().text());
  CHECK(restored->store_id == report.store_id);
  CHECK_FALSE(restored->configuration_kept);
  for (const char* name : {"instance", "ranges", "network/addresses", "store/seal.key"}) {
    CHECK(*read_file(to.state(name)) == *read_file(from.state(name)));
  }
  CHECK(*read_file(to.places.configuration) == "listen: 127.0.0.1:0\n");
  CHECK(names_in(to.state("store")) ==
        std::set<std::string>{"audit", "moored.db", "restored", "seal.key"});
  CHECK(verify_audit_offline(to.state("store"))->rows == 7);

  auto opened = open_or_rebuild(to.options(), at(400 * 86'400));
  REQUIRE(opened);
  REQUIRE(opened->loss);
  CHECK(opened->loss->restored);
  CHECK(describe_loss(*opened->loss) == "restored from a backup of " + report.taken_at +
                                            " that ends at audit row 7");
  const auto view = opened->store->view();
  CHECK(view->find(key_of<Secret>("default", "pass"))->as<Secret>().data.at("word") ==
        "opensesame");
  CHECK(view->list(kind_of<ConfigMap>()).size() == 2);
  // Whoever watched the machine that is gone may hold newer versions than the backup has.
  CHECK(view->resource_version() > report.resource_version);
  CHECK(opened->store->changes_since(nullptr, report.resource_version + 1, 9).error().reason ==
        "Expired");
  record(*opened->store, put_plan(make_config("c", "1")), at(400 * 86'400));
  CHECK(opened->store->verify_audit()->rows == 8);
  forget_restored(to.state("store"));
  opened->store.reset();
  CHECK_FALSE(open_or_rebuild(to.options(), at(400 * 86'400))->loss);
}

TEST_CASE("a backup is of one moment, also while the daemon writes") {
  const Machine machine;
  fill(machine);
  auto store = open_store(machine.options());
  for (int i = 0; i < 3; ++i) {
    const auto before = record(*store, put_plan(make_config("a", "x" + std::to_string(i))),
                               at(201 * 86'400)).resource_version;
    const auto report = back_up(machine, machine.directory.file("b" + std::to_string(i)));
    CHECK(report.resource_version == before);
    CHECK(report.audit.rows == 8 + i);
  }
}

TEST_CASE("a machine that holds a store is refused, unless it is moved aside") {
  const Machine from;
  fill(from);
  const std::string file = from.directory.file("backup");
  back_up(from, file);
  const Machine to;
  { record(*open_store(to.options()), put_plan(make_config("mine", "1"))); }
  REQUIRE(make_directories(to.directory.file("etc"), 0755));
  REQUIRE(write_file(to.places.configuration, "listen: 127.0.0.1:1\n", true));
  const auto before = names_in(to.state("store"));

  const auto refused = restore_backup(file, to.places, false, at(0));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == "NotEmpty");
  CHECK(refused.error().fix.find("--replace") != std::string::npos);
  CHECK(names_in(to.state("store")) == before);

  const auto replaced = restore_backup(file, to.places, true, at(0));
  REQUIRE(replaced);
  CHECK(replaced->set_aside == to.state("store.replaced-20231114T221320Z"));
  CHECK(names_in(replaced->set_aside) == before);
  CHECK(replaced->configuration_kept);
  CHECK(*read_file(to.places.configuration) == "listen: 127.0.0.1:1\n");
}

TEST_CASE("beside a running daemon nothing is restored") {
  const Machine machine;
  fill(machine);
  const std::string file = machine.directory.file("backup");
  back_up(machine, file);
  const auto lock = lock_file(machine.state("lock"));
  REQUIRE(lock);
  const auto refused = restore_backup(file, machine.places, true, at(0));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text().find("a daemon runs") != std::string::npos);
  CHECK(verify_audit_offline(machine.state("store"))->rows == 7);
}

struct Harm {
  const char* name;
  const char* statements;
  const char* words;
};

TEST_CASE("a backup that was changed, cut or is none is refused and nothing is touched") {
  const Machine from;
  fill(from);
  const std::string file = from.directory.file("backup");
  back_up(from, file);
  const auto harm = GENERATE(
      Harm{"a row", "UPDATE audit SET canonical_json = replace(canonical_json, 'tester', 'nobody')",
           " was edited"},
      Harm{"an archived row",
           "UPDATE backup_file SET content = CAST(replace(content, 'tester', 'nobody') AS BLOB) "
           "WHERE name LIKE 'store/audit/%'",
           "contradicts its digest"},
      Harm{"the key", "UPDATE backup_file SET content = x'00' WHERE name = 'store/seal.key'",
           "contradicts its digest"},
      Harm{"a foreign name", "UPDATE backup_file SET name = '../../etc/shadow' WHERE name = 'ranges'",
           "foreign"},
      Harm{"no backup", "DROP TABLE backup_file", "no backup"},
      Harm{"from the future", "PRAGMA user_version = 99", "newer moored"},
      Harm{"of a newer form", "UPDATE meta SET value = 9 WHERE name = 'backup_version'",
           "newer moored"});
  INFO(harm.name);
  edit(file, harm.statements);
  const Machine to;
  const auto refused = restore_backup(file, to.places, false, at(0));
  REQUIRE_FALSE(refused);
  INFO(refused.error().text());
  CHECK(refused.error().text().find(harm.words) != std::string::npos);
  CHECK_FALSE(path_exists(to.state("store")));
}

TEST_CASE("a cut backup is refused, one that is absent too") {
  const Machine from;
  fill(from);
  const std::string file = from.directory.file("backup");
  back_up(from, file);
  fs::resize_file(file, fs::file_size(file) / 2);
  const Machine to;
  CHECK(restore_backup(file, to.places, false, at(0)).error().code == Code::corrupt);
  CHECK(restore_backup(file + "x", to.places, false, at(0)).error().code == Code::not_found);
  CHECK_FALSE(path_exists(to.state("store")));
}

TEST_CASE("no backup is made of a damaged store, over a file, or of nothing") {
  const Machine machine;
  const std::string file = machine.directory.file("backup");
  CHECK_FALSE(write_backup(machine.places, file, at(0)));
  fill(machine);
  edit(machine.state("store/moored.db"), "DELETE FROM audit WHERE seq = 7");
  const auto refused = write_backup(machine.places, file, at(0));
  CHECK(refused.error().reason == "AuditBroken");
  CHECK_FALSE(path_exists(file));
  CHECK_FALSE(path_exists(file + ".half"));
  REQUIRE(write_file(file, "somebody's", true));
  CHECK(write_backup(machine.places, file, at(0)).error().reason == "Exists");
  CHECK(*read_file(file) == "somebody's");
}

}  // namespace
}  // namespace moored::test
