// Real containers: start, output, exit, kill and what is left behind.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace std::chrono_literals;
using moored::test::SandboxFixture;

TEST_CASE("a container runs, writes its log and leaves its exit code", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container("main", "echo hello; echo oops >&2; exit 7");
  fixture.make_and_start(pod.uid, spec);
  const auto report = fixture.wait_exit(pod.uid, "main");
  CHECK(report.exit_code == 7);
  CHECK(report.signal == 0);
  CHECK_FALSE(report.oom_killed);
  REQUIRE(report.started_at);
  REQUIRE(report.finished_at);
  CHECK(*report.started_at <= *report.finished_at);
  CHECK(fixture.log_text(spec) == "hello\n");
  CHECK(fixture.log_text(spec, "stderr") == "oops\n");
}

TEST_CASE("a container that was told to stop says so in its own way", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);

  SECTION("pid 1 gets the signal and may exit with a code of its own") {
    const auto spec =
        fixture.container("main", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    fixture.make_and_start(pod.uid, spec);
    fixture.wait_log(spec, "ready");
    REQUIRE(fixture.sandbox().signal_container(pod.uid, "main", 0, SIGTERM, false));
    CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 5);
  }
  SECTION("pid 1 without a trap ignores TERM; KILL takes everything") {
    const auto spec =
        fixture.container("main", "(trap '' TERM; sleep 1000) & echo ready; sleep 1000");
    fixture.make_and_start(pod.uid, spec);
    fixture.wait_log(spec, "ready");
    REQUIRE(fixture.sandbox().signal_container(pod.uid, "main", 0, SIGTERM, false));
    REQUIRE(fixture.sandbox().list_containers(pod.uid)->at(0).phase == ContainerPhase::running);
    REQUIRE(fixture.sandbox().signal_container(pod.uid, "main", 0, SIGKILL, true));
    const auto report = fixture.wait_exit(pod.uid, "main");
    CHECK(report.exit_code == 137);
    CHECK(report.signal == SIGKILL);
    CHECK_FALSE(report.oom_killed);
  }
  SECTION("a program that ends by a signal is 128 and the signal") {
    // Not as pid 1 of a namespace: that one cannot kill itself.
    auto node_pids = fixture.pod("22222222-0000-0000-0000-000000000000");
    node_pids.host_pid = true;
    fixture.make_pod(node_pids);
    fixture.make_and_start(node_pids.uid, fixture.container("main", "kill -SEGV $$"));
    const auto report = fixture.wait_exit(node_pids.uid, "main");
    CHECK(report.exit_code == 139);
    CHECK(report.signal == SIGSEGV);
  }
}

TEST_CASE("a program that cannot be started is told with its name", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "");
  spec.arguments = {"/no/such/program"};
  REQUIRE(fixture.sandbox().create_container(pod.uid, spec));
  const auto started = fixture.sandbox().start_container(pod.uid, "main", 0);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == Code::invalid);
  CHECK(started.error().message.find("/no/such/program") != std::string::npos);
  const auto report = fixture.wait_exit(pod.uid, "main");
  CHECK(report.exit_code == 128);
  CHECK_FALSE(report.start_error.empty());
  CHECK_FALSE(report.started_at);
}

TEST_CASE("what was made can be asked for again, and another attempt follows", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  CHECK(fixture.sandbox().create_pod(pod, fixture.net_namespace()));
  const auto spec = fixture.container("main", "exit 1");
  CHECK(fixture.sandbox().create_container(pod.uid, spec));
  CHECK(fixture.sandbox().create_container(pod.uid, spec));
  CHECK(fixture.sandbox().list_containers(pod.uid)->at(0).phase == ContainerPhase::created);
  CHECK(fixture.sandbox().start_container(pod.uid, "main", 0));
  fixture.wait_exit(pod.uid, "main");
  const auto next = fixture.container("main", "echo again", 1);
  fixture.make_and_start(pod.uid, next);
  CHECK(fixture.wait_exit(pod.uid, "main", 1).exit_code == 0);
  CHECK(fixture.sandbox().remove_container(pod.uid, "main", 0));
  CHECK(fixture.sandbox().remove_container(pod.uid, "main", 0));
  REQUIRE(fixture.sandbox().list_containers(pod.uid)->size() == 1);
  CHECK(fixture.sandbox().list_containers(pod.uid)->at(0).attempt == 1);
}

TEST_CASE("an exit is told as an event", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  fixture.make_and_start(pod.uid, fixture.container("main", "exit 3"));
  const auto events = fixture.sandbox().wait_events(moored::test::kPatience);
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == SandboxEvent::Type::exited);
  CHECK(events[0].uid == pod.uid);
  CHECK(events[0].container.name == "main");
  CHECK(events[0].container.exit_code == 3);
  CHECK(events[0].container.phase == ContainerPhase::exited);
}

TEST_CASE("containers live on while the daemon is away, and are found again", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container(
      "main", "echo one; while [ ! -e /data/go ]; do sleep 0.05; done; echo two; exit 4");
  const std::string volume = fixture.scratch() + "/volume";
  REQUIRE(make_directories(volume));
  spec.mounts.push_back({volume, "/data", true, ""});
  const auto quick = fixture.container("quick", "exit 9");
  fixture.make_and_start(pod.uid, spec);
  fixture.make_and_start(pod.uid, quick);
  fixture.wait_log(spec, "one");
  const auto before = fixture.sandbox().list_containers(pod.uid)->at(0);
  fixture.stop();
  REQUIRE(write_file(volume + "/go", "", true));
  fixture.wait_log(spec, "two");
  fixture.restart();
  const auto found = fixture.sandbox().adopt();
  REQUIRE(found);
  REQUIRE(found->size() == 1);
  CHECK(found->at(0).shim_alive);
  CHECK(found->at(0).spec.name == "web");
  CHECK(found->at(0).spec.qos_class == "Burstable");
  REQUIRE(found->at(0).containers.size() == 2);
  CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 4);
  CHECK(fixture.wait_exit(pod.uid, "quick").exit_code == 9);
  CHECK(fixture.wait_exit(pod.uid, "main").pid == before.pid);
  CHECK(fixture.log_text(spec) == "one\ntwo\n");
  CHECK(fixture.sandbox().adopt()->size() == 1);
}

TEST_CASE("a shim that dies takes its pod with it, on record", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container("main", "echo ready; sleep 1000");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "ready");
  const auto pid = fixture.sandbox().list_containers(pod.uid)->at(0).pid;
  const auto about = read_file(fixture.run_dir() + "/pods/" + pod.uid + "/shim.json");
  REQUIRE(about);
  const auto at = about->find("\"pid\":");
  const int shim = std::stoi(about->substr(at + 6));

  SECTION("while the daemon looks") {
    REQUIRE(::kill(shim, SIGKILL) == 0);
    const auto events = fixture.sandbox().wait_events(moored::test::kPatience);
    REQUIRE(events.size() == 1);
    CHECK(events[0].type == SandboxEvent::Type::shim_lost);
  }
  SECTION("while the daemon is away") {
    fixture.stop();
    REQUIRE(::kill(shim, SIGKILL) == 0);
    fixture.restart();
    const auto found = fixture.sandbox().adopt();
    REQUIRE(found->size() == 1);
    CHECK_FALSE(found->at(0).shim_alive);
    REQUIRE(found->at(0).containers.size() == 1);
    CHECK(found->at(0).containers[0].exit_code == 137);
  }
  const auto report = fixture.wait_exit(pod.uid, "main");
  CHECK(report.exit_code == 137);
  CHECK(report.signal == SIGKILL);
  REQUIRE(fixture.sandbox().remove_pod(pod.uid));
  const auto state = read_file("/proc/" + std::to_string(pid) + "/stat");
  CHECK((!state || state->find(") Z") != std::string::npos));
  CHECK_FALSE(path_exists(fixture.run_dir() + "/pods/" + pod.uid));
}

TEST_CASE("nothing is left of a pod that was removed", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto mounts_before = fixture.own_mounts();
  auto pod = fixture.pod();
  fixture.make_pod(pod);
  for (int i = 0; i < 3; ++i) {
    fixture.make_and_start(pod.uid, fixture.container("main", "exit 0", i));
    fixture.wait_exit(pod.uid, "main", i);
  }
  CHECK(fixture.sandbox().remove_pod(pod.uid));
  CHECK(fixture.sandbox().remove_pod(pod.uid));
  CHECK(fixture.own_mounts() == mounts_before);
  for (const auto& mount : SandboxFixture::cgroup_mounts()) {
    CHECK_FALSE(path_exists(mount + fixture.cgroup_root() + "/pods/burstable/pod" + pod.uid));
  }
  CHECK(list_directory(fixture.run_dir() + "/pods")->empty());
  CHECK(list_directory(fixture.scratch() + "/state/containers")->empty());
  CHECK(fixture.sandbox().list_containers(pod.uid).error().code == Code::not_found);
}

TEST_CASE("a removal that was cut short behind the pod's directory is finished", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string written = fixture.scratch() + "/state/containers/" + fixture.pod().uid;
  REQUIRE(make_directories(written + "/main-0/upper"));
  REQUIRE(fixture.sandbox().remove_pod(fixture.pod().uid));
  CHECK_FALSE(path_exists(written));
}

TEST_CASE("a pod with a running container is not removed", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  fixture.make_and_start(pod.uid, fixture.container("main", "sleep 1000"));
  CHECK(fixture.sandbox().remove_pod(pod.uid).error().code == Code::conflict);
  CHECK(fixture.sandbox().list_containers(pod.uid)->at(0).phase == ContainerPhase::running);
}

TEST_CASE("the last words of a container are kept, up to 4096 bytes", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string path = fixture.scratch() + "/termination-log";
  REQUIRE(write_file(path, "", true, 0666));
  auto spec =
      fixture.container("main", "head -c 6000 /dev/zero | tr '\\0' x > /dev/termination-log");
  spec.termination_message_path = path;
  spec.mounts.push_back({path, "/dev/termination-log", false, ""});
  fixture.make_and_start(pod.uid, spec);
  const auto report = fixture.wait_exit(pod.uid, "main");
  CHECK(report.exit_code == 0);
  CHECK(report.termination_message == std::string(4096, 'x'));
}

TEST_CASE("a failed creation leaves nothing behind and can be tried again", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "exit 0");
  spec.mounts.push_back({fixture.scratch() + "/absent", "/data/absent", false, ""});
  const auto made = fixture.sandbox().create_container(pod.uid, spec);
  REQUIRE_FALSE(made);
  CHECK(made.error().message.find("absent") != std::string::npos);
  CHECK(fixture.sandbox().list_containers(pod.uid)->empty());
  for (const auto& mount : SandboxFixture::cgroup_mounts()) {
    CHECK_FALSE(
        path_exists(mount + fixture.cgroup_root() + "/pods/burstable/pod" + pod.uid + "/main-0"));
  }
  spec.mounts.clear();
  fixture.make_and_start(pod.uid, spec);
  CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 0);
}
