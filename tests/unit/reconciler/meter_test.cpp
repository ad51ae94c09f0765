// What /metrics says of revisions, sources, pods and the process.
#include "reconciler/daemon/meter.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <regex>
#include <sstream>

#include "net/api/metrics_text.hpp"
#include "schema/host/file.hpp"
#include "schema/host/process_usage.hpp"
#include "schema/model/flux.hpp"
#include "tests/unit/net/metric_rules.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

using Strings = std::vector<std::string>;

std::string revision(char digit) {
  return "main@sha1:" + std::string(40, digit);
}

template <class Measure>
MetricRules measured(Measure&& measure) {
  std::vector<MetricFamily> families;
  measure(families);
  const auto text = net::api::write_metrics(families);
  INFO(text);
  MetricRules rules(text);
  CHECK(rules.breaches() == Strings{});
  return rules;
}

std::string ends(const std::string& outcome) {
  return "moored_revisions_total{outcome=\"" + outcome + "\"}";
}

// The unit tries a revision, with steps of its receipt seconds after the start.
void attempt(Store& store, const std::string& tried, std::int64_t second,
             std::vector<std::pair<std::string, std::int64_t>> steps) {
  Kustomization unit;
  unit.metadata.name = "default";
  unit.metadata.namespace_name = "moored-system";
  unit.spec.path = "./";
  unit.spec.source_ref.kind = "GitRepository";
  unit.spec.source_ref.name = "default";
  unit.status.last_attempted_revision = tried;
  unit.status.last_applied_revision = tried;
  Plan plan = put_plan(unit);
  for (const auto& [step, when] : steps)
    plan.receipt.push_back({tried, step, at(when).wall, ""});
  record(store, plan, at(second));
}

TEST_CASE("meter: each revision ends once, ready ones with the time they took", "[meter]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  attempt(*store, revision('a'), 1, {{"seen", 1}, {"ready", 2}});
  RevisionMeter meter(*store);
  const auto ask = [&] { return measured([&](auto& families) { meter.measure(families); }); };
  // What ended before is not counted, however often it is asked.
  for (int i = 0; i < 2; ++i)
    CHECK(ask().value(ends("ready")) == 0);
  attempt(*store, revision('b'), 3, {{"seen", 3}});
  CHECK(ask().value(ends("ready")) == 0);
  attempt(*store, revision('b'), 7, {{"ready", 7}});
  for (int i = 0; i < 2; ++i) {
    const auto rules = ask();
    CHECK(rules.value(ends("ready")) == 1);
    CHECK(rules.value("moored_revision_ready_seconds_sum") == 4);
    CHECK(rules.value("moored_revision_ready_seconds_bucket{le=\"2.5\"}") == 0);
    CHECK(rules.value("moored_revision_ready_seconds_bucket{le=\"5\"}") == 1);
  }
}

TEST_CASE("meter: revisions between two questions are not missed", "[meter]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  RevisionMeter meter(*store);
  attempt(*store, revision('a'), 1, {{"seen", 1}, {"ready", 3}});
  attempt(*store, revision('b'), 4, {{"seen", 4}});
  attempt(*store, revision('c'), 5, {{"seen", 5}, {"failed", 6}});
  const auto ask = [&] { return measured([&](auto& families) { meter.measure(families); }); };
  const auto first = ask();
  CHECK(first.value(ends("ready")) == 1);
  CHECK(first.value(ends("superseded")) == 1);
  CHECK(first.value(ends("failed")) == 1);
  // It heals: that is another end of the same revision.
  attempt(*store, revision('c'), 9, {{"ready", 9}});
  CHECK(ask().value(ends("ready")) == 2);
  CHECK(ask().value("moored_revision_ready_seconds_sum") == 6);
}

TEST_CASE("meter: sources and units", "[meter]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  GitRepository source;
  source.metadata.name = "default";
  source.metadata.namespace_name = "moored-system";
  source.spec.url = "https://user:secret@git.example.org/x";
  source.status.artifact = SourceArtifact{revision('a'), at(5).wall};
  record(*store, put_plan(source));
  Condition ready;
  ready.type = "Ready";
  ready.status = "True";
  source.metadata.name = "well";
  source.spec.suspend = true;
  source.status.conditions = {ready};
  record(*store, put_plan(source));
  attempt(*store, revision('a'), 6, {});
  std::vector<MetricFamily> families;
  const auto rules = measured([&](auto& out) {
    measure_sources(*store->view(), out);
    families = out;
  });
  CHECK(rules.value("moored_source_ready{source=\"moored-system/default\"}") == 0);
  CHECK(rules.value("moored_source_ready{source=\"moored-system/well\"}") == 1);
  CHECK(rules.value("moored_source_suspended{source=\"moored-system/well\"}") == 1);
  CHECK(rules.value("moored_source_revision_timestamp_seconds{source=\"moored-system/default\"}") ==
        1'700'000'005);
  CHECK(rules.value("moored_unit_ready{unit=\"moored-system/default\"}") == 0);
  CHECK(rules.value("moored_unit_behind{unit=\"moored-system/default\"}") == 0);
  CHECK(net::api::write_metrics(families).find("secret") == std::string::npos);
}

TEST_CASE("meter: pods by phase, restarts by container", "[meter]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  auto pod = make_test_pod("web", "");
  pod.status.phase = "Running";
  ContainerStatus container;
  container.name = "main";
  container.restart_count = 3;
  pod.status.container_statuses = {container};
  record(*store, put_plan(pod));
  const auto rules = measured([&](auto& out) { measure_pods(*store->view(), out); });
  CHECK(rules.value("moored_pods{phase=\"Running\"}") == 1);
  CHECK(rules.value("moored_pods{phase=\"Failed\"}") == 0);
  CHECK(rules.value("moored_container_restarts_total{namespace=\"default\",pod=\"web\","
                    "container=\"main\"}") == 3);
}

std::string open_of(const std::string& kind) {
  return "moored_drift_open{kind=\"" + kind + "\"}";
}

TEST_CASE("meter: drift is counted while it is open, in series of moored's own words", "[meter]") {
  TestDirectory directory;
  const auto options = store_options(directory);
  auto store = open_store(options);
  std::size_t series = 0;
  const auto ask = [&] {
    return measured([&](auto& out) {
      measure_drift(*store, out);
      REQUIRE(out.size() == 1);
      series = out[0].samples.size();
    });
  };
  CHECK(ask().value(open_of("process")) == 0);
  const auto few = series;
  Plan plan;
  for (const char* field : {"process[main]:4711", "root[main]:/a\"b\n}\\x 1", "process[main]:4712",
                            "nobody knows this"}) {
    DriftRecord drift;
    drift.id = field;
    drift.object = key_of<Pod>("default", "web");
    drift.field = field;
    drift.onset = at(1).wall;
    plan.drift.push_back(drift);
  }
  record(*store, plan);
  record(*store, plan);  // told again: the same difference
  for (int opened = 0; opened < 2; ++opened) {
    const auto rules = ask();
    CHECK(rules.value(open_of("process")) == 2);
    CHECK(rules.value(open_of("root")) == 1);
    CHECK(rules.value(open_of("other")) == 1);
    CHECK(series == few);
    store.reset();
    store = open_store(options);  // another daemon counts the same
  }
  for (auto& drift : plan.drift)
    drift.corrected_at = at(2).wall;
  plan.drift.pop_back();
  record(*store, plan);
  CHECK(ask().value(open_of("process")) == 0);
  CHECK(ask().value(open_of("root")) == 0);
  CHECK(ask().value(open_of("other")) == 1);
  // The same difference once more: its record is opened again.
  plan.drift[1].corrected_at.reset();
  record(*store, plan);
  CHECK(ask().value(open_of("root")) == 1);
  CHECK(series == few);
}

// A kind that is not among the words of the metric would be counted as "other".
TEST_CASE("meter: every field of docs/drift.md has its series", "[meter]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  const auto rules = measured([&](auto& out) { measure_drift(*store, out); });
  std::istringstream lines(*read_file(MOORED_SOURCE_DIR "/docs/drift.md"));
  static const std::regex field("`([a-zA-Z.]+)(\\[CONTAINER\\])?(:[A-Z]+)?`");
  int found = 0;
  for (std::string line; std::getline(lines, line) && line != "## What is not drift";) {
    if (line.rfind("| `", 0) != 0) continue;
    const auto cell = line.substr(0, line.find('|', 1));
    for (std::sregex_iterator at(cell.begin(), cell.end(), field), end; at != end; ++at, ++found) {
      INFO(at->str());
      CHECK(rules.value(open_of((*at)[1])) == 0);
    }
  }
  CHECK(found >= 22);
}

TEST_CASE("meter: the node's usage is what is neither idle nor free", "[meter]") {
  const std::string stat = "cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
  const std::string meminfo =
      "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     400 kB\n";
  const auto usage = parse_node_usage(stat, meminfo);
  REQUIRE(usage.has_value());
  CHECK(usage->cpu == std::chrono::milliseconds(1710));  // ticks of 10 ms
  CHECK(usage->memory_bytes == 600 * 1024);
  CHECK(parse_node_usage("", meminfo).error().code == Code::corrupt);
  CHECK(parse_node_usage("cpu 1 2 3", meminfo).error().code == Code::corrupt);
  CHECK(parse_node_usage("cpu0 1 2 3 4 5 6 7 8", meminfo).error().code == Code::corrupt);
  CHECK(parse_node_usage(stat, "MemTotal: 5 kB\n").error().code == Code::corrupt);
}

TEST_CASE("meter: the process tells what it uses", "[meter]") {
  const auto before = read_process_usage();
  REQUIRE(before.has_value());
  CHECK(before->resident_bytes > 1 << 20);
  CHECK(before->virtual_bytes >= before->resident_bytes);
  CHECK(before->threads >= 1);
  CHECK(before->open_files >= 3);
  CHECK(before->open_files_limit >= before->open_files);
  const auto now = std::chrono::duration<double>(SystemClock().now().wall.time_since_epoch());
  CHECK(before->start_time_seconds <= now.count() + 2);  // the boot time is in whole seconds
  CHECK(before->start_time_seconds > now.count() - 86'400);
  const auto rules = measured([](auto& out) { measure_process(out); });
  CHECK(rules.value("process_cpu_seconds_total") >= before->cpu_seconds);
  CHECK(rules.value("process_max_fds") == static_cast<double>(before->open_files_limit));
  CHECK(rules.value(std::string("moored_build_version_info{version=\"") + MOORED_VERSION + "\"}") ==
        1);
}

}  // namespace
}  // namespace moored::test
