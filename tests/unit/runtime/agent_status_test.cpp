// What the agent says of pods, of ended containers and of the Node.
#include <algorithm>

#include <catch2/catch.hpp>

#include "runtime/agent/pod_status.hpp"
#include "tests/unit/runtime/agent_drive.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
using std::chrono::seconds;

TEST_CASE("conditions move only when they change", "[agent][status]") {
  Drive drive;
  drive.settle(kStart);
  const auto at = [&](const char* type) {
    return *find_condition(drive.pod.status.conditions, type)->last_transition_time;
  };
  CHECK(at("Ready") == kStart.wall);
  drive.settle(later(100));
  CHECK(at("Ready") == kStart.wall);
  absorb_exit(drive.pod, drive.memory, make_end("main", 0, 1), later(200));
  drive.plan(later(200));
  CHECK(at("Ready") == later(200).wall);
  CHECK(at("PodScheduled") == kStart.wall);
}

TEST_CASE("conditions of others are kept", "[agent][status]") {
  Drive drive;
  Condition scheduled;
  scheduled.type = "PodScheduled";
  scheduled.status = "True";
  scheduled.last_transition_time = kStart.wall - seconds(50);
  Condition disruption;
  disruption.type = "DisruptionTarget";
  disruption.status = "True";
  disruption.reason = "EvictionByEvictionAPI";
  drive.pod.status.conditions = {scheduled, disruption};
  drive.memory = recall(drive.pod, nullptr, kStart);
  drive.settle(kStart);
  const auto* kept = find_condition(drive.pod.status.conditions, "PodScheduled");
  CHECK(kept->last_transition_time == kStart.wall - seconds(50));
  CHECK(find_condition(drive.pod.status.conditions, "DisruptionTarget") != nullptr);
}

TEST_CASE("words of unready containers", "[agent][status]") {
  Drive drive;
  drive.pod.spec.containers.push_back(make_container("second"));
  drive.pod.spec.containers[0].readiness_probe = make_probe(10, 1, 3, 100);
  drive.pod.spec.containers[1].readiness_probe = make_probe(10, 1, 3, 100);
  drive.settle(kStart);
  const auto* ready = find_condition(drive.pod.status.conditions, "Ready");
  CHECK(ready->status == "False");
  CHECK(ready->reason == "ContainersNotReady");
  CHECK(ready->message == "containers with unready status: [main second]");
}

TEST_CASE("when the sandbox may forget an end", "[agent][status]") {
  Pod pod = make_pod("web");
  const auto put = [&](int count, bool terminated, bool waiting, bool last) {
    ContainerStatus status;
    status.name = "main";
    status.restart_count = count;
    if (terminated) status.state.terminated.emplace();
    if (waiting) status.state.waiting.emplace();
    if (last) status.last_state.terminated.emplace();
    pod.status.container_statuses = {status};
  };
  CHECK_FALSE(is_exit_recorded(pod, "main", 0));
  put(0, true, false, false);
  CHECK(is_exit_recorded(pod, "main", 0));
  CHECK_FALSE(is_exit_recorded(pod, "main", 1));
  put(1, false, false, true);  // running again: the earlier end is in lastState
  CHECK(is_exit_recorded(pod, "main", 0));
  CHECK_FALSE(is_exit_recorded(pod, "main", 1));
  put(1, false, true, true);   // backing off
  CHECK(is_exit_recorded(pod, "main", 1));
}

TEST_CASE("records of ends", "[agent][status]") {
  ContainerReport report;
  report.container_id = "abc";
  report.started_at = kStart.wall;
  struct Row {
    int code;
    bool oom;
    const char* start_error;
    const char* reason;
    int expected;
  };
  const Row rows[] = {{0, false, "", "Completed", 0},
                      {7, false, "", "Error", 7},
                      {137, true, "", "OOMKilled", 137},
                      {0, false, "execve: no such file", "StartError", 128}};
  for (const auto& row : rows) {
    report.exit_code = row.code;
    report.oom_killed = row.oom;
    report.start_error = row.start_error;
    const auto exit = make_exit(report, later(5).wall);
    CHECK(exit.reason == row.reason);
    CHECK(exit.exit_code == row.expected);
    CHECK(exit.container_id == "moored://abc");
    CHECK(exit.finished_at == later(5).wall);
    CHECK(exit.started_at.has_value() == (*row.start_error == '\0'));
  }
  CHECK(make_lost_exit("abc", {}, kStart.wall).reason == "ContainerStatusUnknown");
  CHECK(strip_container_id("moored://abc") == "abc");
  CHECK(strip_container_id("abc") == "abc");
  CHECK(write_container_id("").empty());
}

TEST_CASE("the Node of this machine", "[agent][node]") {
  NodeFacts facts;
  facts.name = "node-1";
  facts.address = "192.0.2.1";
  facts.cpu = {4000};
  facts.memory = {8LL << 30};
  facts.max_pods = 110;
  facts.architecture = "amd64";
  facts.pod_cidr = "10.209.0.0/16";
  const Node node = make_node(facts, nullptr, kStart.wall);
  CHECK(node.metadata.labels.at("kubernetes.io/hostname") == "node-1");
  CHECK(node.metadata.labels.at("kubernetes.io/os") == "linux");
  CHECK(node.metadata.labels.at("kubernetes.io/arch") == "amd64");
  CHECK(node.status.capacity.at("cpu").text() == "4");
  CHECK(node.status.allocatable.at("memory").bytes().value == 8LL << 30);
  CHECK(node.status.capacity.at("pods").value() == 110);
  CHECK(find_condition(node.status.conditions, "Ready")->status == "True");
  CHECK(find_condition(node.status.conditions, "MemoryPressure")->status == "False");
  CHECK(node.status.addresses.at(0).address == "192.0.2.1");
  CHECK(node.spec.pod_cidrs == std::vector<std::string>{"10.209.0.0/16"});

  Node before = node;
  before.metadata.labels["disk"] = "ssd";
  before.metadata.uid = "u";
  const Node after = make_node(facts, &before, later(100).wall);
  CHECK(after.metadata.labels.at("disk") == "ssd");
  CHECK(after == before);  // nothing changed, so nothing is written

  const NodeFacts real = read_node_facts("here", "/");
  CHECK(real.cpu.value >= 1000);
  CHECK(real.memory.value > 0);
  CHECK(real.storage.value > 0);
  CHECK_FALSE(real.kernel_version.empty());
  CHECK_FALSE(real.boot_id.empty());
}
