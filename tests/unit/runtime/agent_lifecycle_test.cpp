// Pods from their first sight to their last, with everything around the agent in memory.
#include <catch2/catch.hpp>

#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::test;
using std::chrono::seconds;

namespace {

const ContainerStatus& main_status(const Pod& pod) { return pod.status.container_statuses.at(0); }

std::string ready_of(const Pod& pod) {
  const auto* condition = find_condition(pod.status.conditions, "Ready");
  return condition == nullptr ? "none" : condition->status;
}

void remove_gracefully(AgentBench& bench, const std::string& name, std::int64_t grace) {
  Pod pod = bench.store.pod(name);
  pod.metadata.deletion_timestamp = bench.clock.now().wall + seconds(grace);
  pod.metadata.deletion_grace_period_seconds = grace;
  bench.store.put(make_object(pod));
}

}  // namespace

TEST_CASE("a pod with one container comes up and goes away", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();

  Pod pod = bench.store.pod("web");
  CHECK(pod.status.phase == "Running");
  CHECK(ready_of(pod) == "True");
  CHECK(pod.status.pod_ip == "10.209.0.2");
  CHECK(pod.status.host_ip == "192.0.2.1");
  CHECK(pod.status.qos_class == "BestEffort");
  CHECK(main_status(pod).state.running);
  CHECK(main_status(pod).container_id.size() == std::string("moored://").size() + 64);
  CHECK(main_status(pod).image_id == "docker.io/library/busybox@sha256:" + std::string(64, 'a'));
  const std::vector<std::string> calls = {"create_pod web", "create main 0", "start main 0"};
  CHECK(bench.sandbox.calls == calls);
  for (const char* reason : {"Pulled", "Created", "Started"}) {
    CHECK(bench.store.count_events(reason) == 1);
  }
  CHECK(bench.store.events.at(0).object.field_path == "spec.containers{main}");

  remove_gracefully(bench, "web", 30);
  bench.run_for(seconds(8));
  CHECK_FALSE(bench.store.has_pod("web"));
  CHECK(bench.sandbox.pods.empty());
  CHECK(bench.network.made.empty());
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.sandbox.count("signal main 9 all") == 0);
  CHECK(bench.store.event_text("Killing") == "Stopping container main");
  CHECK_FALSE(std::filesystem::exists(bench.scratch.path() + "/state/pods/uid-web"));
}

TEST_CASE("nothing is done twice and nothing is told twice", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  const auto calls = bench.sandbox.calls.size();
  const auto told = bench.store.statuses.size();
  const auto events = bench.store.events.size();
  bench.run_for(std::chrono::minutes(10));
  CHECK(bench.sandbox.calls.size() == calls);
  CHECK(bench.store.statuses.size() == told);
  CHECK(bench.store.events.size() == events);
  CHECK(bench.store.nodes.size() == 1);
}

TEST_CASE("pods of other nodes are left alone", "[agent]") {
  AgentBench bench;
  Pod pod = make_pod("web");
  pod.spec.node_name = "node-2";
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(bench.sandbox.calls.empty());
}

TEST_CASE("how a container ends and what the policy makes of it", "[agent]") {
  struct Row {
    const char* what;
    const char* policy;
    int code;
    std::string phase;
    std::string reason;
    int starts;
  };
  const Row rows[] = {
      {"B01", "Never", 0, "Succeeded", "Completed", 1},
      {"B02", "Never", 7, "Failed", "Error", 1},
      {"on failure, success", "OnFailure", 0, "Succeeded", "Completed", 1},
      {"on failure, failure", "OnFailure", 1, "Running", "", 2},
      {"B04", "Always", 0, "Running", "", 2},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    AgentBench bench;
    Pod pod = make_pod("job");
    pod.spec.restart_policy = row.policy;
    bench.store.put(make_object(pod));
    bench.settle();
    bench.sandbox.end("uid-job", "main", row.code);
    bench.settle();
    pod = bench.store.pod("job");
    CHECK(pod.status.phase == row.phase);
    const auto& state = main_status(pod).state;
    CHECK((state.terminated ? state.terminated->reason : "") == row.reason);
    CHECK(bench.sandbox.count("start main 0") + bench.sandbox.count("start main 1") == row.starts);
    CHECK(main_status(pod).restart_count == row.starts - 1);
    // An exit that the store knows is forgotten by the sandbox; a pod that is over gives all back.
    const bool over = row.starts == 1;
    CHECK(bench.sandbox.count(over ? "remove_pod" : "remove main 0") == 1);
    CHECK(bench.network.made.size() == (over ? 0U : 1U));
  }
}

TEST_CASE("B05 restarts wait longer each time", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("crash")));
  bench.settle();
  std::vector<std::int64_t> gaps;
  for (int round = 0; round < 8; ++round) {
    bench.sandbox.end("uid-crash", "main", 1);
    const MonoTime ended = bench.clock.now().mono;
    const std::string next = "start main " + std::to_string(round + 1);
    bench.settle();
    if (round == 3) {
      const auto status = main_status(bench.store.pod("crash"));
      REQUIRE(status.state.waiting);
      CHECK(status.state.waiting->reason == "CrashLoopBackOff");
      CHECK(status.state.waiting->message ==
            "back-off 40s restarting failed container=main pod=crash_default(uid-crash)");
      REQUIRE(status.last_state.terminated);
      CHECK(status.last_state.terminated->exit_code == 1);
      CHECK(bench.store.pod("crash").status.phase == "Running");
    }
    while (bench.sandbox.count(next) == 0) bench.run_for(seconds(1));
    const auto waited = std::chrono::duration_cast<seconds>(bench.clock.now().mono - ended);
    gaps.push_back(waited.count() / 10 * 10);
  }
  CHECK(gaps == std::vector<std::int64_t>{0, 10, 20, 40, 80, 160, 300, 300});
  CHECK(bench.store.count_events("BackOff") == 7);

  bench.run_for(std::chrono::minutes(11));
  bench.sandbox.end("uid-crash", "main", 1);
  bench.settle();
  CHECK(bench.sandbox.count("start main 9") == 1);  // ran long enough: at once again
}

TEST_CASE("B06 a program that cannot start", "[agent]") {
  AgentBench bench;
  bench.sandbox.fail_next("start", fail(Code::invalid, "exec /nosuch: No such file").take());
  Pod pod = make_pod("bad");
  pod.spec.restart_policy = "Never";
  bench.store.put(make_object(pod));
  bench.run_for(seconds(6));
  pod = bench.store.pod("bad");
  REQUIRE(main_status(pod).state.terminated);
  const auto& exit = *main_status(pod).state.terminated;
  CHECK(exit.reason == "StartError");
  CHECK(exit.exit_code == 128);
  CHECK_FALSE(exit.started_at);
  CHECK(exit.message.find("/nosuch") != std::string::npos);
  CHECK(pod.status.phase == "Failed");
  CHECK(bench.store.count_events("Failed") == 1);
}

TEST_CASE("B11 an image that is not here", "[agent]") {
  AgentBench bench;
  Pod pod = make_pod("noimage");
  pod.spec.containers[0].image = "nosuch:1";
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(main_status(bench.store.pod("noimage")).state.waiting->reason == "ErrImagePull");
  bench.run_for(seconds(5));
  const auto waiting = *main_status(bench.store.pod("noimage")).state.waiting;
  CHECK(waiting.reason == "ImagePullBackOff");
  CHECK(waiting.message.rfind("Back-off pulling image \"nosuch:1\"", 0) == 0);
  CHECK(bench.store.count_events("Pulling") == 1);
  CHECK(bench.store.count_events("BackOff") == 1);
  CHECK(bench.store.pod("noimage").status.phase == "Pending");

  SECTION("it comes in") {
    bench.images.images["nosuch:1"] = bench.images.images["busybox:1"];
    bench.agent->retry_images();
    bench.settle();
    CHECK(bench.store.pod("noimage").status.phase == "Running");
  }
  SECTION("the pod is deleted") {
    remove_gracefully(bench, "noimage", 30);
    bench.run_for(seconds(1));
    CHECK_FALSE(bench.store.has_pod("noimage"));
  }
}

TEST_CASE("words for images that cannot be had", "[agent]") {
  struct Row {
    const char* image;
    const char* policy;
    const char* reason;
  };
  const Row rows[] = {{"nosuch:1", "Never", "ErrImageNeverPull"},
                      {"not a name", "IfNotPresent", "InvalidImageName"}};
  for (const auto& row : rows) {
    AgentBench bench;
    Pod pod = make_pod("p");
    pod.spec.containers[0].image = row.image;
    pod.spec.containers[0].image_pull_policy = row.policy;
    bench.store.put(make_object(pod));
    bench.settle();
    CHECK(main_status(bench.store.pod("p")).state.waiting->reason == row.reason);
  }
}

TEST_CASE("B13 a program that does not listen is killed at the end of its grace", "[agent]") {
  AgentBench bench;
  bench.sandbox.obeys = false;
  bench.store.put(make_object(make_pod("deaf")));
  bench.settle();
  remove_gracefully(bench, "deaf", 3);
  bench.run_for(std::chrono::milliseconds(2900));
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.sandbox.count("signal main 9 all") == 0);
  bench.run_for(std::chrono::milliseconds(200));
  CHECK(bench.sandbox.count("signal main 9 all") == 1);
  bench.run_for(seconds(6));
  CHECK_FALSE(bench.store.has_pod("deaf"));
  CHECK(bench.store.drifts.empty());
}

TEST_CASE("a stop signal that did not get through is sent again, within the grace", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.sandbox.fail_next("signal", fail(Code::timeout, "the shim's answer was lost").take());
  remove_gracefully(bench, "web", 5);
  bench.settle();
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.store.has_pod("web"));
  bench.run_for(seconds(2));
  CHECK(bench.sandbox.count("signal main 15") == 2);
  CHECK(bench.sandbox.count("signal main 9 all") == 0);
  CHECK_FALSE(bench.store.has_pod("web"));
  CHECK(bench.store.drifts.empty());
}

TEST_CASE("without time left for another signal the kill comes when the grace is over", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.sandbox.fail_next("signal", fail(Code::unavailable, "the shim does not answer").take());
  remove_gracefully(bench, "web", 1);
  bench.run_for(seconds(4));
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.sandbox.count("signal main 9 all") == 1);
  CHECK_FALSE(bench.store.has_pod("web"));
}

TEST_CASE("B14 without grace the kill comes at once", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  remove_gracefully(bench, "web", 0);
  bench.settle();
  CHECK(bench.sandbox.count("signal main 15") == 0);
  CHECK(bench.sandbox.count("signal main 9 all") == 1);
}

TEST_CASE("a second request shortens the grace, never lengthens it", "[agent]") {
  AgentBench bench;
  bench.sandbox.obeys = false;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  remove_gracefully(bench, "web", 30);
  bench.run_for(seconds(1));
  remove_gracefully(bench, "web", 5);
  bench.run_for(seconds(1));
  remove_gracefully(bench, "web", 60);
  bench.run_for(seconds(2));
  CHECK(bench.sandbox.count("signal main 9 all") == 0);
  bench.run_for(seconds(2));
  CHECK(bench.sandbox.count("signal main 9 all") == 1);
}

TEST_CASE("a pod whose object is gone is stopped and removed", "[agent]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("web")));
  bench.settle();
  bench.store.remove(key_of<Pod>("default", "web"));
  bench.run_for(seconds(2));
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.sandbox.pods.empty());
  CHECK(bench.network.made.empty());
}

TEST_CASE("B10 a pod that is active for too long fails", "[agent]") {
  AgentBench bench;
  Pod pod = make_pod("slow");
  pod.spec.active_deadline_seconds = 2;
  bench.store.put(make_object(pod));
  bench.run_for(seconds(10));
  pod = bench.store.pod("slow");
  CHECK(pod.status.phase == "Failed");
  CHECK(pod.status.reason == "DeadlineExceeded");
  CHECK(bench.sandbox.count("signal main 15") == 1);
  CHECK(bench.store.count_events("DeadlineExceeded") == 1);
  bench.run_for(std::chrono::minutes(1));
  CHECK(bench.sandbox.count("start main 1") == 0);
}

TEST_CASE("B09 one container done, the other still at work", "[agent]") {
  AgentBench bench;
  Pod pod = make_pod("two");
  pod.spec.restart_policy = "Never";
  Container other = pod.spec.containers[0];
  other.name = "other";
  pod.spec.containers.push_back(other);
  bench.store.put(make_object(pod));
  bench.settle();
  bench.sandbox.end("uid-two", "main", 0);
  bench.settle();
  pod = bench.store.pod("two");
  CHECK(pod.status.phase == "Running");
  CHECK(main_status(pod).state.terminated->reason == "Completed");
  CHECK(ready_of(pod) == "False");
  CHECK(find_condition(pod.status.conditions, "Ready")->message ==
        "containers with unready status: [main]");
}

TEST_CASE("more pods than the node takes", "[agent]") {
  AgentBench bench;
  bench.max_pods = 1;
  bench.restart_daemon();
  bench.store.put(make_object(make_pod("one")));
  bench.settle();
  bench.store.put(make_object(make_pod("two")));
  bench.settle();
  CHECK(bench.store.pod("one").status.phase == "Running");
  CHECK(bench.store.pod("two").status.phase == "Failed");
  CHECK(bench.store.pod("two").status.reason == "OutOfpods");
}

TEST_CASE("a sandbox that cannot be made is tried again, waiting longer", "[agent]") {
  AgentBench bench;
  bench.network.full = true;
  bench.store.put(make_object(make_pod("web")));
  bench.run_for(seconds(20));
  CHECK(bench.store.pod("web").status.phase == "Pending");
  CHECK(bench.store.event_text("FailedCreatePodSandBox") ==
        "Failed to create pod sandbox: no address is free");
  CHECK(bench.store.count_events("FailedCreatePodSandBox") < 5);
  bench.network.full = false;
  bench.run_for(seconds(30));
  CHECK(bench.store.pod("web").status.phase == "Running");
}
