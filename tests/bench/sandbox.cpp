// Bench: /bin/true in a sandbox of our own, from nothing to reaped and removed.
//
//   bench-sandbox SHIM ROOT SCRATCH CGROUP COUNT
//
// ROOT is an unpacked image, SCRATCH an empty directory, CGROUP a cgroup root that nobody uses
// (/moored-bench-1). Prints wall milliseconds of each run, one a line; the first one is not told.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

#include "net/link/namespaces.hpp"
#include "runtime/container/namespaces.hpp"
#include "runtime/container/shim_sandbox.hpp"

namespace moored {
namespace {

constexpr std::chrono::seconds kPatience{20};

using Clock = std::chrono::steady_clock;

Status wait_exit(Sandbox& sandbox, const std::string& uid) {
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    for (const auto& event : sandbox.wait_events(std::chrono::milliseconds(1000))) {
      if (event.uid != uid || event.type != SandboxEvent::Type::exited) continue;
      if (event.container.exit_code == 0) return {};
      return fail(Code::internal, "the program failed");
    }
  }
  return fail(Code::timeout, "the program does not end");
}

ContainerSpec true_container(const std::string& root, const std::string& scratch) {
  ContainerSpec spec;
  spec.name = "main";
  spec.container_id = std::string(64, 'b');
  spec.lower_directories = {root};
  spec.arguments = {"/bin/true"};
  spec.environment = {"PATH=/bin"};
  spec.seccomp_profile = "RuntimeDefault";
  spec.log_path = scratch + "/log/main/0.log";
  return spec;
}

Status run_once(Sandbox& sandbox, const std::string& root, const std::string& scratch,
                const std::string& uid) {
  const std::string pin = scratch + "/net-" + uid;
  MOORED_CHECK(net::make_namespace(pin, [] { return Status(); }));
  PodSandboxSpec pod;
  pod.uid = uid;
  pod.namespace_name = "default";
  pod.name = pod.hostname = "bench";
  pod.qos_class = "BestEffort";
  pod.log_directory = scratch + "/log";
  MOORED_CHECK(sandbox.create_pod(pod, pin));
  MOORED_CHECK(sandbox.create_container(uid, true_container(root, scratch)));
  MOORED_TRY(const auto started, sandbox.start_container(uid, "main", 0));
  static_cast<void>(started);
  MOORED_CHECK(wait_exit(sandbox, uid));
  MOORED_CHECK(sandbox.remove_container(uid, "main", 0));
  MOORED_CHECK(sandbox.remove_pod(uid));
  return net::remove_pin(pin);
}

Status run_all(char** words, int count) {
  const std::string scratch = words[3];
  container::ShimSandboxOptions options;
  options.shim_path = words[1];
  options.run_dir = scratch + "/run";
  options.state_dir = scratch + "/state";
  options.cgroup_root = words[4];
  options.instance = "bench0";
  MOORED_TRY(auto sandbox, container::ShimSandbox::create(options));
  Status result;
  for (int i = 0; result && i <= count; ++i) {
    const std::string uid = "00000000-0000-0000-0000-" + std::to_string(100'000'000'000 + i);
    const auto began = Clock::now();
    result = run_once(*sandbox, words[2], scratch, uid);
    const std::chrono::duration<double, std::milli> took = Clock::now() - began;
    if (result && i > 0) std::cout << took.count() << "\n";
  }
  const auto released = sandbox->release();
  sandbox.reset();
  static_cast<void>(container::release_run_dir(options.run_dir));
  return result ? released : result;
}

}  // namespace
}  // namespace moored

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: bench-sandbox SHIM ROOT SCRATCH CGROUP COUNT\n";
    return 2;
  }
  const auto done = moored::run_all(argv, std::atoi(argv[5]));
  if (!done) std::cerr << done.error().text() << "\n";
  return done ? 0 : 1;
}
