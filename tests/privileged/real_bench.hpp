// The agent over real shims, with a store, images and a network in memory.
#pragma once

#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>

#include "runtime/agent/log_reader.hpp"
#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"
#include "schema/model/core.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"

namespace moored::test {

// Every pod gets the fixture's one namespace.
class OneNamespace final : public PodNetwork {
 public:
  explicit OneNamespace(std::string path) : path_(std::move(path)) {}
  Result<PodNetworkReport> create(const std::string& uid) override {
    return PodNetworkReport{uid, path_, "127.0.0.1"};
  }
  Status remove(const std::string&) override { return {}; }
  Result<std::vector<PodNetworkReport>> list() override { return std::vector<PodNetworkReport>{}; }
  Result<std::vector<NetworkDrift>> correct(const NetworkModes&) override {
    return std::vector<NetworkDrift>{};
  }
  std::string node_address() const override { return "192.0.2.1"; }

 private:
  std::string path_;
};

// An agent over real shims; time is the machine's own.
class RealBench {
 public:
  RealBench() : network(fixture.net_namespace()) {
    ImageReport image;
    image.name = "busybox:1";
    image.digest = "sha256:" + std::string(64, 'a');
    image.layers = {fixture.rootfs()};
    image.environment = {"PATH=/bin"};
    images.images["busybox:1"] = image;
    restart_daemon();
  }
  ~RealBench() { ::umount2((state_dir() + "/pods").c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }

  std::string state_dir() const { return fixture.scratch() + "/state"; }

  void restart_daemon() {
    agent.reset();
    fixture.restart();
    AgentOptions options;
    options.state_dir = state_dir();
    options.run_dir = fixture.run_dir();
    options.log_dir = fixture.scratch() + "/log";
    options.resolv_conf = fixture.scratch() + "/resolv.conf";
    options.node = read_node_facts("node-1", fixture.scratch());
    options.node.address = "192.0.2.1";
    options.back_off_base = std::chrono::seconds(1);
    options.sweep = sweep;
    agent = std::make_unique<Agent>(
        options, AgentPorts{store, fixture.sandbox(), network, images, store, clock}, executor);
  }

  // Steps until something holds; fails the test after kPatience.
  template <class Condition>
  void until(const std::string& what, Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      agent->step(clock.now());
      if (std::chrono::steady_clock::now() > deadline) FAIL("never came: " << what);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  void apply(Pod pod) {
    fixture.remember(pod.metadata.uid);
    store.put(make_object(std::move(pod)));
  }
  void until_phase(const std::string& name, const std::string& phase) {
    until(name + " " + phase, [&] { return store.pod(name).status.phase == phase; });
  }
  ContainerStatus status(const std::string& name) const {
    const Pod pod = store.pod(name);
    return pod.status.container_statuses.empty() ? ContainerStatus{}
                                                 : pod.status.container_statuses[0];
  }
  std::string log(const std::string& name, int attempt = 0,
                  const std::string& container = "main") const {
    const Pod pod = store.pod(name);
    auto reader = LogReader::open(
        pod_log_directory(fixture.scratch() + "/log", pod.metadata) + "/" + container, attempt, {});
    std::string text;
    while (reader && !reader->at_end()) {
      if (!reader->read_more(text)) break;
    }
    return text;
  }
  // Runs a script in a pod to its end and gives its output.
  std::string output_of(Pod pod) {
    pod.spec.restart_policy = "Never";
    const std::string name = pod.metadata.name;
    apply(std::move(pod));
    until(name + " ends", [&] {
      const auto phase = store.pod(name).status.phase;
      return phase == "Succeeded" || phase == "Failed";
    });
    return log(name);
  }
  void remove(const std::string& name, std::int64_t grace) {
    Pod pod = store.pod(name);
    pod.metadata.deletion_timestamp = clock.now().wall;
    pod.metadata.deletion_grace_period_seconds = grace;
    store.put(make_object(pod));
  }

  SandboxFixture fixture;
  SystemClock clock;
  FakeStore store;
  FakeImages images;
  OneNamespace network;
  InlineExecutor executor;
  Duration sweep = std::chrono::seconds(30);
  std::unique_ptr<Agent> agent;
};

// /bin/sh -c script in the one container, "main".
inline Pod make_script(const std::string& name, const std::string& script) {
  Pod pod = make_pod(name);
  pod.spec.containers[0].command = {"/bin/sh", "-c", script};
  return pod;
}

}  // namespace moored::test
