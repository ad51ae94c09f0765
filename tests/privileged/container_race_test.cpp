// Starts while somebody exchanges what they look at, many of them, and what they leave.
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <string>
#include <thread>

#include "exchanger.hpp"
#include "runtime/container/namespaces.hpp"
#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace std::chrono_literals;
using moored::test::Exchanger;
using moored::test::SandboxFixture;
using moored::test::tries;

TEST_CASE("a sub-path that is exchanged with a link never leads out", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string volume = fixture.scratch() + "/volume";
  const std::string canary = fixture.scratch() + "/canary";
  REQUIRE(make_directories(volume + "/sub"));
  REQUIRE(make_directories(canary));
  REQUIRE(write_file(canary + "/secret", "secret", true));
  REQUIRE(::symlink(canary.c_str(), (volume + "/link").c_str()) == 0);
  int started = 0;
  int refused = 0;
  {
    const Exchanger exchanger(volume + "/sub", volume + "/link");
    for (int i = 0; i < tries(300); ++i) {
      auto spec = fixture.container("main", "ls /data; touch /data/mark", i);
      spec.mounts.push_back({volume, "/data", false, "sub/inner"});
      if (!fixture.sandbox().create_container(pod.uid, spec)) {
        ++refused;
        continue;
      }
      ++started;
      REQUIRE(fixture.sandbox().start_container(pod.uid, "main", i));
      fixture.wait_exit(pod.uid, "main", i);
      CHECK(fixture.log_text(spec).find("secret") == std::string::npos);
      REQUIRE(fixture.sandbox().remove_container(pod.uid, "main", i));
    }
  }
  CHECK(started + refused == tries(300));
  CHECK(refused > 0);  // or nobody exchanged anything
  CHECK(*list_directory(canary) == std::vector<std::string>{"secret"});
}

TEST_CASE("a mount point in a shared volume that is exchanged never leads out", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string volume = fixture.scratch() + "/volume";
  const std::string canary = fixture.scratch() + "/canary";
  const std::string other = fixture.scratch() + "/other";
  REQUIRE(make_directories(volume + "/place"));
  REQUIRE(make_directories(canary));
  REQUIRE(make_directories(other));
  // From inside, the link's target is a directory of the machine and must not be.
  REQUIRE(::symlink(canary.c_str(), (volume + "/link").c_str()) == 0);
  {
    const Exchanger exchanger(volume + "/place", volume + "/link");
    for (int i = 0; i < tries(300); ++i) {
      auto spec = fixture.container("main", "touch /shared/place/x/mark", i);
      spec.mounts.push_back({volume, "/shared", false, ""});
      spec.mounts.push_back({other, "/shared/place/x", false, ""});
      if (!fixture.sandbox().create_container(pod.uid, spec)) continue;
      REQUIRE(fixture.sandbox().start_container(pod.uid, "main", i));
      fixture.wait_exit(pod.uid, "main", i);
      REQUIRE(fixture.sandbox().remove_container(pod.uid, "main", i));
    }
  }
  CHECK(list_directory(canary)->empty());
}

TEST_CASE("the machine's mounts stay as they were after many starts", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const std::string volume = fixture.scratch() + "/volume";
  REQUIRE(make_directories(volume));
  const auto before = fixture.own_mounts();
  std::size_t descriptors = 0;
  for (int i = 0; i < tries(200); ++i) {
    // What all containers share is there from the first one on.
    if (i == 1) descriptors = list_directory("/proc/self/fd")->size();
    auto spec = fixture.container("main", "exit 0", i);
    spec.mounts.push_back({volume, "/data", false, ""});
    fixture.make_and_start(pod.uid, spec);
    fixture.wait_exit(pod.uid, "main", i);
    REQUIRE(fixture.sandbox().remove_container(pod.uid, "main", i));
  }
  CHECK(fixture.own_mounts() == before);
  CHECK(list_directory("/proc/self/fd")->size() == descriptors);
  // The shim's own descriptors stay as few.
  const auto about = read_file(fixture.run_dir() + "/pods/" + pod.uid + "/shim.json");
  const int shim = std::stoi(about->substr(about->find("\"pid\":") + 6));
  CHECK(list_directory("/proc/" + std::to_string(shim) + "/fd")->size() < 16);
  CHECK(list_directory(fixture.scratch() + "/state/containers/" + pod.uid)->empty());
}

TEST_CASE("a daemon that dies at any point of a start leaves nothing that cannot be taken up",
          "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  const auto spec = fixture.container("main", "echo ran; exit 6");
  SECTION("nothing but a directory of the pod") {
    REQUIRE(make_directories(fixture.run_dir() + "/pods/" + pod.uid + "/c/main/0"));
    const auto found = fixture.sandbox().adopt();
    REQUIRE(found->size() == 1);
    CHECK_FALSE(found->at(0).shim_alive);
    CHECK(found->at(0).spec.uid == pod.uid);
    CHECK(found->at(0).containers.empty());
  }
  SECTION("a shim without containers") {
    fixture.make_pod(pod);
    fixture.restart();
    CHECK(fixture.sandbox().adopt()->at(0).shim_alive);
  }
  SECTION("a container that waits for its start") {
    fixture.make_pod(pod);
    REQUIRE(fixture.sandbox().create_container(pod.uid, spec));
    fixture.restart();
    const auto found = fixture.sandbox().adopt();
    REQUIRE(found->at(0).containers.size() == 1);
    CHECK(found->at(0).containers[0].phase == ContainerPhase::created);
  }
  // Doing it all again with the same numbers ends well in every case.
  fixture.make_pod(pod);
  fixture.make_and_start(pod.uid, spec);
  CHECK(fixture.wait_exit(pod.uid, "main").exit_code == 6);
  CHECK(fixture.log_text(spec) == "ran\n");
}

TEST_CASE("several pods at once do not hold one another up", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  constexpr std::size_t kPods = 4;
  std::array<std::string, kPods> errors;
  std::vector<PodSandboxSpec> pods;
  for (std::size_t i = 0; i < kPods; ++i) {
    pods.push_back(fixture.pod(std::to_string(i) + "0000000-0000-0000-0000-000000000000"));
    fixture.make_pod(pods.back());
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kPods; ++i) {
    threads.emplace_back([&, i] {
      for (int attempt = 0; attempt < 5 && errors[i].empty(); ++attempt) {
        auto spec = fixture.container("c" + std::to_string(i), "exit 0", attempt);
        const auto made = fixture.sandbox().create_container(pods[i].uid, spec);
        if (!made) {
          errors[i] = made.error().text();
          break;
        }
        const auto started = fixture.sandbox().start_container(pods[i].uid, spec.name, attempt);
        if (!started) errors[i] = started.error().text();
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < kPods; ++i) {
    CHECK(errors[i] == "");
    for (int attempt = 0; attempt < 5; ++attempt) {
      CHECK(fixture.wait_exit(pods[i].uid, "c" + std::to_string(i), attempt).exit_code == 0);
    }
    CHECK(fixture.sandbox().remove_pod(pods[i].uid));
  }
}

TEST_CASE("run-dir becomes a small mount of its own, once", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const std::string path = fixture.scratch() + "/another";
  const auto count = [&] {
    const auto text = read_file("/proc/self/mountinfo").value_or("");
    std::size_t found = 0;
    for (auto at = text.find(path); at != std::string::npos; at = text.find(path, at + 1))
      ++found;
    return found;
  };
  REQUIRE(container::prepare_run_dir(path));
  REQUIRE(write_file(path + "/kept", "", true));
  REQUIRE(container::prepare_run_dir(path));
  CHECK(count() == 1);
  CHECK(path_exists(path + "/kept"));
  // On a tmpfs already: what is there stays visible.
  REQUIRE(make_directories(path + "/inner"));
  REQUIRE(write_file(path + "/inner/file", "", true));
  REQUIRE(container::prepare_run_dir(path + "/inner"));
  CHECK(path_exists(path + "/inner/file"));
  CHECK(container::release_run_dir(path + "/inner"));
  CHECK(container::release_run_dir(path));
  CHECK(container::release_run_dir(path));
  CHECK(count() == 0);
}
