// Containers that try to get out or to exhaust what is outside: the cases that have a number.
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <sstream>
#include <string>

#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using moored::test::SandboxFixture;

namespace {

// The number behind a name in /proc/PID/status, in KiB.
long resident_kib(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/status");
  REQUIRE(text);
  return std::stol(text->substr(text->find("VmRSS:") + 6));
}

pid_t shim_of(const SandboxFixture& fixture, const std::string& uid) {
  const auto about = read_file(fixture.run_dir() + "/pods/" + uid + "/shim.json");
  REQUIRE(about);
  return std::stoi(about->substr(about->find("\"pid\":") + 6));
}

std::size_t count_descriptors(pid_t pid) {
  return list_directory("/proc/" + std::to_string(pid) + "/fd")->size();
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

ProbeRequest exec_probe(std::vector<std::string> command) {
  ProbeRequest probe;
  probe.container = "main";
  probe.command = std::move(command);
  probe.timeout = moored::test::kPatience;
  return probe;
}

}  // namespace

TEST_CASE("T03 a process on its way in is never seen with the shim's things", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  // It looks at every process there is, as often as it can. With SYS_PTRACE, which the policies
  // baseline and restricted forbid, the kernel itself lets it.
  auto spec = fixture.container(
      "main",
      "echo up; while :; do for p in /proc/[2-9] /proc/[1-9][0-9]*; do "
      "case \"$(readlink $p/exe 2>/dev/null)\" in *shim*) echo SEEN exe;; esac; "
      "for f in $p/fd/*; do case \"$(readlink $f 2>/dev/null)\" in "
      "*/run/*|*shim*) echo SEEN $f;; esac; done; done; done");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  for (int i = 0; i < 100; ++i) {
    const auto result = fixture.sandbox().run_probe(pod.uid, exec_probe({"true"}));
    REQUIRE(result);
    CHECK(result->outcome == ProbeResult::Outcome::success);
  }
  CHECK_THAT(fixture.log_text(spec), !Catch::Contains("SEEN"));
}

TEST_CASE("T17 sockets have no abstract names, directories are for root only", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto pod = fixture.pod();
  pod.host_network = true;
  fixture.remember(pod.uid);
  REQUIRE(fixture.sandbox().create_pod(pod, ""));
  const auto sockets = read_file("/proc/net/unix");
  REQUIRE(sockets);
  std::istringstream lines(*sockets);
  for (std::string line; std::getline(lines, line);) {
    const bool ours = line.find("shim") != std::string::npos;
    CHECK_FALSE((ours && line.find(" @") != std::string::npos));
  }
  const std::string directory = fixture.run_dir() + "/pods/" + pod.uid;
  CHECK(mode_of(fixture.run_dir() + "/pods") == 0700);
  CHECK(mode_of(directory) == 0700);
  CHECK((mode_of(directory + "/shim.sock") & 0777U) == 0600);
  // From inside, with the node's network: the path does not exist there.
  auto spec = fixture.container("main", "ls " + directory + " 2>&1; grep -c ' @' /proc/net/unix");
  const auto out = fixture.output_of(spec);
  CHECK(out.find("No such file") != std::string::npos);
}

TEST_CASE("T29 probes that shout leave the shim as small as it was", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container("main", "echo up; while :; do sleep 0.1; done");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  const auto shim = shim_of(fixture, pod.uid);
  REQUIRE(fixture.sandbox().run_probe(pod.uid, exec_probe({"true"})));
  const auto memory = resident_kib(shim);
  const auto descriptors = count_descriptors(shim);
  const auto loud = fixture.sandbox().run_probe(
      pod.uid, exec_probe({"sh", "-c", "head -c 67108864 /dev/zero | tr '\\0' x"}));
  REQUIRE(loud);
  CHECK(loud->outcome == ProbeResult::Outcome::success);
  CHECK(loud->output.size() == 10U << 10U);
  for (int i = 0; i < 50; ++i) {
    auto brief = exec_probe({"sleep", "60"});
    brief.timeout = std::chrono::milliseconds(20);
    const auto result = fixture.sandbox().run_probe(pod.uid, brief);
    REQUIRE(result);
    CHECK(result->outcome == ProbeResult::Outcome::failure);
  }
  // The last ones are closed when their processes are reaped.
  for (int i = 0; i < 200 && count_descriptors(shim) > descriptors; ++i) ::usleep(20'000);
  CHECK(count_descriptors(shim) <= descriptors);
  CHECK(resident_kib(shim) < memory + 2048);
  // Nothing that a probe started is left in the container.
  const auto left = fixture.sandbox().run_probe(
      pod.uid, exec_probe({"sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"}));
  REQUIRE(left);
  CHECK(left->output.find("sleep 60") == std::string::npos);
}

TEST_CASE("T37 cgroups cannot be written or left from inside", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto out = fixture.output_of(
      "find /sys/fs/cgroup -name release_agent -o -name cgroup.procs -o -name notify_on_release "
      "-o -name '*.max' -o -name '*limit*' 2>/dev/null | while read f; do "
      "echo 1 2>/dev/null > $f && echo WROTE $f; done; "
      "mkdir /sys/fs/cgroup/x 2>/dev/null && echo MADE; "
      "mkdir /tmp/c; mount -t cgroup2 none /tmp/c 2>/dev/null && echo MOUNTED; "
      "mount -t cgroup -o memory none /tmp/c 2>/dev/null && echo MOUNTED; "
      "cat /proc/self/cgroup | grep -v ':/$' | grep -v cpuset | grep -v perf_event | head -3; "
      "echo end");
  CHECK(out.find("WROTE") == std::string::npos);
  CHECK(out.find("MADE") == std::string::npos);
  CHECK(out.find("MOUNTED") == std::string::npos);
  CHECK(out.find("end\n") != std::string::npos);
}

TEST_CASE("T30 what a container puts over a mount point is not followed at its end", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string volume = fixture.scratch() + "/volume";
  const std::string canary = fixture.scratch() + "/canary";
  REQUIRE(make_directories(volume, 0777));
  REQUIRE(make_directories(canary));
  REQUIRE(write_file(canary + "/kept", "", true));
  auto spec = fixture.container("main", "mkdir /a; rm -rf /a; ln -s " + canary +
                                            " /a; rm -rf /etc; ln -s " + canary + " /etc; exit 3");
  spec.mounts.push_back({volume, "/room/deep", false, ""});
  fixture.output_of(spec);
  CHECK(fixture.sandbox().remove_container(fixture.pod().uid, spec.name, spec.attempt));
  CHECK(*list_directory(canary) == std::vector<std::string>{"kept"});
}

TEST_CASE("T39 calls that reach deep into the kernel are refused in a real container", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto out = fixture.output_of(
      "unshare -U true 2>/dev/null && echo USER; unshare -m true 2>/dev/null && echo MOUNT; "
      "mount -t tmpfs t /tmp 2>/dev/null && echo TMPFS; "
      "chroot / true && echo chroot; "
      "dmesg 2>/dev/null | head -1; swapoff -a 2>/dev/null && echo SWAP; "
      "hostname other 2>/dev/null && echo HOSTNAME; reboot -f 2>/dev/null && echo REBOOT; "
      "date -s 2001-01-01 2>&1 >/dev/null | grep -q . || echo TIME; echo end");
  CHECK(out == "chroot\nend\n");
}

TEST_CASE("T43 moored writes no file below an image's root through its links", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string canary = fixture.scratch() + "/canary";
  const std::string layer = fixture.scratch() + "/layer";
  REQUIRE(make_directories(canary));
  REQUIRE(make_directories(layer + "/etc", 0755));
  for (const char* name : {"hosts", "hostname", "resolv.conf", "mtab"}) {
    REQUIRE(::symlink((canary + "/" + name).c_str(), (layer + "/etc/" + name).c_str()) == 0);
  }
  const std::string hosts = fixture.scratch() + "/hosts";
  REQUIRE(write_file(hosts, "127.0.0.1 here\n", true));
  auto spec = fixture.container("main", "echo ran");
  spec.lower_directories = {layer, fixture.rootfs()};
  spec.mounts.push_back({hosts, "/etc/hosts", false, ""});
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  if (fixture.sandbox().create_container(pod.uid, spec)) {
    REQUIRE(fixture.sandbox().start_container(pod.uid, spec.name, 0));
    fixture.wait_exit(pod.uid, spec.name);
  }
  CHECK(list_directory(canary)->empty());
}
