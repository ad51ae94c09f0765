// Limits, namespaces, probes and logs of real containers.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace std::chrono_literals;
using moored::test::SandboxFixture;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string either(const std::string& first, const std::string& second) {
  return first.empty() ? second : first;
}

}  // namespace

TEST_CASE("limits reach the kernel, can be changed and are read back", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "sleep 1000");
  spec.limits.cpu_request_milli = 500;
  spec.limits.cpu_limit_milli = 1000;
  spec.limits.memory_limit_bytes = 64 << 20;
  spec.limits.pids_limit = 100;
  fixture.make_and_start(pod.uid, spec);
  const std::string group = "pods/burstable/pod" + pod.uid + "/main-0";
  CHECK(either(fixture.group_value(group, "cpu.shares"),
               fixture.group_value(group, "cpu.weight")) ==
        (fixture.group_value(group, "cpu.shares").empty() ? "59" : "512"));
  CHECK(either(fixture.group_value(group, "cpu.cfs_quota_us"),
               fixture.group_value(group, "cpu.max").substr(0, 6)) == "100000");
  CHECK(either(fixture.group_value(group, "memory.limit_in_bytes"),
               fixture.group_value(group, "memory.max")) == "67108864");
  CHECK(fixture.group_value(group, "pids.max") == "100");
  CHECK(*fixture.sandbox().read_limits(pod.uid, "main") == spec.limits);
  CHECK(*fixture.sandbox().read_limits(pod.uid, "") == pod.limits);

  for (const std::int64_t megabytes : {128, 32}) {
    auto changed = spec.limits;
    changed.memory_limit_bytes = megabytes << 20;
    changed.cpu_limit_milli = std::nullopt;
    changed.cpu_request_milli = 333;
    REQUIRE(fixture.sandbox().update_limits(pod.uid, "main", changed));
    CHECK(*fixture.sandbox().read_limits(pod.uid, "main") == changed);
  }
  CHECK(fixture.sandbox().read_limits(pod.uid, "other").error().code == Code::not_found);
  CHECK(fixture.shim_sandbox().read_memory_bytes(pod.uid, "main").value_or(0) > 0);
}

TEST_CASE("tiers weigh what their pods ask for", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto shares = [&] {
    return either(fixture.group_value("pods/burstable", "cpu.shares"),
                  fixture.group_value("pods/burstable", "cpu.weight"));
  };
  const bool v1 = [&] {
    fixture.make_pod(fixture.pod());
    return !fixture.group_value("pods/burstable", "cpu.shares").empty();
  }();
  CHECK(shares() == (v1 ? "102" : "17"));
  auto second = fixture.pod("22222222-0000-0000-0000-000000000000");
  second.limits.cpu_request_milli = 900;
  fixture.make_pod(second);
  CHECK(shares() == (v1 ? "1024" : "100"));
  auto less = second.limits;
  less.cpu_request_milli = 150;
  REQUIRE(fixture.sandbox().update_limits(second.uid, "", less));
  CHECK(shares() == (v1 ? "256" : "35"));
  REQUIRE(fixture.sandbox().remove_pod(second.uid));
  CHECK(shares() == (v1 ? "102" : "17"));
}

TEST_CASE("a full disk holds no program up, and is said in the log", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string small = fixture.scratch() + "/small";
  REQUIRE(make_directories(small));
  REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=2m") == 0);
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main",
                                "seq 20000; echo full > /data/mark; "
                                "while [ -e /data/wait ]; do sleep 0.05; done; echo end");
  const std::string volume = fixture.scratch() + "/volume";
  REQUIRE(make_directories(volume));
  REQUIRE(write_file(volume + "/wait", "", true));
  REQUIRE(write_file(small + "/ballast", std::string(2016 << 10, 'b'), true));
  spec.mounts.push_back({volume, "/data", false, ""});
  spec.log_path = small + "/0.log";
  fixture.make_and_start(pod.uid, spec);
  const auto deadline = std::chrono::steady_clock::now() + moored::test::kPatience;
  while (!path_exists(volume + "/mark") && std::chrono::steady_clock::now() < deadline) {
    static_cast<void>(fixture.sandbox().wait_events(20ms));
  }
  CHECK(path_exists(volume + "/mark"));
  REQUIRE(remove_tree(small + "/ballast"));
  REQUIRE(remove_tree(volume + "/wait"));
  CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 0);
  const auto raw = read_file(spec.log_path).value_or("");
  CHECK(contains(raw, "moored: dropped "));
  CHECK(contains(raw, " stdout F end\n"));
  ::umount2(small.c_str(), MNT_DETACH);
}

TEST_CASE("a change from outside is read back as it is", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "sleep 1000");
  spec.limits.pids_limit = 100;
  fixture.make_and_start(pod.uid, spec);
  const std::string group = "pods/burstable/pod" + pod.uid + "/main-0";
  for (const auto& mount : SandboxFixture::cgroup_mounts()) {
    const std::string file = mount + fixture.cgroup_root() + "/" + group + "/pids.max";
    if (path_exists(file)) REQUIRE(write_file(file, "7"));
  }
  CHECK(fixture.sandbox().read_limits(pod.uid, "main")->pids_limit == 7);
}

TEST_CASE("container, probe and shim are each in their group in every hierarchy", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  fixture.make_and_start(pod.uid, fixture.container("main", "sleep 1000 & sleep 1000"));
  const auto pids_in = [&](const std::string& mount, const std::string& group) {
    std::set<std::string> pids;
    std::istringstream text(
        read_file(mount + fixture.cgroup_root() + "/" + group + "/cgroup.procs").value_or(""));
    for (std::string pid; text >> pid;) pids.insert(pid);
    return pids;
  };
  const auto main_pid =
      std::to_string(fixture.sandbox().list_containers(pod.uid)->at(0).pid);
  int hierarchies = 0;
  for (const auto& mount : SandboxFixture::cgroup_mounts()) {
    if (!path_exists(mount + fixture.cgroup_root())) continue;
    INFO(mount);
    ++hierarchies;
    CHECK(pids_in(mount, "pods/burstable/pod" + pod.uid + "/main-0").count(main_pid) == 1);
    CHECK(pids_in(mount, "system/shims").size() == 2);  // the shim and what it is a copy of
  }
  CHECK(hierarchies > 0);
  ProbeRequest probe;
  probe.container = "main";
  probe.command = {"cat", "/proc/self/cgroup"};
  const auto seen = fixture.sandbox().run_probe(pod.uid, probe);
  REQUIRE(seen);
  // Its view ends at the container's own group, so no line may lead out of it.
  CHECK_THAT(seen->output, !Catch::Contains("/.."));
}

TEST_CASE("memory beyond the limit ends the container as OOMKilled", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "exec tail -c 200000000 /dev/zero");
  spec.limits.memory_limit_bytes = 24 << 20;
  fixture.make_and_start(pod.uid, spec);
  const auto report = fixture.wait_exit(pod.uid, "main");
  CHECK(report.exit_code == 137);
  CHECK(report.oom_killed);
  auto calm = fixture.container("calm", "exit 0");
  fixture.make_and_start(pod.uid, calm);
  CHECK_FALSE(fixture.wait_exit(pod.uid, "calm").oom_killed);
}

TEST_CASE("a score for the out-of-memory killer is set", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  CHECK(fixture.output_of("cat /proc/self/oom_score_adj") == "500\n");
}

TEST_CASE("containers of a pod share what a pod shares", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string script =
      "for n in net ipc uts pid mnt cgroup; do readlink /proc/self/ns/$n; done";
  const auto first = fixture.output_of(script);
  const auto second = fixture.output_of(script);
  const auto line = [](const std::string& text, const std::string& kind) {
    const auto at = text.find(kind + ":[");
    return at == std::string::npos ? std::string() : text.substr(at, text.find('\n', at) - at);
  };
  for (const char* kind : {"net", "ipc", "uts"}) {
    CHECK(line(first, kind) == line(second, kind));
    CHECK_FALSE(line(first, kind).empty());
    std::string own(128, '\0');
    const auto size = ::readlink((std::string("/proc/self/ns/") + kind).c_str(), own.data(), 128);
    own.resize(static_cast<std::size_t>(size));
    CHECK(line(first, kind) != own);
  }
  CHECK(fixture.output_of("hostname") == "web\n");
  fixture.output_of("echo shared > /dev/shm/note");
  CHECK(fixture.output_of("cat /dev/shm/note") == "shared\n");
  CHECK(fixture.output_of("stat -f -c %T /dev/shm; stat -c %a /dev/shm") == "tmpfs\n1777\n");
}

TEST_CASE("a shared process namespace shows the other containers", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto pod = fixture.pod();
  pod.share_process_namespace = true;
  fixture.make_pod(pod);
  const auto sleeper = fixture.container("sleeper", "sleep 4242");
  fixture.make_and_start(pod.uid, sleeper);
  const auto seen = fixture.output_of("ps -o pid,args; echo me $$");
  CHECK(contains(seen, "sleep 4242"));
  CHECK_FALSE(contains(seen, "me 1\n"));
  // The holder of the namespace is nobody's container.
  CHECK(fixture.sandbox().list_containers(pod.uid)->size() == 2);
  CHECK(
      fixture.output_of("ls /proc/1/root/ 2>&1 | head -1; cat /proc/1/environ 2>/dev/null | wc -c")
          .find("0\n") != std::string::npos);
  REQUIRE(fixture.sandbox().signal_container(pod.uid, "sleeper", 0, SIGKILL, true));
  CHECK(fixture.wait_exit(pod.uid, "sleeper").exit_code == 137);
  CHECK(fixture.sandbox().remove_pod(pod.uid));
}

TEST_CASE("the node's namespaces are used when the pod asks for them", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto pod = fixture.pod();
  pod.host_network = pod.host_ipc = pod.host_pid = true;
  fixture.make_pod(pod);
  for (const char* kind : {"net", "ipc", "uts", "pid"}) {
    std::string own(128, '\0');
    const auto size = ::readlink((std::string("/proc/self/ns/") + kind).c_str(), own.data(), 128);
    own.resize(static_cast<std::size_t>(size));
    CHECK(fixture.output_of(std::string("readlink /proc/self/ns/") + kind) == own + "\n");
  }
  // Without a pid namespace of its own, what was left running still dies with the container.
  auto spec = fixture.container("main", "(sleep 3131 &) ; echo ok");
  CHECK(fixture.output_of(spec) == "ok\n");
  CHECK_FALSE(contains(fixture.output_of("ps -o args"), "sleep 3131"));
}

TEST_CASE("sysctls are set in the pod only", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto pod = fixture.pod();
  pod.sysctls["net.ipv4.ip_unprivileged_port_start"] = "80";
  pod.sysctls["kernel.shm_rmid_forced"] = "1";
  const auto before = read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  fixture.make_pod(pod);
  CHECK(fixture.output_of("cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                          "/proc/sys/kernel/shm_rmid_forced") == "80\n1\n");
  CHECK(read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start").value_or("?") ==
        before.value_or("!"));
  auto bad = fixture.pod("22222222-0000-0000-0000-000000000000");
  bad.sysctls["kernel.msgmax"] = "1";
  CHECK(fixture.sandbox().create_pod(bad, fixture.net_namespace()).error().reason ==
        "SysctlForbidden");
}

TEST_CASE("an exec probe runs inside the container with its rights", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "touch /tmp/mark; echo up; sleep 1000");
  spec.uid = 1000;
  spec.gid = 1000;
  spec.no_new_privileges = true;
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  ProbeRequest probe;
  probe.container = "main";
  probe.timeout = 10s;

  SECTION("success and output") {
    probe.command = {
        "/bin/sh", "-c",
        "ls /tmp; id -u; grep -E '^(CapInh|CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status;"
        "ls /proc/self/fd; echo err >&2"};
    const auto result = fixture.sandbox().run_probe(pod.uid, probe);
    REQUIRE(result);
    CHECK(result->outcome == ProbeResult::Outcome::success);
    CHECK(contains(result->output, "mark\n1000\n"));
    CHECK(contains(result->output,
                   "CapInh:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb"));
    CHECK(contains(result->output, "NoNewPrivs:\t1\nSeccomp:\t2\n0\n1\n2\n3\nerr\n"));
  }
  SECTION("failure with the program's code") {
    probe.command = {"sh", "-c", "exit 3"};
    const auto result = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(result->outcome == ProbeResult::Outcome::failure);
    CHECK(result->exit_code == 3);
  }
  SECTION("a program that is not there is unknown, not failed") {
    probe.command = {"/no/such"};
    const auto result = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(result->outcome == ProbeResult::Outcome::unknown);
    CHECK(contains(result->output, "/no/such"));
  }
  SECTION("a timeout is a failure and leaves no process") {
    probe.command = {"sh", "-c", "sleep 7171 & sleep 7171"};
    probe.timeout = 300ms;
    const auto result = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(result->outcome == ProbeResult::Outcome::failure);
    probe.command = {"ps", "-o", "args"};
    probe.timeout = 10s;
    CHECK_FALSE(contains(fixture.sandbox().run_probe(pod.uid, probe)->output, "sleep 7171"));
  }
  SECTION("output is cut at 10 KiB") {
    probe.command = {"sh", "-c", "yes | head -c 1000000"};
    const auto result = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(result->outcome == ProbeResult::Outcome::success);
    CHECK(result->output.size() == 10U << 10U);
  }
  SECTION("a container that does not run is unknown") {
    probe.container = "other";
    probe.command = {"true"};
    CHECK(fixture.sandbox().run_probe(pod.uid, probe)->outcome == ProbeResult::Outcome::unknown);
  }
}

TEST_CASE("network probes come from inside the pod", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container(
      "web",
      "mkdir /tmp/www && echo fine > /tmp/www/index.html && httpd -p 8080 -h /tmp/www && "
      "echo up && sleep 1000");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  ProbeRequest probe;
  probe.port = 8080;
  probe.timeout = 10s;

  SECTION("tcp") {
    probe.type = ProbeRequest::Type::tcp;
    CHECK(fixture.sandbox().run_probe(pod.uid, probe)->outcome == ProbeResult::Outcome::success);
    probe.port = 8081;
    const auto closed = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(closed->outcome == ProbeResult::Outcome::failure);
    CHECK(contains(closed->output, "refused"));
  }
  SECTION("http") {
    probe.type = ProbeRequest::Type::http;
    probe.path = "/index.html";
    const auto found = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(found->outcome == ProbeResult::Outcome::success);
    CHECK(found->output == "fine\n");
    probe.path = "/absent";
    const auto missing = fixture.sandbox().run_probe(pod.uid, probe);
    CHECK(missing->outcome == ProbeResult::Outcome::failure);
    CHECK(contains(missing->output, "404"));
    probe.https = true;
    CHECK(fixture.sandbox().run_probe(pod.uid, probe)->outcome == ProbeResult::Outcome::failure);
  }
  SECTION("grpc against a server that does not speak it") {
    probe.type = ProbeRequest::Type::grpc;
    CHECK(fixture.sandbox().run_probe(pod.uid, probe)->outcome == ProbeResult::Outcome::failure);
  }
  SECTION("a name instead of an address is unknown") {
    probe.type = ProbeRequest::Type::tcp;
    probe.host = "example.com";
    CHECK(fixture.sandbox().run_probe(pod.uid, probe)->outcome == ProbeResult::Outcome::unknown);
  }
}

TEST_CASE("a hanging probe holds nothing up", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "echo up; sleep 1000");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  ProbeRequest probe;
  probe.container = "main";
  probe.command = {"sleep", "1000"};
  probe.timeout = 60s;
  Result<ProbeResult> result = ProbeResult{};
  std::thread prober([&] { result = fixture.sandbox().run_probe(pod.uid, probe); });
  const bool killed =
      fixture.sandbox().signal_container(pod.uid, "main", 0, SIGKILL, true).has_value();
  const auto report = fixture.wait_exit(pod.uid, "main");
  prober.join();  // the probe died with its container
  CHECK(killed);
  CHECK(report.exit_code == 137);
  REQUIRE(result);
  CHECK(result->outcome != ProbeResult::Outcome::success);
}

TEST_CASE("long and unfinished lines are kept byte for byte", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container(
      "main", "yes x | head -c 80000 | tr -d '\\n'; printf '\\n\\001\\377 a\\rb\\n'; printf tail");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_exit(pod.uid, "main");
  CHECK(fixture.log_text(spec) == std::string(40000, 'x') + "\n\001\377 a\rb\ntail");
  const auto raw = read_file(spec.log_path);
  CHECK(contains(*raw, " stdout P x"));
  CHECK(contains(*raw, " stdout P tail\n"));
}

TEST_CASE("a terminal gives one stream", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec =
      fixture.container("main", "test -t 0 && test -t 1 && test -t 2 && echo tty; ls /dev/console");
  spec.tty = true;
  const auto out = fixture.output_of(spec);
  CHECK(contains(out, "tty\r\n"));
  CHECK(contains(out, "/dev/console\r\n"));
}

TEST_CASE("many containers at once", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  constexpr int kCount = 20;
  for (int i = 0; i < kCount; ++i) {
    fixture.make_and_start(
        pod.uid, fixture.container("c" + std::to_string(i), "seq 1000; exit " + std::to_string(i)));
  }
  for (int i = 0; i < kCount; ++i) {
    CHECK(fixture.wait_exit(pod.uid, "c" + std::to_string(i)).exit_code == i);
    const auto spec = fixture.container("c" + std::to_string(i), "");
    CHECK(contains(fixture.log_text(spec), "\n1000\n"));
  }
}
