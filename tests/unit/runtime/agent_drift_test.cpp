// What differs, and the record of it: begun once, closed once.
#include <algorithm>

#include <catch2/catch.hpp>

#include "runtime/agent/drift_ledger.hpp"
#include "runtime/agent/limit_drift.hpp"
#include "tests/unit/runtime/agent_drive.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
using std::chrono::seconds;

TEST_CASE("cgroup values that differ", "[agent][drift]") {
  CgroupLimits desired;
  desired.cpu_request_milli = 500;
  desired.memory_limit_bytes = 1000;
  struct Row {
    const char* what;
    CgroupLimits observed;
    std::vector<std::string> fields;
  };
  CgroupLimits more = desired;
  more.memory_limit_bytes = 2000;
  CgroupLimits none = desired;
  none.memory_limit_bytes.reset();
  none.cpu_limit_milli = 100;
  CgroupLimits rounded = desired;
  rounded.cpu_request_milli = 510;
  CgroupLimits starved = desired;
  starved.cpu_request_milli = 2;
  const Row rows[] = {{"the same", desired, {}},
                      {"another limit", more, {"cgroup.memory.max[web]"}},
                      {"no limit, and a new one", none,
                       {"cgroup.memory.max[web]", "cgroup.cpu.max[web]"}},
                      {"a rounded weight", rounded, {}},
                      {"no shares", starved, {"cgroup.cpu.shares[web]"}}};
  for (const auto& row : rows) {
    INFO(row.what);
    std::vector<std::string> fields;
    for (const auto& record : compare_limits("web", desired, row.observed)) {
      fields.push_back(record.field);
    }
    CHECK(fields == row.fields);
  }
  CHECK(compare_limits("", desired, more).at(0).field == "cgroup.memory.max");
}

TEST_CASE("the ledger closes what it opened", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  ContainerReport report = make_end("main", 0, 137);
  report.signal = 9;
  CHECK(is_killed_from_outside(report, {}));
  ContainerMemory ours;
  ours.killed_by_us = true;
  CHECK_FALSE(is_killed_from_outside(report, ours));

  const auto open = ledger.open_process(pod, report, true, kStart.wall);
  CHECK(ledger.get_open_count() == 1);
  CHECK(ledger.close_container("uid-web", "other", kStart.wall).empty());
  const auto closed = ledger.close_container("uid-web", "main", later(3).wall);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].id == open.id);
  CHECK(closed[0].correction == "restarted");
  CHECK(closed[0].corrected_at == later(3).wall);
  CHECK(ledger.close_container("uid-web", "main", later(4).wall).empty());

  ledger.open_process(pod, report, true, kStart.wall);
  CHECK(ledger.forget("uid-other", kStart.wall).empty());
  CHECK(ledger.get_open_count() == 1);
  const auto gone = ledger.forget("uid-web", later(5).wall);
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].corrected_at);
  CHECK(ledger.get_open_count() == 0);
}

DriftRecord make_found(const std::string& field, const std::string& observed,
                       const std::string& correction = {}) {
  DriftRecord record;
  record.field = field;
  record.desired = "wanted";
  record.observed = observed;
  record.correction = correction;
  return record;
}

TEST_CASE("a difference that lasts is told when it begins and when it is over", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  const auto scope = DriftScope::sandbox;
  auto news = ledger.settle(pod, scope, {make_found("mount[main]:/a", "gone")}, kStart.wall);
  REQUIRE(news.size() == 1);
  const auto id = news[0].id;
  CHECK_FALSE(news[0].corrected_at);
  CHECK(news[0].object == pod.key());
  // Seen again, even in another form, it is the same difference.
  CHECK(ledger.settle(pod, scope, {make_found("mount[main]:/a", "worse")}, later(1).wall).empty());
  // A look of another kind says nothing about it.
  CHECK(ledger.settle(pod, DriftScope::limits, {}, later(2).wall).empty());
  // Nor does a look at another pod.
  const Object other = make_object(make_pod("other"));
  CHECK(ledger.settle(other, scope, {}, later(2).wall).empty());
  news = ledger.settle(pod, scope, {}, later(3).wall);
  REQUIRE(news.size() == 1);
  CHECK(news[0].id == id);
  CHECK(news[0].observed == "gone");
  CHECK(news[0].corrected_at == later(3).wall);
  CHECK(ledger.get_open_count() == 0);
}

TEST_CASE("a difference that is put right at once is one record", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  const auto found = make_found("cgroup.pids.max", "1", "written again");
  const auto news = ledger.settle(pod, DriftScope::limits, {found}, kStart.wall);
  REQUIRE(news.size() == 1);
  CHECK(news[0].correction == "written again");
  CHECK(news[0].corrected_at == kStart.wall);
  CHECK(ledger.get_open_count() == 0);
  // One that could not be put right before closes what it opened.
  const auto open = ledger.settle(pod, DriftScope::limits, {make_found("a", "1")}, kStart.wall);
  const auto closed =
      ledger.settle(pod, DriftScope::limits, {make_found("a", "1", "done")}, later(9).wall);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].id == open.at(0).id);
  CHECK(closed[0].correction == "done");
}

TEST_CASE("two routes that are missing are two differences", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  auto one = make_found("route", "missing");
  auto two = make_found("route", "missing");
  two.desired = "another";
  const auto news = ledger.settle(pod, DriftScope::network, {one, two}, kStart.wall);
  REQUIRE(news.size() == 2);
  CHECK(news[0].id != news[1].id);
}

TEST_CASE("what waits for a restart is closed by the restart only", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  ledger.settle(pod, DriftScope::sandbox, {make_found("root[main]:/x", "3 bytes")}, kStart.wall);
  ledger.await_restart("uid-web", "root[main]:/x", "main");
  CHECK(ledger.settle(pod, DriftScope::sandbox, {}, later(1).wall).empty());
  CHECK(ledger.close_container("uid-web", "main", later(2).wall).size() == 1);
}

TEST_CASE("open differences are known to a later daemon", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  ledger.settle(pod, DriftScope::sandbox, {make_found("mount[main]:/a \"b\"", "rw\n")},
                kStart.wall);
  ledger.settle(make_object(make_node({}, nullptr, kStart.wall)), DriftScope::network,
                {make_found("rule", "missing")}, kStart.wall);
  auto read = DriftLedger::parse(ledger.text());
  REQUIRE(read);
  CHECK(read->text() == ledger.text());
  CHECK(read->list_uids() == std::vector<std::string>{"uid-web"});
  CHECK(read->settle(pod, DriftScope::sandbox, {make_found("mount[main]:/a \"b\"", "rw\n")},
                     later(1).wall)
            .empty());
  const auto closed = read->settle(pod, DriftScope::sandbox, {}, later(2).wall);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].onset == kStart.wall);
  CHECK(closed[0].object == pod.key());
  CHECK_FALSE(DriftLedger::parse("{"));
  CHECK_FALSE(DriftLedger::parse("[{\"field\":\"a\"}]"));
  CHECK(DriftLedger::parse("[]")->get_open_count() == 0);
}
