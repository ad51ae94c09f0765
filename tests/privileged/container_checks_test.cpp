// Containers, kernel and files: the cases of docs/checks.md that need something made by hand.
#include <linux/keyctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <sstream>
#include <string>

#include "exchanger.hpp"
#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

using namespace moored;
using namespace std::chrono_literals;
using moored::test::Exchanger;
using moored::test::SandboxFixture;
using moored::test::tries;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A number of a file of lines "name number".
long number_in(const std::string& text, const std::string& name) {
  const auto at = ("\n" + text).find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stol(text.substr(at + name.size() + 1));
}

// Makes, starts where that is possible, and waits; false when the container was refused.
bool try_container(SandboxFixture& fixture, const ContainerSpec& spec) {
  const auto uid = fixture.pod().uid;
  if (!fixture.sandbox().create_container(uid, spec)) return false;
  const bool started =
      fixture.sandbox().start_container(uid, spec.name, spec.attempt).has_value();
  fixture.wait_exit(uid, spec.name, spec.attempt);
  return started;
}

// A process of nobody's, which ends with the object.
class Stranger {
 public:
  Stranger() {
    SpawnRequest request;
    request.program = "/bin/sleep";
    request.arguments = {"sleep", "1000"};
    auto child = spawn(request);
    REQUIRE(child);
    child_ = *std::move(child);
  }
  ~Stranger() {
    static_cast<void>(kill_group(child_, SIGKILL));
    static_cast<void>(wait_child(child_, 10s));
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;
  pid_t pid() const { return child_.pid; }
  bool lives() const { return !wait_child(child_, 0ms).has_value(); }

 private:
  Child child_;
};

// A file system of its own whose later mounts reach every copy that takes them.
class SharedMount {
 public:
  explicit SharedMount(std::string path) : path_(std::move(path)) {
    REQUIRE(make_directories(path_, 0755));
    REQUIRE(::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=1m") == 0);
    REQUIRE(::mount(nullptr, path_.c_str(), nullptr, MS_SHARED, nullptr) == 0);
  }
  ~SharedMount() { ::umount2(path_.c_str(), MNT_DETACH); }
  SharedMount(const SharedMount&) = delete;
  SharedMount& operator=(const SharedMount&) = delete;

 private:
  std::string path_;
};

// Puts another number in place of the one behind "pid": in a file of the shim.
void replace_pid(const std::string& path, pid_t pid) {
  auto text = read_file(path);
  REQUIRE(text);
  const auto at = text->find("\"pid\":");
  REQUIRE(at != std::string::npos);
  const auto end = text->find_first_of(",}", at);
  REQUIRE(write_file(path, text->substr(0, at + 6) + std::to_string(pid) + text->substr(end)));
}

}  // namespace

TEST_CASE("B15 children that ignore TERM end with their first process", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container(
      "main",
      "for i in 1 2 3; do (trap '' TERM; while true; do sleep 0.1; done) & done; "
      "trap 'exit 0' TERM; echo up; while true; do sleep 0.05; done");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  REQUIRE(fixture.sandbox().signal_container(pod.uid, "main", 0, SIGTERM, false));
  CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 0);
  CHECK(fixture.group_value("pods/burstable/pod" + pod.uid + "/main-0", "cgroup.procs").empty());
}

TEST_CASE("B67 a child beyond the limit ends the whole container, or itself with v1", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container(
      "main", "tail -c 200000000 /dev/zero | wc -c; echo survived; sleep 1000");
  spec.limits.memory_limit_bytes = 24 << 20;
  fixture.make_and_start(pod.uid, spec);
  const std::string group = "pods/burstable/pod" + pod.uid + "/main-0";
  if (fixture.group_value(group, "memory.oom.group") == "1") {
    const auto report = fixture.wait_exit(pod.uid, "main");
    CHECK(report.exit_code == 137);
    CHECK(report.oom_killed);
    CHECK_FALSE(contains(fixture.log_text(spec), "survived"));
  } else {
    fixture.wait_log(spec, "survived");
    CHECK(fixture.sandbox().list_containers(pod.uid)->at(0).phase == ContainerPhase::running);
  }
}

TEST_CASE("B68 a cpu limit holds a program back, as the kernel counts it", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  // So little that a program goes beyond it on the busiest machine.
  auto spec = fixture.container("main", "inside burn 20; exec sleep 1000");
  spec.limits.cpu_limit_milli = 20;
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "burnt");
  const std::string group = "pods/burstable/pod" + pod.uid + "/main-0";
  const auto v2 = fixture.group_value(group, "cpu.max");
  if (v2.empty()) {
    CHECK(fixture.group_value(group, "cpu.cfs_quota_us") == "2000");
    CHECK(fixture.group_value(group, "cpu.cfs_period_us") == "100000");
  } else {
    CHECK(v2 == "2000 100000");
  }
  CHECK(number_in(fixture.group_value(group, "cpu.stat"), "nr_throttled") > 0);
  auto free = fixture.container("free", "inside burn 20; exec sleep 1000");
  fixture.make_and_start(pod.uid, free);
  fixture.wait_log(free, "burnt");
  const std::string other = "pods/burstable/pod" + pod.uid + "/free-0";
  CHECK(number_in(fixture.group_value(other, "cpu.stat"), "nr_throttled") == 0);
}

TEST_CASE("what a container used is read as the kernel counts it", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container(
      "main", "head -c 8388608 /dev/zero > /dev/shm/held; inside burn 50; exec sleep 1000");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "burnt");
  auto& sandbox = fixture.shim_sandbox();
  const auto spent = sandbox.read_cpu_time(pod.uid, "main");
  const auto held = sandbox.read_memory_bytes(pod.uid, "main");
  REQUIRE(spent);
  REQUIRE(held);
  CHECK(*spent >= 40ms);
  CHECK(*held >= 8 << 20);
  CHECK(*sandbox.read_cpu_time(pod.uid, "") >= *spent);
  CHECK(*sandbox.read_memory_bytes(pod.uid, "") >= 8 << 20);
}

TEST_CASE("B75 no line is lost or doubled while daemons come and go", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const int lines = tries(150'000);
  const auto spec = fixture.container("main", "seq " + std::to_string(lines));
  REQUIRE(fixture.sandbox().create_container(pod.uid, spec));
  REQUIRE(fixture.sandbox().start_container(pod.uid, "main", 0));
  for (int i = 0; i < 10; ++i) {
    fixture.restart();
    REQUIRE(fixture.sandbox().adopt());
  }
  CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 0);
  std::istringstream log(fixture.log_text(spec));
  int expected = 0;
  int wrong = 0;
  for (std::string line; std::getline(log, line);) {
    if (line != std::to_string(++expected)) ++wrong;
  }
  CHECK(expected == lines);
  CHECK(wrong == 0);
}

TEST_CASE("T01 T02 ways to the shim through /proc lead to its sealed copy or nowhere", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  fixture.make_pod(fixture.pod());
  const std::string shim = std::string(MOORED_BIN_DIR) + "/moored-shim";
  const auto before = read_file(shim);
  REQUIRE(write_file(fixture.rootfs() + "/bin/script", "#!/proc/self/exe\n", true, 0755));
  auto spec = fixture.container("script", "");
  spec.arguments = {"/bin/script"};
  try_container(fixture, spec);
  CHECK(*read_file(shim) == *before);
  for (int fd = 3; fd < 10; ++fd) {
    const std::string link = "/via" + std::to_string(fd);
    const std::string target = "/proc/self/fd/" + std::to_string(fd);
    REQUIRE(::symlink(target.c_str(), (fixture.rootfs() + link).c_str()) == 0);
    auto through = fixture.container("link-" + std::to_string(fd), "exit 0");
    through.working_directory = link;
    CHECK_FALSE(fixture.sandbox().create_container(fixture.pod().uid, through));
  }
}

TEST_CASE("T04 an image whose /proc or /sys is a file is refused", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  fixture.make_pod(fixture.pod());
  for (const char* name : {"proc", "sys"}) {
    INFO(name);
    const std::string layer = fixture.scratch() + "/layer-" + name;
    REQUIRE(make_directories(layer, 0755));
    REQUIRE(write_file(layer + "/" + name, "no directory", true));
    auto spec = fixture.container(std::string("with-") + name, "exit 0");
    spec.lower_directories = {layer, fixture.rootfs()};
    CHECK_FALSE(fixture.sandbox().create_container(fixture.pod().uid, spec));
  }
}

TEST_CASE("T06 a volume on /dev decides neither what masks nor what is written", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  fixture.make_pod(fixture.pod());
  const std::string volume = fixture.scratch() + "/volume";
  const std::string canary = fixture.scratch() + "/canary";
  REQUIRE(make_directories(volume, 0755));
  REQUIRE(make_directories(canary, 0755));
  REQUIRE(::symlink("/proc/sys/kernel/hostname", (volume + "/null").c_str()) == 0);
  REQUIRE(::mknod((volume + "/real").c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0);
  const auto look_inside = [&](int attempt) {
    auto spec = fixture.container(
        "main",
        "inside ids; for p in /proc/kcore /proc/keys /proc/timer_list; do test -e $p && "
        "stat -c %t:%T $p; done; grep -c ' /proc/sys/kernel/hostname ' /proc/self/mountinfo",
        attempt);
    spec.mounts.push_back({volume, "/dev", false, ""});
    if (!try_container(fixture, spec)) return;  // refused is as good
    std::istringstream said(fixture.log_text(spec));
    std::string line;
    std::getline(said, line);
    CHECK(line == "0 0 0");
    while (std::getline(said, line)) CHECK((line == "1:3" || line == "0"));
  };
  SECTION("as it is") { look_inside(0); }
  SECTION("while it is exchanged") {
    const Exchanger exchanger(volume + "/null", volume + "/real");
    for (int i = 0; i < tries(50); ++i) look_inside(i);
  }
  SECTION("T08 a console that is a link in the volume") {
    REQUIRE(::symlink((canary + "/console").c_str(), (volume + "/console").c_str()) == 0);
    REQUIRE(::symlink(canary.c_str(), (volume + "/pts").c_str()) == 0);
    auto spec = fixture.container("terminal", "echo ran");
    spec.mounts.push_back({volume, "/dev", false, ""});
    spec.tty = true;
    try_container(fixture, spec);
  }
  CHECK(list_directory(canary)->empty());
}

TEST_CASE("T07 a /dev of the image that is exchanged with a link never leads out", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  fixture.make_pod(fixture.pod());
  const std::string canary = fixture.scratch() + "/canary";
  const std::string layer = fixture.scratch() + "/layer";
  REQUIRE(make_directories(canary, 0755));
  REQUIRE(make_directories(layer + "/dev", 0755));
  REQUIRE(::symlink(canary.c_str(), (layer + "/link").c_str()) == 0);
  {
    const Exchanger exchanger(layer + "/dev", layer + "/link");
    for (int i = 0; i < tries(100); ++i) {
      auto spec = fixture.container("main", "exit 0", i);
      spec.lower_directories = {layer, fixture.rootfs()};
      try_container(fixture, spec);
      REQUIRE(fixture.sandbox().remove_container(fixture.pod().uid, "main", i));
    }
  }
  CHECK(list_directory(canary)->empty());
}

TEST_CASE("T08 a terminal is one of the container's own", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec = fixture.container("main",
                                "stat -c %t:%T /dev/console /dev/pts/0; stat -c %d /dev/pts/0 "
                                "/dev/pts; ls /dev/pts");
  spec.tty = true;
  std::istringstream out(fixture.output_of(spec));
  std::vector<std::string> lines;
  for (std::string line; std::getline(out, line);) lines.push_back(line.substr(0, line.find('\r')));
  REQUIRE(lines.size() >= 4);
  CHECK(lines[0] == "88:0");  // the first terminal of a fresh devpts
  CHECK(lines[1] == "88:0");
  CHECK(lines[2] == lines[3]);
}

TEST_CASE("T39 calls of every kind are answered as the filter says", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  CHECK(fixture.output_of("inside calls") ==
        "alg EPERM\nvsock EPERM\nuserfaultfd EPERM\nio_uring_setup EPERM\nkeyctl EPERM\n"
        "bpf EPERM\nclone-user EPERM\nclone3 ENOSYS\nunshare EPERM\nsti EPERM\n"
        "personality EPERM\nclone done\n");
  CHECK(fixture.output_of("inside machines") == "x32 killed\ni386 killed\n");
}

TEST_CASE("T40 each container has a keyring of its own, and not the machine's", "[vm]") {
  NEEDS_CONTAINERS();
  const long joined = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  if (joined < 0) {
    std::cout << "SKIP: the kernel has no keyrings\n";
    return;
  }
  REQUIRE(::syscall(SYS_add_key, "user", "moored-test", "x", 1, KEY_SPEC_SESSION_KEYRING) >= 0);
  SandboxFixture fixture;
  const auto look = [&](const char* name, const char* script) {
    auto spec = fixture.container(name, script);
    spec.seccomp_profile = "Unconfined";
    return fixture.output_of(spec);
  };
  const auto first = look("one", "inside key; inside key add");
  const auto second = look("two", "inside key");
  const auto ring = [](const std::string& text) { return text.substr(0, text.find(' ')); };
  CHECK(contains(first, " Required key not available\n"));
  CHECK(contains(first, " found\n"));  // its own, so that this test can see one
  CHECK(contains(second, " Required key not available\n"));
  CHECK(ring(first) != ring(second));
  CHECK(ring(first) != std::to_string(joined));
}

TEST_CASE("T42 what is mounted below a volume later stays where it was mounted", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string volume = fixture.scratch() + "/volume";
  const SharedMount shared(volume);  // as everything is on a machine with systemd
  REQUIRE(make_directories(volume + "/below", 0755));
  auto spec = fixture.container(
      "main", "echo up; until [ -e /data/go ]; do sleep 0.05; done; ls /data/below; echo end");
  spec.mounts.push_back({volume, "/data", false, ""});
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  REQUIRE(::mount("tmpfs", (volume + "/below").c_str(), "tmpfs", 0, "size=64k") == 0);
  const auto written = write_file(volume + "/below/late", "", true);
  const auto told = write_file(volume + "/go", "", true);
  fixture.wait_exit(pod.uid, "main");
  REQUIRE(written);
  REQUIRE(told);
  CHECK(fixture.log_text(spec) == "up\nend\n");
}

TEST_CASE("T46 a pid that was given to somebody else is not signalled", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container("main", "echo up; sleep 1000");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  const Stranger stranger;
  const std::string directory = fixture.run_dir() + "/pods/" + pod.uid;
  const auto about = read_file(directory + "/shim.json");
  REQUIRE(about);
  const int shim = std::stoi(about->substr(about->find("\"pid\":") + 6));
  fixture.stop();
  SECTION("that of a dead shim and its container") {
    REQUIRE(::kill(shim, SIGKILL) == 0);
    replace_pid(directory + "/shim.json", stranger.pid());
    replace_pid(directory + "/c/main/0/state.json", stranger.pid());
    fixture.restart();
    const auto found = fixture.sandbox().adopt();
    REQUIRE(found->size() == 1);
    CHECK_FALSE(found->at(0).shim_alive);
    CHECK(found->at(0).containers.at(0).exit_code == 137);
  }
  SECTION("that of a container whose shim lives") {
    replace_pid(directory + "/c/main/0/state.json", stranger.pid());
    fixture.restart();
    REQUIRE(fixture.sandbox().adopt());
    REQUIRE(fixture.sandbox().signal_container(pod.uid, "main", 0, SIGKILL, true));
    CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 137);
  }
  CHECK(fixture.sandbox().remove_pod(pod.uid));
  CHECK(stranger.lives());
}

TEST_CASE("T48 limits of a container are its own, whatever the daemon was started with", "[vm]") {
  NEEDS_CONTAINERS();
  const std::string script = "ulimit -n; ulimit -Hn";
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  std::string usual;
  {
    SandboxFixture fixture;
    usual = fixture.output_of(script);
  }
  const std::string most = std::to_string(std::min<rlim_t>(before.rlim_max, 1'048'576));
  if (before.rlim_max >= 1'048'576) CHECK(usual == "1048576\n1048576\n");
  // Where the right to raise limits is missing, the daemon's own hard limit is the most there is.
  CHECK((usual == most + "\n" + most + "\n" || usual == "1048576\n1048576\n"));
  {
    SandboxFixture fixture;
    const rlimit low{64, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    fixture.make_pod(fixture.pod());  // its shim starts with 64
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(fixture.output_of(script) == usual);
  }
}
