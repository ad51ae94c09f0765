// Real containers, changed by hand, and what a look at them says.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/watch/kernel_watch.hpp"
#include "runtime/watch/made.hpp"
#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

using namespace moored;
using moored::test::SandboxFixture;

namespace {

constexpr const char* kWait = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";

// One running container and the look at it.
struct Bench {
  SandboxFixture fixture;
  PodSandboxSpec pod = fixture.pod();
  ContainerSpec spec = fixture.container("main", kWait);
  watch::KernelWatch look_out{fixture.run_dir()};

  void start() {
    fixture.make_pod(pod);
    fixture.make_and_start(pod.uid, spec);
    fixture.wait_log(spec, "up");
    look_out.remember(pod.uid, "main", 0);
  }
  watch::MadeContainer made() const {
    const auto all = watch::read_made_containers(fixture.run_dir() + "/pods/" + pod.uid);
    REQUIRE(all.size() == 1);
    return all[0];
  }
  std::vector<SandboxDrift> look(bool correct) { return look_out.look({{pod.uid, correct}}); }
  // The only difference there is.
  SandboxDrift look_for_one(bool correct) {
    const auto found = look(correct);
    for (const auto& drift : found) UNSCOPED_INFO(drift.field << ": " << drift.observed);
    REQUIRE(found.size() == 1);
    CHECK(found[0].uid == pod.uid);
    return found[0];
  }
};

// Waits for news about a pod; others on the machine make news as well.
std::optional<WatchHint> await_hint(watch::KernelWatch& look_out, const std::string& uid) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    for (const auto& hint : look_out.take_hints()) {
      if (hint.uid == uid) return hint;
    }
    pollfd news{look_out.descriptor(), POLLIN, 0};
    ::poll(&news, 1, 50);
  }
  return std::nullopt;
}

// Runs a program of the machine to its end; its exit code.
int run(const std::vector<std::string>& arguments) {
  SpawnRequest request;
  request.program = arguments[0];
  request.arguments = arguments;
  const auto out = run_command(request, {}, moored::test::kPatience);
  REQUIRE(out);
  return out->status.code.value_or(-1);
}

std::vector<std::string> enter(pid_t pid, std::vector<std::string> command) {
  std::vector<std::string> all{"/usr/bin/nsenter", "-t", std::to_string(pid), "-m", "-p"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

}  // namespace

TEST_CASE("a container that nobody changed has no difference", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  SECTION("as it is by default") {}
  SECTION("with a read-only root and no rights to gain") {
    bench.spec.read_only_root = true;
    bench.spec.no_new_privileges = true;
  }
  SECTION("as another user") {
    bench.spec.uid = 1000;
    bench.spec.gid = 1000;
    bench.spec.no_new_privileges = true;
  }
  SECTION("with processes that come and go, and orphans") {
    bench.spec = bench.fixture.container(
        "main", "echo up; while :; do (sleep 0.01 & ) ; (true | cat); done");
  }
  SECTION("in a shared process namespace") { bench.pod.share_process_namespace = true; }
  bench.start();
  for (int i = 0; i < 5; ++i) {
    const auto found = bench.look(false);
    for (const auto& drift : found) UNSCOPED_INFO(drift.field << ": " << drift.observed);
    CHECK(found.empty());
    ProbeRequest probe;
    probe.container = "main";
    probe.command = {"true"};
    CHECK(bench.fixture.sandbox().run_probe(bench.pod.uid, probe));
  }
}

TEST_CASE("probes under way are not taken for intruders", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  bench.spec.no_new_privileges = true;
  bench.start();
  std::atomic<bool> stop{false};
  std::thread prober([&] {
    while (!stop) {
      ProbeRequest probe;
      probe.container = "main";
      probe.command = {"sh", "-c", "true; (true &)"};
      static_cast<void>(bench.fixture.sandbox().run_probe(bench.pod.uid, probe));
    }
  });
  std::string seen;
  for (int i = 0; i < 200; ++i) {
    for (const auto& drift : bench.look(false)) seen += drift.field + ": " + drift.observed + "\n";
  }
  stop = true;
  prober.join();
  CHECK(seen == "");
}

TEST_CASE("a process that was moved out of its group is moved back", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  // Without children: one that begins while its parent is elsewhere is elsewhere as well.
  bench.spec = bench.fixture.container("main", "echo up; exec sleep 1000");
  bench.start();
  const auto made = bench.made();
  REQUIRE_FALSE(made.procs_files.empty());
  const auto& file = made.procs_files.front();
  const auto root = file.substr(0, file.find(bench.fixture.cgroup_root())) + "/cgroup.procs";
  REQUIRE(write_file(root, std::to_string(made.pid)));
  const auto told = bench.look_for_one(false);
  CHECK(told.field == "cgroup.procs[main]");
  CHECK(told.observed.find("[" + std::to_string(made.pid) + "]") != std::string::npos);
  CHECK(told.correction.empty());
  CHECK(bench.look_for_one(true).correction == "moved back");
  CHECK(bench.look(false).empty());
  CHECK(read_file(file)->find(std::to_string(made.pid)) != std::string::npos);
}

TEST_CASE("a frozen container is thawed", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  bench.start();
  const auto made = bench.made();
  // Beside version 2 no group of the freezer's hierarchy is made.
  CHECK(made.freezer.empty());
  SECTION("its own group") {
    REQUIRE(write_file(made.group + "/cgroup.freeze", "1"));
    CHECK(bench.look_for_one(true).field == "cgroup.freeze[main]");
  }
  SECTION("that of its pod") {
    const auto pod = made.group.substr(0, made.group.find_last_of('/'));
    REQUIRE(write_file(pod + "/cgroup.freeze", "1"));
    CHECK(bench.look_for_one(true).field == "cgroup.freeze");
  }
  CHECK(bench.look(false).empty());
}

TEST_CASE("mounts that somebody changed are put back where that is possible", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  const std::string volume = bench.fixture.scratch() + "/volume";
  REQUIRE(make_directories(volume, 0777));
  bench.spec.mounts.push_back({volume, "/room", true, ""});
  bench.start();
  const auto pid = bench.made().pid;
  bench.look_out.take_hints();
  SECTION("other options") {
    REQUIRE(run(enter(pid, {"mount", "-o", "remount,bind,rw", "/room"})) == 0);
    CHECK(bench.look_for_one(false).field == "mount[main]:/room");
    CHECK(bench.look_for_one(true).correction == "options set again");
    CHECK(bench.look(false).empty());
    CHECK(run(enter(pid, {"touch", "/room/x"})) != 0);
  }
  SECTION("one more") {
    REQUIRE(run(enter(pid, {"mount", "-t", "tmpfs", "none", "/tmp"})) == 0);
    const auto drift = bench.look_for_one(true);
    CHECK(drift.field == "mount[main]:/tmp");
    CHECK(drift.correction == "unmounted");
    CHECK(bench.look(false).empty());
  }
  SECTION("one less") {
    REQUIRE(run(enter(pid, {"busybox", "umount", "/room"})) == 0);
    const auto drift = bench.look_for_one(true);
    CHECK(drift.remedy == SandboxDrift::Remedy::restart);
    CHECK(drift.correction.empty());
  }
  // The kernel said so by itself.
  CHECK(await_hint(bench.look_out, bench.pod.uid));
}

TEST_CASE("a write to a group's file is told with its writer", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  bench.start();
  bench.look_out.take_hints();
  const auto pod = bench.made().group;
  REQUIRE(run({"/bin/sh", "-c", "echo 0 > " + pod + "/cgroup.freeze"}) == 0);
  const auto hint = await_hint(bench.look_out, bench.pod.uid);
  REQUIRE(hint);
  CHECK_FALSE(hint->actor.empty());
  // Our own writes are no news.
  REQUIRE(write_file(pod + "/cgroup.freeze", "0"));
  for (const auto& other : bench.look_out.take_hints()) CHECK(other.uid != bench.pod.uid);
}

TEST_CASE("a lost pin is made again from the shim", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  bench.start();
  const std::string pin = bench.fixture.net_namespace();
  struct stat before {};
  REQUIRE(::stat(pin.c_str(), &before) == 0);
  REQUIRE(run({"/bin/umount", pin}) == 0);
  CHECK(bench.look_for_one(false).field == "namespace:net");
  CHECK(bench.look_for_one(true).correction == "pinned again");
  CHECK(bench.look(false).empty());
  struct stat after {};
  REQUIRE(::stat(pin.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
}

TEST_CASE("files of a read-only root and the program are looked at", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  SECTION("a file that was planted") {
    bench.spec.read_only_root = true;
    bench.start();
    // The clock of files goes in steps: a file of the first one could look older than the start.
    const std::string planted = bench.made().frozen_root + "/planted";
    struct stat status {};
    do {
      REQUIRE(write_file(planted, "x", true));
      REQUIRE(::stat(planted.c_str(), &status) == 0);
    } while (status.st_ctim.tv_sec * 1'000'000 + status.st_ctim.tv_nsec / 1000 <=
             bench.made().started_micros);
    const auto drift = bench.look_for_one(true);
    CHECK(drift.field == "root[main]:/planted");
    CHECK(drift.remedy == SandboxDrift::Remedy::restart);
  }
  SECTION("the same where the container may write is its own business") {
    bench.start();
    REQUIRE(write_file("/proc/" + std::to_string(bench.made().pid) + "/root/tmp/x", "x", true));
    CHECK(bench.look(true).empty());
  }
  SECTION("another file behind the program") {
    bench.start();
    const std::string root = "/proc/" + std::to_string(bench.made().pid) + "/root";
    REQUIRE(write_file(root + "/bin/other", "not a program", true));
    REQUIRE(::rename((root + "/bin/other").c_str(), (root + "/bin/busybox").c_str()) == 0);
    const auto drift = bench.look_for_one(true);
    CHECK(drift.field == "executable[main]");
    CHECK(drift.remedy == SandboxDrift::Remedy::restart);
  }
}

TEST_CASE("what has ended is no difference", "[vm]") {
  NEEDS_CONTAINERS();
  Bench bench;
  bench.start();
  REQUIRE(bench.fixture.sandbox().signal_container(bench.pod.uid, "main", 0, SIGKILL, true));
  bench.fixture.wait_exit(bench.pod.uid, "main");
  CHECK(bench.look(true).empty());
  bench.look_out.forget(bench.pod.uid, "main");
  CHECK(bench.look_out.look({{"no-such-pod", true}}).empty());
}
