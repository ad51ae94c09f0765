// What happens to pods while the daemon is away, and what a new daemon makes of it.
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::test;
using std::chrono::seconds;

namespace {

const ContainerStatus& main_status(const AgentBench& bench, const std::string& name) {
  static Pod pod;
  pod = bench.store.pod(name);
  return pod.status.container_statuses.at(0);
}

Probe make_probe() {
  Probe probe;
  probe.exec = ExecAction{{"check"}};
  return probe;
}

}  // namespace

TEST_CASE("B32 a restart of the daemon changes nothing for pods", "[agent][adopt]") {
  AgentBench bench;
  for (int i = 0; i < 20; ++i) {
    Pod pod = make_pod("web-" + std::to_string(i));
    pod.spec.containers[0].readiness_probe = make_probe();
    bench.store.put(make_object(pod));
  }
  bench.settle();
  const auto calls = bench.sandbox.calls.size();
  const auto told = bench.store.statuses.size();
  bench.restart_daemon();
  bench.run_for(seconds(60));
  CHECK(bench.sandbox.calls.size() == calls);
  CHECK(bench.store.statuses.size() == told);
  CHECK(bench.store.pod("web-7").status.phase == "Running");
}

TEST_CASE("readiness is kept until the first new result", "[agent][adopt]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  pod.spec.containers[0].readiness_probe = make_probe();
  pod.spec.containers[0].readiness_probe->failure_threshold = 1;
  bench.store.put(make_object(pod));
  bench.settle();
  bench.sandbox.answers = {{ProbeResult::Outcome::failure, "down", 1}};
  bench.restart_daemon();
  bench.agent->step(bench.clock.now());
  CHECK(main_status(bench, "web").ready);
  bench.run_for(seconds(11));
  CHECK_FALSE(main_status(bench, "web").ready);
}

TEST_CASE("an exit while the daemon was away is recorded once", "[agent][adopt]") {
  AgentBench bench;
  Pod pod = make_pod("job");
  SECTION("restartPolicy Never") {
    pod.spec.restart_policy = "Never";
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.end("uid-job", "main", 3, 0, true);
    bench.restart_daemon();
    bench.settle();
    REQUIRE(main_status(bench, "job").state.terminated);
    CHECK(main_status(bench, "job").state.terminated->exit_code == 3);
    CHECK(bench.store.pod("job").status.phase == "Failed");
    const auto told = bench.store.statuses.size();
    bench.restart_daemon();
    bench.settle();
    CHECK(bench.store.statuses.size() == told);
  }
  SECTION("restartPolicy Always") {
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.end("uid-job", "main", 3, 0, true);
    bench.restart_daemon();
    bench.settle();
    CHECK(bench.sandbox.count("start main 1") == 1);
    CHECK(main_status(bench, "job").restart_count == 1);
    CHECK(main_status(bench, "job").last_state.terminated->exit_code == 3);
    CHECK(bench.sandbox.count("remove main 0") == 1);
  }
}

TEST_CASE("a back-off goes on over a restart of the daemon", "[agent][adopt]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("crash")));
  bench.settle();
  for (int i = 0; i < 3; ++i) {
    bench.sandbox.end("uid-crash", "main", 1);
    bench.settle();
    if (i < 2) bench.run_for(seconds(10 * (i + 1)));
  }
  REQUIRE(main_status(bench, "crash").state.waiting);
  const auto attempts = main_status(bench, "crash").restart_count;
  bench.restart_daemon();
  bench.run_for(seconds(5));
  CHECK(main_status(bench, "crash").restart_count == attempts);
  CHECK(main_status(bench, "crash").state.waiting->reason == "CrashLoopBackOff");
  bench.run_for(seconds(40));
  CHECK(main_status(bench, "crash").restart_count == attempts + 1);
}

TEST_CASE("B89 after a reboot everything starts again", "[agent][adopt]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  Container init;
  init.name = "init";
  init.image = "busybox:1";
  pod.spec.init_containers = {init};
  bench.store.put(make_object(pod));
  bench.settle();
  bench.sandbox.end("uid-web", "init", 0);
  bench.settle();
  CHECK(bench.sandbox.count("start main 0") == 1);

  bench.sandbox.pods.clear();
  bench.restart_daemon();
  bench.settle();
  CHECK(bench.sandbox.count("start init 1") == 1);
  bench.sandbox.end("uid-web", "init", 0);
  bench.settle();
  CHECK(bench.sandbox.count("start main 1") == 1);
  CHECK(main_status(bench, "web").restart_count == 1);
  CHECK(main_status(bench, "web").last_state.terminated->reason == "ContainerStatusUnknown");
  CHECK(main_status(bench, "web").last_state.terminated->exit_code == 137);
}

TEST_CASE("B88 a lost shim takes its containers with it", "[agent][adopt]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  SECTION("policy Always makes a new sandbox") {
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.lose_shim("uid-web");
    bench.settle();
    CHECK(bench.sandbox.count("remove_pod") == 1);
    CHECK(bench.sandbox.count("create_pod web") == 2);
    CHECK(bench.sandbox.count("start main 1") == 1);
    CHECK(main_status(bench, "web").last_state.terminated->reason == "ContainerStatusUnknown");
  }
  SECTION("policy Never ends the pod") {
    pod.spec.restart_policy = "Never";
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.lose_shim("uid-web");
    bench.run_for(seconds(6));
    CHECK(bench.store.pod("web").status.phase == "Failed");
    CHECK(bench.sandbox.count("create_pod web") == 1);
  }
  SECTION("found dead by a new daemon") {
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.dead_shims.insert("uid-web");
    bench.restart_daemon();
    bench.settle();
    CHECK(bench.sandbox.count("remove_pod") == 1);
    CHECK(bench.sandbox.count("start main 1") == 1);
  }
}

TEST_CASE("a container that was made and never started is tried again", "[agent][adopt]") {
  AgentBench bench;
  bench.sandbox.fail_next("start", fail(Code::unavailable, "cut").take());
  bench.store.put(make_object(make_pod("web")));
  bench.agent->step(bench.clock.now());
  bench.restart_daemon();
  bench.run_for(seconds(12));
  CHECK(bench.sandbox.count("start main 0") == 2);
  CHECK(main_status(bench, "web").restart_count == 0);
}

TEST_CASE("a pod that nobody asks for is killed and removed", "[agent][adopt]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.store.remove(key_of<Pod>("default", "web"));
  const auto told = bench.store.statuses.size();
  bench.restart_daemon();
  bench.run_for(seconds(1));
  CHECK(bench.sandbox.count("signal main 9 all") == 1);
  CHECK(bench.sandbox.pods.empty());
  CHECK(bench.store.statuses.size() == told);  // the store never knew it
}

TEST_CASE("a deletion goes on over a restart of the daemon", "[agent][adopt]") {
  AgentBench bench;
  bench.sandbox.obeys = false;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  Pod pod = bench.store.pod("web");
  pod.metadata.deletion_timestamp = bench.clock.now().wall;
  pod.metadata.deletion_grace_period_seconds = 5;
  bench.store.put(make_object(pod));
  bench.run_for(seconds(2));
  bench.restart_daemon();
  bench.run_for(seconds(12));
  CHECK_FALSE(bench.store.has_pod("web"));
  CHECK(bench.sandbox.pods.empty());
}

TEST_CASE("a store that loses facts does not stop a deletion", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.store.records = false;
  Pod pod = bench.store.pod("web");
  pod.metadata.deletion_timestamp = bench.clock.now().wall;
  bench.store.put(make_object(pod));
  // Long enough for a disk that fails now and then: what is removed cannot tell its exit code.
  bench.run_for(seconds(30));
  CHECK(bench.sandbox.count("remove_pod") == 0);
  bench.run_for(seconds(40));
  CHECK(bench.sandbox.pods.empty());
  CHECK(bench.sandbox.count("remove_pod") == 1);
}

// ---- drift ----

TEST_CASE("a process killed from outside is drift, recorded once and put right", "[agent][drift]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.run_for(seconds(3));
  bench.sandbox.end("uid-web", "main", 137, 9);
  bench.settle();
  REQUIRE(bench.store.drifts.size() == 2);
  const DriftRecord& open = bench.store.drifts[0];
  const DriftRecord& closed = bench.store.drifts[1];
  CHECK(open.field == "process[main]");
  CHECK(open.observed == "killed by signal 9");
  CHECK(open.correction.empty());
  CHECK_FALSE(open.corrected_at);
  CHECK(closed.id == open.id);
  CHECK(closed.correction == "restarted");
  CHECK(closed.corrected_at);
  CHECK(closed.object == key_of<Pod>("default", "web"));
  // The core makes the event of it, so that one difference is told once.
  CHECK(bench.store.count_events("DriftCorrected") == 0);
}

TEST_CASE("ends that are no drift", "[agent][drift]") {
  struct Row {
    const char* what;
    int code;
    int signal;
    bool oom;
  };
  const Row rows[] = {{"the program failed", 1, 0, false},
                      {"the program crashed", 139, 11, false},
                      {"somebody asked it to stop", 143, 15, false},
                      {"memory limit", 137, 9, true}};
  for (const auto& row : rows) {
    INFO(row.what);
    AgentBench bench;
    bench.store.put(make_object(make_pod("web")));
    bench.settle();
    bench.sandbox.end("uid-web", "main", row.code, row.signal, true);
    ContainerReport report = bench.sandbox.pods["uid-web"].containers.begin()->second;
    report.oom_killed = row.oom;
    bench.sandbox.events.push_back({SandboxEvent::Type::exited, "uid-web", report});
    bench.settle();
    CHECK(bench.store.drifts.empty());
    CHECK(bench.sandbox.count("start main 1") == 1);
    const auto exit = *main_status(bench, "web").last_state.terminated;
    CHECK(exit.reason == (row.oom ? "OOMKilled" : "Error"));
  }
}

TEST_CASE("without a restart the drift of a process is closed at once", "[agent][drift]") {
  AgentBench bench;
  Pod pod = make_pod("job");
  pod.spec.restart_policy = "Never";
  bench.store.put(make_object(pod));
  bench.settle();
  bench.sandbox.end("uid-job", "main", 137, 9);
  bench.run_for(seconds(40));
  REQUIRE(bench.store.drifts.size() == 1);
  CHECK(bench.store.drifts[0].corrected_at);
  CHECK(bench.store.pod("job").status.phase == "Failed");
}

TEST_CASE("a cgroup limit that was changed is put right by the sweep", "[agent][drift]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  pod.spec.containers[0].resources.limits["memory"] = *Quantity::parse("128Mi");
  bench.store.put(make_object(pod));
  bench.settle();
  bench.run_for(seconds(31));
  CHECK(bench.store.drifts.empty());
  bench.sandbox.pods["uid-web"].limits["main"].memory_limit_bytes = std::nullopt;
  bench.run_for(seconds(31));
  REQUIRE(bench.store.drifts.size() == 1);
  const DriftRecord& drift = bench.store.drifts[0];
  CHECK(drift.field == "cgroup.memory.max[main]");
  CHECK(drift.desired == "134217728");
  CHECK(drift.observed == "max");
  CHECK(drift.corrected_at);
  CHECK(bench.sandbox.pods["uid-web"].limits["main"].memory_limit_bytes == 134217728);
  bench.run_for(seconds(90));
  CHECK(bench.store.drifts.size() == 1);
}

TEST_CASE("network drift is told of the pod or of the node", "[agent][drift]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.network.drift = {{"uid-web", "route", "10.209.0.2/32", "absent", {}},
                         {"", "rule", "guard", "absent", "nft[7]"}};
  bench.run_for(seconds(31));
  REQUIRE(bench.store.drifts.size() == 2);
  CHECK(bench.store.drifts[0].object == key_of<Node>({}, "node-1"));
  CHECK(bench.store.drifts[0].actor == "nft[7]");
  CHECK(bench.store.drifts[1].object == key_of<Pod>("default", "web"));
}

TEST_CASE("what a lost link or address takes along is not told apart", "[agent][drift]") {
  struct Row {
    std::vector<std::string> found;
    std::vector<std::string> told;
  };
  const Row rows[] = {{{"link", "address", "route", "neighbour"}, {"link"}},
                      {{"address", "route", "neighbour"}, {"address"}},
                      {{"route", "neighbour"}, {"route", "neighbour"}},
                      {{"link", "rule"}, {"link", "rule"}}};
  for (const auto& row : rows) {
    AgentBench bench;
    bench.store.put(make_object(make_pod("web")));
    bench.settle();
    for (const auto& field : row.found) {
      bench.network.drift.push_back({"uid-web", field, "there", "missing", {}});
    }
    bench.run_for(seconds(31));
    std::vector<std::string> told;
    for (const auto& drift : bench.store.drifts) told.push_back(drift.field);
    CHECK(told == row.told);
    CHECK((bench.store.drifts[0].observed == "missing") == (row.told.size() == row.found.size()));
  }
}

// ---- differences of containers ----

TEST_CASE("a hint is answered by a look, and what it finds is told once", "[agent][drift]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  CHECK(bench.watch.remembered == std::vector<std::string>{"uid-web/main/0"});
  bench.run_for(seconds(2));
  const auto looks = bench.watch.looks;
  bench.watch.drift = {{"uid-web", "main", "mount[main]:/a", "ro", "rw", "options set again",
                        SandboxDrift::Remedy::put_back}};
  bench.watch.hints = {{"uid-web", "sh[7] uid 0"}};
  bench.run_for(seconds(2));
  CHECK(bench.watch.looks == looks + 1);
  REQUIRE(bench.store.drifts.size() == 1);
  CHECK(bench.store.drifts[0].correction == "options set again");
  CHECK(bench.store.drifts[0].corrected_at);
  bench.watch.drift.clear();
  bench.run_for(seconds(70));
  CHECK(bench.store.drifts.size() == 1);
}

TEST_CASE("many hints make few looks", "[agent][drift]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.run_for(seconds(1));
  const auto looks = bench.watch.looks;
  for (int i = 0; i < 100; ++i) {
    bench.watch.hints = {{"", {}}};
    bench.run_for(std::chrono::milliseconds(100));
  }
  CHECK(bench.watch.looks - looks <= 11);
  CHECK(bench.watch.looks - looks >= 5);
}

TEST_CASE("how a pod wants its drift treated", "[agent][drift]") {
  struct Row {
    const char* word;
    std::size_t looked;
    bool correct;
  };
  for (const auto& row : {Row{"off", 0, false}, Row{"report", 1, false}, Row{"correct", 1, true}}) {
    INFO(row.word);
    AgentBench bench;
    Pod pod = make_pod("web");
    pod.metadata.annotations["moored.dev/drift"] = row.word;
    pod.spec.containers[0].resources.limits["memory"] = *Quantity::parse("128Mi");
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.pods["uid-web"].limits["main"].memory_limit_bytes = 1;
    bench.run_for(seconds(31));
    CHECK(bench.watch.orders.size() == row.looked);
    if (row.looked > 0) CHECK(bench.watch.orders[0].correct == row.correct);
    CHECK(bench.store.drifts.size() == row.looked);
    CHECK((bench.sandbox.pods["uid-web"].limits["main"].memory_limit_bytes == 1) != row.correct);
    // Reported once, however often it is seen.
    bench.run_for(seconds(90));
    CHECK(bench.store.drifts.size() == row.looked);
  }
}

TEST_CASE("what only a restart puts right is restarted once", "[agent][drift]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.watch.drift = {{"uid-web", "main", "root[main]:/x", "as it was", "3 bytes", {},
                        SandboxDrift::Remedy::restart}};
  bench.watch.hints = {{"uid-web", {}}};
  bench.run_for(seconds(1));
  CHECK(bench.sandbox.count("start main 1") == 1);
  bench.watch.drift.clear();
  bench.run_for(seconds(40));
  REQUIRE(bench.store.drifts.size() == 2);
  CHECK(bench.store.drifts[0].id == bench.store.drifts[1].id);
  CHECK(bench.store.drifts[1].correction == "restarted");
  CHECK(bench.sandbox.count("start main 2") == 0);
}

TEST_CASE("without a restart policy nothing is killed for drift", "[agent][drift]") {
  AgentBench bench;
  Pod pod = make_pod("job");
  pod.spec.restart_policy = "Never";
  bench.store.put(make_object(pod));
  bench.settle();
  bench.watch.drift = {{"uid-job", "main", "mount[main]:/a", "mounted", "not mounted", {},
                        SandboxDrift::Remedy::restart}};
  bench.run_for(seconds(70));
  REQUIRE(bench.store.drifts.size() == 1);
  CHECK_FALSE(bench.store.drifts[0].corrected_at);
  CHECK(bench.store.pod("job").status.phase == "Running");
}

TEST_CASE("a pod that goes leaves no difference open", "[agent][drift]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  pod.metadata.annotations["moored.dev/drift"] = "report";
  bench.store.put(make_object(pod));
  bench.settle();
  bench.watch.drift = {{"uid-web", "main", "mount[main]:/a", "ro", "rw", {},
                        SandboxDrift::Remedy::put_back}};
  bench.run_for(seconds(31));
  REQUIRE(bench.store.drifts.size() == 1);
  pod.metadata.deletion_timestamp = bench.clock.now().wall;
  bench.store.put(make_object(pod));
  bench.run_for(seconds(40));
  REQUIRE(bench.store.drifts.size() == 2);
  CHECK(bench.store.drifts[1].id == bench.store.drifts[0].id);
  CHECK(bench.store.drifts[1].corrected_at);
}

TEST_CASE("which message an exit leaves", "[agent]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  pod.spec.restart_policy = "Never";
  pod.spec.containers[0].termination_message_policy = "FallbackToLogsOnError";
  const std::string logs = bench.scratch.path() + "/log/pods/default_web_uid-web/main";
  SECTION("B77 the end of the log after an error") {
    bench.store.put(make_object(pod));
    bench.settle();
    std::ofstream log(logs + "/0.log");
    for (int i = 0; i < 100; ++i) log << "2026-01-02T03:04:05Z stdout F line " << i << "\n";
    log.close();
    bench.sandbox.end("uid-web", "main", 1);
    bench.settle();
    const auto message = main_status(bench, "web").state.terminated->message;
    CHECK(message.substr(0, 8) == "line 20\n");
    CHECK(message.substr(message.size() - 8) == "line 99\n");
  }
  SECTION("the file wins when it says something") {
    bench.sandbox.message = "from the file";
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.end("uid-web", "main", 1);
    bench.settle();
    CHECK(main_status(bench, "web").state.terminated->message == "from the file");
  }
}
