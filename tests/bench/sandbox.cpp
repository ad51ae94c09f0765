// Bench: /bin/true in a sandbox of our own, from nothing to reaped; then everything is removed.
//
//   bench-sandbox SHIM ROOT RUN SCRATCH CGROUP COUNT
//
// ROOT is an unpacked image, RUN and SCRATCH are empty directories for what a reboot may lose and
// for what it may not, CGROUP is a cgroup root that nobody uses (/moored-bench-1). Prints wall
// milliseconds to the reaped process of each run, one a line; the first one is not told.
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

struct Places {
  std::string root, run, scratch;
};

// Wall time until the end of the program is known.
Result<Clock::duration> run_once(Sandbox& sandbox, const Places& places, const std::string& uid) {
  const auto began = Clock::now();
  const std::string pin = places.run + "/net-" + uid;
  MOORED_CHECK(net::make_namespace(pin, [] { return Status(); }));
  PodSandboxSpec pod;
  pod.uid = uid;
  pod.namespace_name = "default";
  pod.name = pod.hostname = "bench";
  pod.qos_class = "BestEffort";
  pod.log_directory = places.scratch + "/log";
  MOORED_CHECK(sandbox.create_pod(pod, pin));
  MOORED_CHECK(sandbox.create_container(uid, true_container(places.root, places.scratch)));
  MOORED_TRY(const auto started, sandbox.start_container(uid, "main", 0));
  static_cast<void>(started);
  MOORED_CHECK(wait_exit(sandbox, uid));
  const auto took = Clock::now() - began;
  MOORED_CHECK(sandbox.remove_container(uid, "main", 0));
  MOORED_CHECK(sandbox.remove_pod(uid));
  MOORED_CHECK(net::remove_pin(pin));
  return took;
}

Status run_all(char** words, int count) {
  const Places places{words[2], words[3], words[4]};
  container::ShimSandboxOptions options;
  options.shim_path = words[1];
  options.run_dir = places.run + "/moored";
  options.state_dir = places.scratch + "/state";
  options.cgroup_root = words[5];
  options.instance = "bench0";
  MOORED_TRY(auto sandbox, container::ShimSandbox::create(options));
  Status result;
  for (int i = 0; result && i <= count; ++i) {
    const std::string uid = "00000000-0000-0000-0000-" + std::to_string(100'000'000'000 + i);
    const auto took = run_once(*sandbox, places, uid);
    if (!took) result = Unexpected(took.error());
    using Milliseconds = std::chrono::duration<double, std::milli>;
    if (took && i > 0) std::cout << Milliseconds(*took).count() << "\n";
  }
  const auto released = sandbox->release();
  sandbox.reset();
  static_cast<void>(container::release_run_dir(options.run_dir));
  return result ? released : result;
}

}  // namespace
}  // namespace moored

int main(int argc, char** argv) {
  if (argc != 7) {
    std::cerr << "usage: bench-sandbox SHIM ROOT RUN SCRATCH CGROUP COUNT\n";
    return 2;
  }
  const auto done = moored::run_all(argv, std::atoi(argv[6]));
  if (!done) std::cerr << done.error().text() << "\n";
  return done ? 0 : 1;
}
