// Init containers, sidecars, hooks and probes through the whole agent.
#include <catch2/catch.hpp>

#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

Container make_container(const std::string& name) {
  Container container;
  container.name = name;
  container.image = "busybox:1";
  return container;
}

Container make_sidecar(const std::string& name) {
  Container container = make_container(name);
  container.restart_policy = "Always";
  return container;
}

Probe make_probe(int period, int failures, int initial_delay = 0) {
  Probe probe;
  probe.exec = ExecAction{{"check"}};
  probe.period_seconds = period;
  probe.failure_threshold = failures;
  probe.initial_delay_seconds = initial_delay;
  return probe;
}

ProbeResult answer(bool good, const std::string& output = {}) {
  const auto outcome = good ? ProbeResult::Outcome::success : ProbeResult::Outcome::failure;
  return {outcome, output, good ? 0 : 1};
}

std::string condition_of(const Pod& pod, const std::string& type) {
  const auto* condition = find_condition(pod.status.conditions, type);
  return condition == nullptr ? "none" : condition->status;
}

void remove_gracefully(AgentBench& bench, const std::string& name, std::int64_t grace) {
  Pod pod = bench.store.pod(name);
  pod.metadata.deletion_timestamp = bench.clock.now().wall;
  pod.metadata.deletion_grace_period_seconds = grace;
  bench.store.put(make_object(pod));
}

}  // namespace

TEST_CASE("B20 init containers run one after the other before the app", "[agent][init]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.init_containers = {make_container("one"), make_container("two")};
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(bench.sandbox.count("start one 0") == 1);
  CHECK(bench.sandbox.count("start two 0") == 0);
  pod = bench.store.pod("app");
  CHECK(pod.status.phase == "Pending");
  CHECK(pod.status.container_statuses[0].state.waiting->reason == "PodInitializing");
  CHECK(condition_of(pod, "Initialized") == "False");

  bench.sandbox.end("uid-app", "one", 0);
  bench.settle();
  CHECK(bench.sandbox.count("start two 0") == 1);
  CHECK(bench.sandbox.count("start main 0") == 0);
  bench.sandbox.end("uid-app", "two", 0);
  bench.settle();
  CHECK(bench.sandbox.count("start main 0") == 1);
  pod = bench.store.pod("app");
  CHECK(pod.status.phase == "Running");
  CHECK(condition_of(pod, "Initialized") == "True");
  CHECK(pod.status.init_container_statuses[0].state.terminated->reason == "Completed");
  CHECK(pod.status.init_container_statuses[0].ready);
}

TEST_CASE("B21 a failed init container fails a pod that never restarts", "[agent][init]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.restart_policy = "Never";
  pod.spec.init_containers = {make_container("one")};
  bench.store.put(make_object(pod));
  bench.settle();
  bench.sandbox.end("uid-app", "one", 3);
  bench.run_for(seconds(10));
  pod = bench.store.pod("app");
  CHECK(pod.status.phase == "Failed");
  CHECK(pod.status.container_statuses[0].state.waiting->reason == "PodInitializing");
  CHECK(bench.sandbox.count("start main 0") == 0);
}

TEST_CASE("B22 a failed init container is tried again with back-off", "[agent][init]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.init_containers = {make_container("one")};
  bench.store.put(make_object(pod));
  bench.settle();
  bench.sandbox.end("uid-app", "one", 1);
  bench.settle();
  CHECK(bench.sandbox.count("start one 1") == 1);
  bench.sandbox.end("uid-app", "one", 1);
  bench.settle();
  pod = bench.store.pod("app");
  CHECK(pod.status.init_container_statuses[0].state.waiting->reason == "CrashLoopBackOff");
  CHECK(pod.status.phase == "Pending");
  bench.run_for(seconds(11));
  bench.sandbox.end("uid-app", "one", 0);
  bench.settle();
  pod = bench.store.pod("app");
  CHECK(pod.status.init_container_statuses[0].restart_count == 2);
  CHECK(pod.status.phase == "Running");
}

TEST_CASE("B23 a sidecar opens the way once it has started", "[agent][init]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.init_containers = {make_sidecar("proxy"), make_container("setup")};
  pod.spec.init_containers[0].startup_probe = make_probe(1, 10);
  bench.sandbox.answers = {answer(false), answer(false), answer(true)};
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(bench.sandbox.count("start setup 0") == 0);
  bench.run_for(milliseconds(2100));
  CHECK(bench.sandbox.count("start setup 0") == 1);
  CHECK(bench.sandbox.count("start main 0") == 0);
  bench.sandbox.end("uid-app", "setup", 0);
  bench.settle();
  CHECK(bench.store.pod("app").status.phase == "Running");

  SECTION("it is restarted on its own") {
    bench.sandbox.end("uid-app", "proxy", 0);
    bench.settle();
    CHECK(bench.sandbox.count("start proxy 1") == 1);
    CHECK(bench.sandbox.count("start main 1") == 0);
  }
  SECTION("it stops after the app") {
    bench.sandbox.obeys = false;
    remove_gracefully(bench, "app", 30);
    bench.run_for(seconds(1));
    CHECK(bench.sandbox.count("signal main 15") == 1);
    CHECK(bench.sandbox.count("signal proxy 15") == 0);
    bench.sandbox.end("uid-app", "main", 0);
    bench.settle();
    CHECK(bench.sandbox.count("signal proxy 15") == 1);
  }
}

TEST_CASE("sidecars stop in reverse order and do not hold up a finished pod", "[agent][init]") {
  AgentBench bench;
  bench.sandbox.obeys = false;
  Pod pod = make_pod("job");
  pod.spec.restart_policy = "Never";
  pod.spec.init_containers = {make_sidecar("first"), make_sidecar("second")};
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(bench.sandbox.count("start main 0") == 1);
  bench.sandbox.end("uid-job", "main", 0);
  bench.run_for(seconds(1));
  CHECK(bench.sandbox.count("signal second 15") == 1);
  CHECK(bench.sandbox.count("signal first 15") == 0);
  CHECK(bench.store.pod("job").status.phase == "Running");
  bench.sandbox.end("uid-job", "second", 0);
  bench.settle();
  CHECK(bench.sandbox.count("signal first 15") == 1);
  bench.sandbox.end("uid-job", "first", 143);
  bench.run_for(seconds(6));
  CHECK(bench.store.pod("job").status.phase == "Succeeded");
}

TEST_CASE("B17 preStop comes before the stop signal", "[agent][hooks]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  Lifecycle lifecycle;
  lifecycle.pre_stop = LifecycleHandler{};
  SECTION("exec") {
    lifecycle.pre_stop->exec = ExecAction{{"touch", "/tmp/x"}};
    pod.spec.containers[0].lifecycle = lifecycle;
    bench.store.put(make_object(pod));
    bench.settle();
    remove_gracefully(bench, "app", 10);
    bench.settle();
    REQUIRE(bench.sandbox.probes.size() == 1);
    CHECK(bench.sandbox.probes[0].command.at(0) == "touch");
    CHECK(bench.sandbox.probes[0].timeout == seconds(10));
    CHECK(bench.sandbox.count("signal main 15") == 1);
  }
  SECTION("B18 a failure is told and the stop goes on") {
    lifecycle.pre_stop->exec = ExecAction{{"false"}};
    pod.spec.containers[0].lifecycle = lifecycle;
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.answers = {answer(false, "no")};
    remove_gracefully(bench, "app", 10);
    bench.settle();
    CHECK(bench.store.event_text("FailedPreStopHook") == "PreStopHook failed: no");
    CHECK(bench.sandbox.count("signal main 15") == 1);
  }
  SECTION("sleep uses up the grace, two seconds are left for the signal") {
    bench.sandbox.obeys = false;
    lifecycle.pre_stop->sleep = SleepAction{60};
    pod.spec.containers[0].lifecycle = lifecycle;
    bench.store.put(make_object(pod));
    bench.settle();
    remove_gracefully(bench, "app", 10);
    bench.run_for(milliseconds(9900));
    CHECK(bench.sandbox.count("signal main 15") == 0);
    bench.run_for(milliseconds(200));
    CHECK(bench.sandbox.count("signal main 15") == 1);
    CHECK(bench.sandbox.count("signal main 9 all") == 0);
    bench.run_for(seconds(2));
    CHECK(bench.sandbox.count("signal main 9 all") == 1);
  }
}

TEST_CASE("B19 a failing postStart kills the container", "[agent][hooks]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  Lifecycle lifecycle;
  lifecycle.post_start = LifecycleHandler{};
  lifecycle.post_start->exec = ExecAction{{"false"}};
  pod.spec.containers[0].lifecycle = lifecycle;
  bench.sandbox.answers = {answer(false, "oops"), answer(true)};
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(bench.store.event_text("FailedPostStartHook") == "PostStartHook failed: oops");
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.sandbox.count("start main 1") == 1);
  CHECK(bench.store.pod("app").status.phase == "Running");
}

TEST_CASE("a container is not ready while its postStart sleeps", "[agent][hooks]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  Lifecycle lifecycle;
  lifecycle.post_start = LifecycleHandler{};
  lifecycle.post_start->sleep = SleepAction{5};
  pod.spec.containers[0].lifecycle = lifecycle;
  bench.store.put(make_object(pod));
  bench.run_for(seconds(4));
  CHECK(bench.store.pod("app").status.container_statuses[0].state.waiting);
  CHECK(bench.store.pod("app").status.phase == "Pending");
  bench.run_for(seconds(2));
  CHECK(bench.store.pod("app").status.container_statuses[0].ready);
}

TEST_CASE("B25 B26 B31 readiness follows its probe", "[agent][probes]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  const auto is_ready = [&] { return condition_of(bench.store.pod("app"), "Ready") == "True"; };
  SECTION("at once after the start") {
    pod.spec.containers[0].readiness_probe = make_probe(10, 3);
    bench.store.put(make_object(pod));
    bench.settle();
    CHECK(is_ready());
  }
  SECTION("not before the initial delay") {
    pod.spec.containers[0].readiness_probe = make_probe(10, 3, 4);
    bench.store.put(make_object(pod));
    bench.run_for(milliseconds(3900));
    CHECK(bench.sandbox.probes.empty());
    CHECK_FALSE(is_ready());
    bench.run_for(milliseconds(200));
    CHECK(is_ready());
  }
  SECTION("after as many successes as asked for") {
    pod.spec.containers[0].readiness_probe = make_probe(1, 3);
    pod.spec.containers[0].readiness_probe->success_threshold = 3;
    bench.store.put(make_object(pod));
    bench.run_for(milliseconds(1500));
    CHECK_FALSE(is_ready());
    bench.run_for(milliseconds(600));
    CHECK(is_ready());
  }
  SECTION("and back after as many failures") {
    pod.spec.containers[0].readiness_probe = make_probe(1, 3);
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.answers = {answer(false, "HTTP probe failed with statuscode: 503")};
    bench.run_for(milliseconds(2500));
    CHECK(is_ready());
    bench.run_for(seconds(1));
    CHECK_FALSE(is_ready());
    CHECK(bench.store.event_text("Unhealthy") ==
          "Readiness probe failed: HTTP probe failed with statuscode: 503");
    CHECK(bench.sandbox.count("start main 1") == 0);
  }
}

TEST_CASE("B27 a failing liveness probe restarts the container", "[agent][probes]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.containers[0].liveness_probe = make_probe(1, 2);
  bench.store.put(make_object(pod));
  bench.run_for(seconds(3));
  bench.sandbox.answers = {answer(false), answer(false), answer(true)};
  bench.run_for(seconds(3));
  CHECK(bench.store.event_text("Killing") ==
        "Container main failed liveness probe, will be restarted");
  CHECK(bench.sandbox.count("start main 1") == 1);
  bench.run_for(seconds(30));
  CHECK(bench.sandbox.count("start main 2") == 0);
  CHECK(bench.store.drifts.empty());
}

TEST_CASE("a liveness probe may shorten the grace of its kill", "[agent][probes]") {
  AgentBench bench;
  bench.sandbox.obeys = false;
  Pod pod = make_pod("app");
  pod.spec.containers[0].liveness_probe = make_probe(1, 1);
  pod.spec.containers[0].liveness_probe->termination_grace_period_seconds = 3;
  bench.sandbox.answers = {answer(false)};
  bench.store.put(make_object(pod));
  bench.run_for(milliseconds(3500));
  CHECK(bench.sandbox.count("signal main 9 all") == 1);
}

TEST_CASE("B29 liveness waits for the startup probe", "[agent][probes]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.containers[0].startup_probe = make_probe(1, 3);
  pod.spec.containers[0].startup_probe->exec = ExecAction{{"startup"}};
  pod.spec.containers[0].liveness_probe = make_probe(1, 1);
  bench.sandbox.answers = {answer(false)};
  bench.store.put(make_object(pod));
  bench.run_for(milliseconds(2500));
  for (const auto& probe : bench.sandbox.probes) CHECK(probe.command.at(0) == "startup");
  CHECK(bench.store.event_text("Killing") ==
        "Container main failed startup probe, will be restarted");
  CHECK(bench.sandbox.count("start main 1") == 1);
  CHECK_FALSE(*bench.store.pod("app").status.container_statuses[0].started);
}

TEST_CASE("probes keep their period and skip what they missed", "[agent][probes]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.containers[0].readiness_probe = make_probe(5, 3);
  bench.store.put(make_object(pod));
  bench.run_for(milliseconds(15500));
  CHECK(bench.sandbox.probes.size() == 4);
  bench.clock.advance(seconds(100));  // the daemon was held up
  bench.run_for(seconds(5));
  CHECK(bench.sandbox.probes.size() <= 6);
}

TEST_CASE("probes know named ports and where to look", "[agent][probes]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.containers[0].ports.push_back({"web", 8080, 0, "", "TCP"});
  Probe probe;
  probe.http_get = HttpGetAction{"/healthz", IntOrString::of(std::string("web")), "", "HTTP",
                                 {{"X-A", "b"}}};
  pod.spec.containers[0].readiness_probe = probe;
  bench.store.put(make_object(pod));
  bench.settle();
  REQUIRE(bench.sandbox.probes.size() == 1);
  const ProbeRequest& request = bench.sandbox.probes[0];
  CHECK(request.type == ProbeRequest::Type::http);
  CHECK(request.host == "10.209.0.2");
  CHECK(request.port == 8080);
  CHECK(request.path == "/healthz");
  CHECK(request.headers.size() == 1);
}
