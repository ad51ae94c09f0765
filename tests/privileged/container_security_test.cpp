// What a container may see and do, asked from inside.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>
#include <vector>

#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

using namespace moored;
using moored::test::SandboxFixture;

namespace {

std::string field(const std::string& text, const std::string& name) {
  const auto at = text.find(name + ":\t");
  if (at == std::string::npos) return "?";
  const auto begin = at + name.size() + 2;
  return text.substr(begin, text.find('\n', begin) - begin);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a default container has the default rights", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto status = fixture.output_of("cat /proc/self/status");
  CHECK(field(status, "CapBnd") == "00000000a80425fb");
  CHECK(field(status, "CapEff") == "00000000a80425fb");
  CHECK(field(status, "CapInh") == "0000000000000000");
  CHECK(field(status, "CapAmb") == "0000000000000000");
  CHECK(field(status, "Seccomp") == "2");
  CHECK(field(status, "NoNewPrivs") == "0");
  CHECK(field(status, "SigBlk") == "0000000000000000");
  CHECK(field(status, "Uid") == "0\t0\t0\t0");
}

TEST_CASE("a user without root has no effective rights and exactly its groups", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec = fixture.container("main", "cat /proc/self/status; id");
  spec.uid = 1001;
  spec.gid = 2002;
  spec.groups = {3003};
  spec.no_new_privileges = true;
  const auto status = fixture.output_of(spec);
  CHECK(field(status, "Uid") == "1001\t1001\t1001\t1001");
  CHECK(field(status, "Gid") == "2002\t2002\t2002\t2002");
  CHECK(field(status, "Groups") == "2002 3003 ");
  CHECK(field(status, "CapEff") == "0000000000000000");
  CHECK(field(status, "CapPrm") == "0000000000000000");
  CHECK(field(status, "CapBnd") == "00000000a80425fb");
  CHECK(field(status, "NoNewPrivs") == "1");
  CHECK(field(status, "Seccomp") == "2");
}

TEST_CASE("dropped rights are gone", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec = fixture.container("main", "cat /proc/self/status");
  spec.capabilities = 1U << 10U;  // NET_BIND_SERVICE
  const auto status = fixture.output_of(spec);
  CHECK(field(status, "CapBnd") == "0000000000000400");
  CHECK(field(status, "CapInh") == "0000000000000000");
  CHECK(field(status, "CapAmb") == "0000000000000000");
  CHECK(field(status, "CapEff") == "0000000000000400");
}

TEST_CASE("nothing of the machine leaks into the container", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  SECTION("descriptors: only the streams, and 3 is ls itself") {
    CHECK(fixture.output_of("ls /proc/self/fd") == "0\n1\n2\n3\n");
    CHECK(fixture.output_of("readlink /proc/self/fd/0") == "/dev/null\n");
  }
  SECTION("processes: pid 1 is the program, there is no other") {
    CHECK(fixture.output_of("echo $$ /proc/[0-9]*") == "1 /proc/1\n");
  }
  SECTION("files: the root is the image's, and .. ends there") {
    CHECK(fixture.output_of("ls /../../.. | tr '\\n' ' '") == "bin data dev etc proc sys tmp ");
    CHECK(fixture.output_of("pwd; readlink /proc/1/root") == "/\n/\n");
  }
  SECTION("mounts: none of the machine's") {
    const auto mounts = fixture.output_of("cat /proc/self/mountinfo");
    CHECK_FALSE(contains(mounts, fixture.scratch()));
    CHECK(contains(mounts, " / / "));
  }
  SECTION("environment: only what was given") {
    CHECK(fixture.output_of("env | grep -v -E '^(PATH|SHLVL|PWD)='").empty());
  }
}

TEST_CASE("the daemon's own surroundings do not reach the container", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto before = ::umask(0);
  sigset_t blocked;
  sigset_t mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &mask);
  std::vector<UniqueFd> leaks;
  for (int i = 0; i < 40; ++i)
    leaks.emplace_back(::dup(2));  // not even CLOEXEC
  ::setenv("MOORED_TEST_LEAK", "1", 1);
  const auto out = fixture.output_of(
      "umask; grep SigBlk /proc/self/status; ls /proc/self/fd | tr '\\n' ' '; env | grep LEAK;"
      "ulimit -n");
  ::unsetenv("MOORED_TEST_LEAK");
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  ::umask(before);
  CHECK(out.find("0022\nSigBlk:\t0000000000000000\n0 1 2 3 ") == 0);
  CHECK_FALSE(contains(out, "LEAK"));
}

TEST_CASE("what the kernel shows of itself is masked", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  CHECK(fixture.output_of("cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts | wc -c") ==
        "0\n");
  CHECK(fixture.output_of("ls /sys/firmware | wc -l") == "0\n");
  CHECK(
      fixture.output_of("for p in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/mm "
                        "/proc/irq; do touch $p/x 2>/dev/null; echo h > $p 2>/dev/null && echo $p; "
                        "done; echo end") == "end\n");
}

TEST_CASE("only the usual devices can be opened", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  CHECK(fixture.output_of("echo x > /dev/null && head -c 3 /dev/zero | wc -c") == "3\n");
  CHECK(fixture.output_of("ls /dev | tr '\\n' ' '") ==
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ");
  // Making a node is allowed; opening it is not, by the filter or by the root's own flags.
  for (const char* node : {"c 1 11", "c 1 1", "b 254 0", "b 7 0", "c 10 229"}) {
    INFO(node);
    CHECK(contains(fixture.output_of("mknod /dev/x " + std::string(node) + " && cat /dev/x 2>&1"),
                   "Operation not permitted"));
    CHECK(contains(fixture.output_of("mknod /tmp/x " + std::string(node) + " && cat /tmp/x 2>&1"),
                   "Permission denied"));
  }
}

TEST_CASE("the system call filter refuses what it should", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec = fixture.container("main",
                                "unshare -U true; echo $?; unshare -n true; echo $?;"
                                "mount -t tmpfs t /tmp; echo $?");
  spec.capabilities |= 1ULL << 21U;  // even SYS_ADMIN is needed for neither of the two
  auto plain =
      fixture.container("plain", "unshare -U true; echo $?; mount -t tmpfs t /tmp; echo $?");
  CHECK(fixture.output_of(plain) == "1\n1\n");
  CHECK(contains(fixture.log_text(plain, "stderr"), "not permitted"));
}

TEST_CASE("a root that is read-only still has writable volumes", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string volume = fixture.scratch() + "/volume";
  REQUIRE(make_directories(volume, 0777));
  auto spec = fixture.container("main",
                                "touch /x; echo $?; touch /data/x; echo $?;"
                                "touch /dev/shm/x; echo $?");
  spec.read_only_root = true;
  spec.mounts.push_back({volume, "/data", false, ""});
  CHECK(fixture.output_of(spec) == "1\n0\n0\n");
  CHECK(contains(fixture.log_text(spec, "stderr"), "Read-only"));
  CHECK(path_exists(volume + "/x"));
}

TEST_CASE("a volume that the image declares keeps its content and stays writable", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec = fixture.container("main",
                                "touch /x; echo $?; touch /etc/x; echo $?; ls /etc/passwd;"
                                "touch /made/deep/x; echo $?; touch /made/x; echo $?");
  spec.read_only_root = true;
  spec.mounts.push_back({"", "/etc", false, ""});
  spec.mounts.push_back({"", "/made/deep", false, ""});
  CHECK(fixture.output_of(spec) == "1\n0\n/etc/passwd\n0\n1\n");
}

TEST_CASE("volumes: directories, files, read-only ones and sub-paths", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string volume = fixture.scratch() + "/volume";
  REQUIRE(make_directories(volume + "/inner", 0755));
  REQUIRE(write_file(volume + "/file", "text", true, 0644));
  auto spec = fixture.container("main",
                                "cat /etc/config; touch /ro/x; echo $?; touch /sub/y; echo $?;"
                                "touch /made/z; echo $?; echo more >> /etc/config; echo $?");
  spec.mounts.push_back({volume + "/file", "/etc/config", true, ""});
  spec.mounts.push_back({volume, "/ro", true, ""});
  spec.mounts.push_back({volume, "/sub", false, "inner"});
  spec.mounts.push_back({volume, "/made", false, "new/deep"});
  CHECK(fixture.output_of(spec) == "text1\n0\n0\n1\n");
  CHECK(path_exists(volume + "/inner/y"));
  CHECK(path_exists(volume + "/new/deep/z"));
}

TEST_CASE("a sub-path or mount point never leads out", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string volume = fixture.scratch() + "/volume";
  const std::string canary = fixture.scratch() + "/canary";
  REQUIRE(make_directories(volume));
  REQUIRE(make_directories(canary));
  REQUIRE(::symlink(canary.c_str(), (volume + "/out").c_str()) == 0);
  REQUIRE(::symlink("/", (fixture.rootfs() + "/outside").c_str()) == 0);

  SECTION("sub-paths with .., absolute, or through a link out of the volume") {
    for (const char* sub_path : {"../canary", "/etc", "out", "out/deeper", "a/../../canary"}) {
      auto spec = fixture.container("main", "exit 0");
      spec.mounts.push_back({volume, "/data", false, sub_path});
      INFO(sub_path);
      CHECK_FALSE(fixture.sandbox().create_container(pod.uid, spec));
    }
  }
  SECTION("a link in the image that points to the root stays in the image's root") {
    auto spec = fixture.container("main", "ls /made-here");
    spec.mounts.push_back({volume, "/outside/made-here", false, ""});
    CHECK(fixture.output_of(spec) == "out\n");
    CHECK_FALSE(path_exists("/made-here"));
  }
  SECTION("mounts over the kernel's own view are refused") {
    for (const char* path :
         {"/proc", "/proc/self", "/proc/self/attr", "/proc/sys", "/sys", "/", "relative",
          "/a/../proc"}) {
      auto spec = fixture.container("main", "exit 0");
      spec.mounts.push_back({volume, path, false, ""});
      INFO(path);
      CHECK(fixture.sandbox().create_container(pod.uid, spec).error().code == Code::invalid);
    }
  }
  CHECK(list_directory(canary)->empty());
}

TEST_CASE("an image whose /proc or /dev is a link is refused", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string canary = fixture.scratch() + "/canary";
  REQUIRE(make_directories(canary));
  for (const char* name : {"proc", "sys", "dev"}) {
    const std::string layer = fixture.scratch() + "/layer-" + name;
    REQUIRE(make_directories(layer, 0755));
    REQUIRE(make_directories(layer + "/evil", 0755));
    REQUIRE(::symlink(std::string(name) == "dev" ? canary.c_str() : "evil",
                      (layer + "/" + name).c_str()) == 0);
    auto spec = fixture.container("main", "exit 0");
    spec.lower_directories = {layer, fixture.rootfs()};
    INFO(name);
    const auto made = fixture.sandbox().create_container(pod.uid, spec);
    if (std::string(name) != "dev") CHECK_FALSE(made);
    CHECK(list_directory(canary)->empty());
    static_cast<void>(fixture.sandbox().signal_container(pod.uid, "main", 0, SIGKILL, true));
    if (made) fixture.wait_exit(pod.uid, "main");
    CHECK(fixture.sandbox().remove_container(pod.uid, "main", 0));
  }
}

TEST_CASE("layers: the topmost wins and none is written to", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string top = fixture.scratch() + "/top";
  REQUIRE(make_directories(top + "/etc", 0755));
  REQUIRE(write_file(top + "/etc/name", "top\n", true, 0644));
  REQUIRE(write_file(fixture.rootfs() + "/etc/name", "bottom\n", true, 0644));
  auto spec = fixture.container("main", "cat /etc/name; echo changed > /etc/name; cat /etc/name");
  spec.lower_directories = {top, fixture.rootfs()};
  CHECK(fixture.output_of(spec) == "top\nchanged\n");
  CHECK(*read_file(top + "/etc/name") == "top\n");
}

TEST_CASE("the working directory is inside, made when missing, the user's own", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  auto spec = fixture.container("main", "pwd; stat -c %u:%g .");
  spec.working_directory = "/srv/app";
  spec.uid = 1000;
  spec.gid = 1000;
  CHECK(fixture.output_of(spec) == "/srv/app\n1000:1000\n");
  for (int fd = 3; fd < 24; ++fd) {
    auto hostile = fixture.container("fd-" + std::to_string(fd), "exit 0");
    hostile.working_directory = "/proc/self/fd/" + std::to_string(fd);
    CHECK_FALSE(fixture.sandbox().create_container(fixture.pod().uid, hostile));
  }
}

TEST_CASE("a program that executes or opens the shim meets a sealed copy", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string shim = std::string(MOORED_BIN_DIR) + "/moored-shim";
  const auto before = read_file(shim);
  auto spec = fixture.container("main", "");
  spec.arguments = {"/proc/self/exe"};
  REQUIRE(fixture.sandbox().create_container(pod.uid, spec));
  if (fixture.sandbox().start_container(pod.uid, "main", 0)) {
    CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 2);  // the shim without its argument
  }
  CHECK(*read_file(shim) == *before);
  // The process in front of every exec is this copy; nobody can write to it.
  auto shared = fixture.pod("33333333-0000-0000-0000-000000000000");
  shared.share_process_namespace = true;
  fixture.make_pod(shared);
  const auto out = fixture.output_of("echo x > /proc/1/exe; echo $?");
  CHECK(out == "1\n");
}

TEST_CASE("a container needs a filter that is known, a command and no NUL", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  auto spec = fixture.container("main", "exit 0");
  spec.seccomp_profile = "Localhost";
  CHECK(fixture.sandbox().create_container(pod.uid, spec).error().code == Code::invalid);
  spec.seccomp_profile = "";
  CHECK(fixture.sandbox().create_container(pod.uid, spec).error().code == Code::invalid);
  spec = fixture.container("main", "exit 0");
  spec.arguments = {};
  CHECK(fixture.sandbox().create_container(pod.uid, spec).error().code == Code::invalid);
  spec = fixture.container("../main", "exit 0");
  CHECK(fixture.sandbox().create_container(pod.uid, spec).error().code == Code::invalid);
  spec = fixture.container("main", "exit 0");
  spec.environment.push_back(std::string("A=\0B", 4));
  CHECK(fixture.sandbox().create_container(pod.uid, spec).error().code == Code::invalid);
}
