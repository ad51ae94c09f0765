// The agent with real containers: what a pod's programs see, and what the store is told.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "real_bench.hpp"

using namespace moored;
using namespace moored::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("B01 B02 a real pod runs to its end", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod good = make_script("good", "echo fine");
  good.spec.restart_policy = "Never";
  bench.apply(good);
  bench.until_phase("good", "Succeeded");
  const auto exit = *bench.status("good").state.terminated;
  CHECK(exit.reason == "Completed");
  CHECK(exit.exit_code == 0);
  CHECK(*exit.started_at <= *exit.finished_at);
  CHECK(bench.log("good") == "fine\n");

  Pod bad = make_script("bad", "exit 7");
  bad.spec.restart_policy = "Never";
  bench.apply(bad);
  bench.until_phase("bad", "Failed");
  CHECK(bench.status("bad").state.terminated->exit_code == 7);
}

TEST_CASE("B03 a real container is restarted until it succeeds", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("retry", "echo x >> /data/n; test $(wc -l < /data/n) -ge 3");
  pod.spec.restart_policy = "OnFailure";
  Volume volume;
  volume.name = "data";
  volume.empty_dir = EmptyDirVolume{};
  pod.spec.volumes = {volume};
  pod.spec.containers[0].volume_mounts = {{"data", "/data", "", "", false, ""}};
  bench.apply(pod);
  bench.until_phase("retry", "Succeeded");
  CHECK(bench.status("retry").restart_count == 2);
  CHECK(bench.status("retry").last_state.terminated->exit_code == 1);
}

TEST_CASE("B06 a missing program is a StartError", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_pod("missing");
  pod.spec.restart_policy = "Never";
  pod.spec.containers[0].command = {"/no/such/program"};
  bench.apply(pod);
  bench.until_phase("missing", "Failed");
  const auto exit = *bench.status("missing").state.terminated;
  CHECK(exit.reason == "StartError");
  CHECK(exit.exit_code == 128);
  CHECK(exit.message.find("/no/such/program") != std::string::npos);
  CHECK(bench.store.count_events("Failed") == 1);
}

TEST_CASE("what a real program sees of its pod", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  ConfigMap map;
  map.metadata.name = "cfg";
  map.metadata.namespace_name = "default";
  map.data = {{"greeting", "hello"}};
  bench.store.put(make_object(map));
  Secret secret;
  secret.metadata.name = "sec";
  secret.metadata.namespace_name = "default";
  secret.data = {{"key", "s3cret"}};
  bench.store.put(make_object(secret));

  Pod pod = make_script(
      "see",
      "cat /cfg/greeting; echo; cat /sec/key; echo; stat -f -c %T /sec; id -u; id -G; hostname; "
      "echo $NAME $IP; cat /etc/hosts | tail -1; pwd; touch /sec/x 2>/dev/null || echo ro; "
      "stat -L -c %a /cfg/greeting; cat /one; echo; stat -L -c %a /sec/key; touch /own/x && "
      "stat -c %g:%a /own");
  Volume config;
  config.name = "config";
  config.config_map = ConfigMapVolume{};
  config.config_map->name = "cfg";
  config.config_map->default_mode = 0440;
  Volume keys;
  keys.name = "keys";
  keys.secret = SecretVolume{};
  keys.secret->secret_name = "sec";
  Volume own;
  own.name = "own";
  own.empty_dir = EmptyDirVolume{};
  pod.spec.volumes = {config, keys, own};
  Container& container = pod.spec.containers[0];
  container.volume_mounts = {{"config", "/cfg", "", "", false, ""},
                             {"keys", "/sec", "", "", false, ""},
                             {"config", "/one", "greeting", "", false, ""},
                             {"own", "/own", "", "", false, ""}};
  container.working_dir = "/tmp";
  EnvVar name;
  name.name = "NAME";
  name.value_from = EnvVarSource{};
  name.value_from->field_ref = ObjectFieldSelector{"v1", "metadata.name"};
  EnvVar ip;
  ip.name = "IP";
  ip.value_from = EnvVarSource{};
  ip.value_from->field_ref = ObjectFieldSelector{"v1", "status.podIP"};
  container.env = {name, ip};
  pod.spec.security_context = PodSecurityContext{};
  pod.spec.security_context->run_as_user = 1001;
  pod.spec.security_context->run_as_group = 2002;
  pod.spec.security_context->fs_group = 1234;
  const std::string out = bench.output_of(pod);
  INFO(out);
  CHECK(out.rfind("hello\ns3cret\ntmpfs\n1001\n2002 1234\nsee\nsee 127.0.0.1\n", 0) == 0);
  CHECK(out.find("127.0.0.1\tsee\n") != std::string::npos);
  CHECK(out.find("/tmp\nro\n440\nhello\n644\n1234:2777\n") != std::string::npos);
}

TEST_CASE("B17 B12 a real pod is stopped in order", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("stop",
                        "trap 'test -f /tmp/hook && exit 5; exit 6' TERM; echo up; "
                        "while true; do sleep 0.05; done");
  pod.spec.containers[0].lifecycle = Lifecycle{};
  pod.spec.containers[0].lifecycle->pre_stop = LifecycleHandler{};
  pod.spec.containers[0].lifecycle->pre_stop->exec = ExecAction{{"/bin/touch", "/tmp/hook"}};
  bench.apply(pod);
  bench.until("it is up", [&] { return bench.log("stop") == "up\n"; });
  const std::string logs =
      pod_log_directory(bench.fixture.scratch() + "/log", bench.store.pod("stop").metadata);
  bench.remove("stop", 20);
  bench.until("it is gone", [&] { return !bench.store.has_pod("stop"); });
  CHECK(bench.store.statuses.back().container_statuses[0].state.terminated->exit_code == 5);
  CHECK(bench.store.count_events("FailedPreStopHook") == 0);
  CHECK_FALSE(path_exists(logs));
  CHECK_FALSE(path_exists(bench.state_dir() + "/pods/uid-stop"));
  CHECK_FALSE(path_exists(bench.fixture.run_dir() + "/pods/uid-stop"));
}

TEST_CASE("B13 a real program that does not listen is killed", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_pod("deaf");
  pod.spec.containers[0].command = {"/bin/sleep", "1000"};
  bench.apply(pod);
  bench.until_phase("deaf", "Running");
  bench.remove("deaf", 1);
  bench.until("it is gone", [&] { return !bench.store.has_pod("deaf"); });
  const auto exit = *bench.store.statuses.back().container_statuses[0].state.terminated;
  CHECK(exit.exit_code == 137);
  CHECK(exit.reason == "Error");
  CHECK(bench.store.drifts.empty());
}

TEST_CASE("B25 B30 real probes", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("probed", "sleep 0.5; touch /tmp/ready; while true; do sleep 1; done");
  Probe probe;
  probe.exec = ExecAction{{"/bin/cat", "/tmp/ready"}};
  probe.period_seconds = 1;
  pod.spec.containers[0].readiness_probe = probe;
  bench.apply(pod);
  bench.until_phase("probed", "Running");
  CHECK_FALSE(bench.status("probed").ready);
  bench.until("it is ready", [&] { return bench.status("probed").ready; });
  CHECK(bench.status("probed").restart_count == 0);
}

TEST_CASE("B20 real init containers come first", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("ordered", "cat /data/order");
  Volume volume;
  volume.name = "data";
  volume.empty_dir = EmptyDirVolume{};
  pod.spec.volumes = {volume};
  pod.spec.containers[0].volume_mounts = {{"data", "/data", "", "", false, ""}};
  for (const char* name : {"one", "two"}) {
    Container init = pod.spec.containers[0];
    init.name = name;
    init.command = {"/bin/sh", "-c", std::string("echo ") + name + " >> /data/order"};
    pod.spec.init_containers.push_back(init);
  }
  CHECK(bench.output_of(pod) == "one\ntwo\n");
}

TEST_CASE("B32 B86 a new daemon adopts what runs", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  bench.apply(make_script("stays", "echo one; while true; do sleep 0.1; done"));
  Pod ends = make_script("ends", "echo up; while ! test -f /data/go; do sleep 0.05; done; exit 4");
  ends.spec.restart_policy = "Never";
  Volume volume;
  volume.name = "data";
  volume.empty_dir = EmptyDirVolume{};
  ends.spec.volumes = {volume};
  ends.spec.containers[0].volume_mounts = {{"data", "/data", "", "", false, ""}};
  bench.apply(ends);
  bench.until("both are up",
              [&] { return bench.log("stays") == "one\n" && bench.log("ends") == "up\n"; });
  const auto before = bench.status("stays");
  bench.agent.reset();
  bench.fixture.stop();
  REQUIRE(write_file(bench.state_dir() + "/pods/uid-ends/volumes/data/go", "", true));
  bench.restart_daemon();
  bench.until_phase("ends", "Failed");
  CHECK(bench.status("ends").state.terminated->exit_code == 4);
  CHECK(bench.status("stays").container_id == before.container_id);
  CHECK(bench.status("stays").restart_count == 0);
  CHECK(bench.store.pod("stays").status.phase == "Running");
  CHECK(bench.log("stays") == "one\n");
}

TEST_CASE("B07 a real process killed from outside comes back, with a record of it", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  bench.apply(make_script("victim", "while true; do sleep 0.1; done"));
  bench.until_phase("victim", "Running");
  const auto listed = bench.fixture.sandbox().list_containers("uid-victim");
  REQUIRE(listed);
  REQUIRE(listed->size() == 1);
  REQUIRE(::kill(listed->at(0).pid, SIGKILL) == 0);
  bench.until("it runs again", [&] {
    return bench.status("victim").restart_count == 1 && bench.status("victim").state.running;
  });
  CHECK(bench.status("victim").last_state.terminated->exit_code == 137);
  CHECK(bench.status("victim").last_state.terminated->signal == SIGKILL);
  CHECK(bench.status("victim").last_state.terminated->reason == "Error");
  REQUIRE(bench.store.drifts.size() == 2);
  CHECK(bench.store.drifts[0].field == "process[main]");
  CHECK(bench.store.drifts[1].correction == "restarted");
}

TEST_CASE("a real limit that was changed is put right", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  bench.sweep = milliseconds(100);
  bench.restart_daemon();
  Pod pod = make_script("limited", "while true; do sleep 0.1; done");
  pod.spec.containers[0].resources.limits["memory"] = *Quantity::parse("64Mi");
  pod.spec.containers[0].resources.limits["cpu"] = *Quantity::parse("500m");
  bench.apply(pod);
  bench.until_phase("limited", "Running");
  for (int i = 0; i < 50; ++i) bench.agent->step(bench.clock.now());
  CHECK(bench.store.drifts.empty());
  std::string changed;
  for (const auto& mount : SandboxFixture::cgroup_mounts()) {
    for (const char* name : {"memory.limit_in_bytes", "memory.max"}) {
      const std::string path = mount + bench.fixture.cgroup_root() +
                               "/pods/poduid-limited/main-0/" + name;
      if (path_exists(path)) changed = path;
    }
  }
  if (changed.empty()) {
    WARN("skipped: no memory controller found for the container");
    return;
  }
  REQUIRE(write_file(changed, "33554432"));
  bench.until("the drift is recorded", [&] { return !bench.store.drifts.empty(); });
  CHECK(bench.store.drifts[0].field == "cgroup.memory.max[main]");
  CHECK(bench.store.drifts[0].observed == "33554432");
  CHECK(read_file(changed).value_or("").rfind("67108864", 0) == 0);
}

TEST_CASE("B66 a real program beyond its memory limit", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_pod("greedy");
  pod.spec.restart_policy = "Never";
  pod.spec.containers[0].command = {"/bin/sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=200M"};
  pod.spec.containers[0].resources.limits["memory"] = *Quantity::parse("32Mi");
  bench.apply(pod);
  bench.until_phase("greedy", "Failed");
  CHECK(bench.status("greedy").state.terminated->reason == "OOMKilled");
  CHECK(bench.status("greedy").state.terminated->exit_code == 137);
  CHECK(bench.store.drifts.empty());
}

TEST_CASE("B77 real termination messages", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("says", "echo -n why > /dev/termination-log; exit 1");
  pod.spec.restart_policy = "Never";
  bench.apply(pod);
  bench.until_phase("says", "Failed");
  CHECK(bench.status("says").state.terminated->message == "why");
}

TEST_CASE("a Memory emptyDir is a tmpfs of its own size and goes away", "[agent]") {
  NEEDS_CONTAINERS();
  RealBench bench;
  Pod pod = make_script("mem", "stat -f -c %T /fast; said=$(dd if=/dev/zero of=/fast/x bs=1M "
                               "count=2 2>&1); case $said in *'No space'*) echo full;; *) "
                               "echo \"$said\"; df /fast;; esac");
  Volume volume;
  volume.name = "fast";
  volume.empty_dir = EmptyDirVolume{};
  volume.empty_dir->medium = "Memory";
  volume.empty_dir->size_limit = *Quantity::parse("1Mi");
  pod.spec.volumes = {volume};
  pod.spec.containers[0].volume_mounts = {{"fast", "/fast", "", "", false, ""}};
  const std::string out = bench.output_of(pod);
  CHECK(out == "tmpfs\nfull\n");
  bench.until("its directory is gone",
              [&] { return !path_exists(bench.state_dir() + "/pods/uid-mem"); });
  const auto mounts = read_file("/proc/self/mountinfo");
  CHECK(mounts->find("uid-mem") == std::string::npos);
}
