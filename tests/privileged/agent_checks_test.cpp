// Behaviour of pods that only a real kernel can show; the numbers are those of docs/checks.md.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <linux/capability.h>

#include "real_bench.hpp"
#include "schema/host/rights.hpp"

using namespace moored;
using namespace moored::test;

namespace {

void add_empty_dir(Pod& pod, const std::string& name, const std::string& path) {
  Volume volume;
  volume.name = name;
  volume.empty_dir = EmptyDirVolume{};
  pod.spec.volumes.push_back(volume);
  pod.spec.containers[0].volume_mounts.push_back({name, path, "", "", false, ""});
}

void set_resources(Pod& pod, const char* request, const char* limit, const char* amount,
                   const char* most) {
  auto& resources = pod.spec.containers[0].resources;
  resources.requests = {{"cpu", *Quantity::parse(request)}, {"memory", *Quantity::parse(amount)}};
  resources.limits = {{"cpu", *Quantity::parse(limit)}, {"memory", *Quantity::parse(most)}};
}

// The number that only one of the two versions of the kernel's files has.
std::string one_of(const RealBench& bench, const std::string& group, const std::string& v1,
                   const std::string& v2) {
  const auto text = bench.fixture.group_value(group, v1);
  return text.empty() ? bench.fixture.group_value(group, v2) : text;
}

std::string run_inside(RealBench& bench, const std::string& uid, const std::string& script) {
  ProbeRequest probe;
  probe.container = "main";
  probe.command = {"/bin/sh", "-c", script};
  probe.timeout = kPatience;
  const auto result = bench.fixture.sandbox().run_probe(uid, probe);
  return result ? result->output : result.error().text();
}

}  // namespace

TEST_CASE("B04 a container that always ends is restarted, and waited for", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  bench.apply(make_script("again", "exit 0"));
  bench.until("it is waited for", [&] {
    const auto status = bench.status("again");
    return status.restart_count >= 1 && status.state.waiting &&
           status.state.waiting->reason == "CrashLoopBackOff";
  });
  CHECK(bench.store.pod("again").status.phase == "Running");
  CHECK(bench.status("again").last_state.terminated->reason == "Completed");
}

TEST_CASE("B06 what cannot start is started again by its policy", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_pod("missing");
  pod.spec.containers[0].command = {"/no/such/program"};
  bench.apply(pod);
  bench.until("it is tried again", [&] { return bench.status("missing").restart_count >= 1; });
  CHECK(bench.status("missing").last_state.terminated->reason == "StartError");
}

TEST_CASE("B16 a real program gets the signal that its image names, once", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  bench.images.images["busybox:1"].stop_signal = "SIGINT";
  bench.apply(make_script("listens",
                          "trap 'echo int >> /dev/termination-log' INT; "
                          "trap 'echo term >> /dev/termination-log' TERM; echo up; "
                          "while true; do sleep 0.05; done"));
  bench.until("it is up", [&] { return bench.log("listens") == "up\n"; });
  bench.remove("listens", 1);
  bench.until("it is gone", [&] { return !bench.store.has_pod("listens"); });
  const auto exit = *bench.store.statuses.back().container_statuses[0].state.terminated;
  CHECK(exit.message == "int\n");
  CHECK(exit.exit_code == 137);
}

TEST_CASE("B24 a pod whose process namespace ends is made anew", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("shared", "echo app; while true; do sleep 0.1; done");
  pod.spec.share_process_namespace = true;
  Container init = pod.spec.containers[0];
  init.name = "first";
  init.command = {"/bin/true"};
  pod.spec.init_containers = {init};
  bench.apply(pod);
  bench.until("it runs", [&] { return bench.log("shared") == "app\n"; });
  const auto holder = bench.fixture.group_value("pods/besteffort/poduid-shared/pause",
                                                "cgroup.procs");
  REQUIRE_FALSE(holder.empty());
  REQUIRE(::kill(std::stoi(holder), SIGKILL) == 0);
  bench.until("it runs again", [&] {
    return bench.status("shared").restart_count == 1 && bench.status("shared").state.running;
  });
  bench.until("it says so", [&] { return bench.log("shared", 1) == "app\n"; });
  const auto now = bench.fixture.group_value("pods/besteffort/poduid-shared/pause",
                                             "cgroup.procs");
  CHECK_FALSE(now.empty());
  CHECK(now != holder);
}

TEST_CASE("B42 a file that is mounted by itself stays as it was", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  ConfigMap map;
  map.metadata.name = "cfg";
  map.metadata.namespace_name = "default";
  map.data = {{"word", "old"}};
  bench.store.put(make_object(map));
  Pod pod = make_script("reads", "echo up; while true; do sleep 0.1; done");
  Volume volume;
  volume.name = "cfg";
  volume.config_map = ConfigMapVolume{};
  volume.config_map->name = "cfg";
  pod.spec.volumes = {volume};
  pod.spec.containers[0].volume_mounts = {{"cfg", "/whole", "", "", false, ""},
                                          {"cfg", "/one", "word", "", false, ""}};
  bench.apply(pod);
  bench.until("it is up", [&] { return bench.log("reads") == "up\n"; });
  map.data = {{"word", "new"}};
  bench.store.put(make_object(map));
  bench.until("the volume has the new word",
              [&] { return run_inside(bench, "uid-reads", "cat /whole/word") == "new"; });
  CHECK(run_inside(bench, "uid-reads", "cat /one") == "old");
}

TEST_CASE("B50 a pod's own hosts file is left alone", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  ConfigMap map;
  map.metadata.name = "cfg";
  map.metadata.namespace_name = "default";
  map.data = {{"hosts", "192.0.2.7 mine\n"}};
  bench.store.put(make_object(map));
  Pod pod = make_script("own", "cat /etc/hosts");
  pod.spec.host_aliases = {{"10.1.2.3", {"db"}}};
  Volume volume;
  volume.name = "cfg";
  volume.config_map = ConfigMapVolume{};
  volume.config_map->name = "cfg";
  pod.spec.volumes = {volume};
  pod.spec.containers[0].volume_mounts = {{"cfg", "/etc/hosts", "hosts", "", false, ""}};
  CHECK(bench.output_of(pod) == "192.0.2.7 mine\n");
}

TEST_CASE("B54 T14 the image's user runs each attempt", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  bench.images.images["busybox:1"].user = "1000";
  Pod pod = make_script("same", "id -u >> /data/ids; test $(wc -l < /data/ids) -ge 3 && "
                                "cat /data/ids");
  pod.spec.restart_policy = "OnFailure";
  add_empty_dir(pod, "data", "/data");
  bench.apply(pod);
  bench.until_phase("same", "Succeeded");
  CHECK(bench.log("same", 2) == "1000\n1000\n1000\n");
}

TEST_CASE("B55 a setuid program gives no rights where escalation is forbidden", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  REQUIRE(::chmod((bench.fixture.rootfs() + "/bin/inside").c_str(), 04755) == 0);
  const auto ids_of = [&](const char* name, bool escalation) {
    Pod pod = make_pod(name);
    pod.spec.containers[0].command = {"/bin/inside", "ids"};
    pod.spec.containers[0].security_context = SecurityContext{};
    pod.spec.containers[0].security_context->run_as_user = 1001;
    pod.spec.containers[0].security_context->allow_privilege_escalation = escalation;
    return bench.output_of(pod);
  };
  CHECK(ids_of("forbidden", false) == "1001 1001 1001\n");
  CHECK(ids_of("allowed", true) == "1001 0 0\n");
}

TEST_CASE("B63 B64 B65 what the kernel holds for each class of pods", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  const char* script = "cat /proc/self/oom_score_adj; while true; do sleep 0.1; done";
  Pod burstable = make_script("burstable", script);
  set_resources(burstable, "500m", "1", "64Mi", "128Mi");
  Pod guaranteed = make_script("guaranteed", script);
  set_resources(guaranteed, "250m", "250m", "32Mi", "32Mi");
  bench.apply(burstable);
  bench.apply(guaranteed);
  bench.apply(make_script("rest", script));
  const auto score = [&](const std::string& name) {
    bench.until(name + " says its score", [&] { return !bench.log(name).empty(); });
    return std::stoi(bench.log(name));
  };
  CHECK(score("rest") == 1000);
  CHECK(score("burstable") >= 3);
  CHECK(score("burstable") <= 999);
  // Below what the daemon itself has only with this right.
  const bool may_lower =
      (*rights::read_own_capabilities() & 1ULL << static_cast<unsigned>(CAP_SYS_RESOURCE)) != 0;
  const int own = std::stoi(read_file("/proc/self/oom_score_adj").value_or("0"));
  CHECK(score("guaranteed") == (may_lower ? -997 : std::max(own, -997)));

  struct Row {
    const char* group;
    const char* shares;
    const char* weight;
    const char* quota;  // in microseconds of 100 ms
    const char* memory;
  };
  const bool v1 = !bench.fixture.group_value("pods/burstable", "cpu.shares").empty();
  const char* no_quota = v1 ? "-1" : "max 100000";
  const char* no_limit = v1 ? "9223372036854771712" : "max";
  const Row rows[] = {
      {"pods/burstable/poduid-burstable", "512", "59", "100000", "134217728"},
      {"pods/burstable/poduid-burstable/main-0", "512", "59", "100000", "134217728"},
      {"pods/poduid-guaranteed", "256", "35", "25000", "33554432"},
      {"pods/poduid-guaranteed/main-0", "256", "35", "25000", "33554432"},
      {"pods/besteffort/poduid-rest", "2", "1", nullptr, nullptr},
      {"pods/besteffort/poduid-rest/main-0", "2", "1", nullptr, nullptr},
  };
  for (const auto& row : rows) {
    INFO(row.group);
    CHECK(one_of(bench, row.group, "cpu.shares", "cpu.weight") == (v1 ? row.shares : row.weight));
    const std::string quota = row.quota == nullptr ? no_quota
                              : v1                 ? row.quota
                                                   : std::string(row.quota) + " 100000";
    CHECK(one_of(bench, row.group, "cpu.cfs_quota_us", "cpu.max") == quota);
    CHECK(one_of(bench, row.group, "memory.limit_in_bytes", "memory.max") ==
          (row.memory == nullptr ? no_limit : row.memory));
  }
}

TEST_CASE("B66 a pod beyond its memory is restarted, with an event", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_pod("greedy");
  pod.spec.containers[0].command = {"/bin/tail", "-c", "200000000", "/dev/zero"};
  pod.spec.containers[0].resources.limits["memory"] = *Quantity::parse("32Mi");
  bench.apply(pod);
  bench.until("it is restarted", [&] { return bench.status("greedy").restart_count >= 1; });
  CHECK(bench.status("greedy").last_state.terminated->reason == "OOMKilled");
  CHECK(bench.store.count_events("OOMKilling") >= 1);
}
