// A sandbox of the test's own: directories, cgroup root, network namespace and a busybox root with
// the program of inside/inside.cpp.
#pragma once

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "runtime/container/shim_sandbox.hpp"

namespace moored::test {

// How long something may take before it counts as never coming. Reached by failing tests only.
inline constexpr std::chrono::seconds kPatience{120};
// How often something is tried: the virtual machine is many times slower.
int tries(int here);

// Everything it makes goes away with it, also when the test fails half way.
class SandboxFixture {
 public:
  SandboxFixture();
  ~SandboxFixture();
  SandboxFixture(const SandboxFixture&) = delete;
  SandboxFixture& operator=(const SandboxFixture&) = delete;

  // Whether this machine and user can run containers at all.
  static bool is_possible();

  Sandbox& sandbox() { return *sandbox_; }
  container::ShimSandbox& shim_sandbox() { return *sandbox_; }
  // The daemon goes away and comes back; pods stay.
  void restart();
  void stop();

  PodSandboxSpec pod(const std::string& uid = "11111111-2222-3333-4444-555555555555") const;
  // /bin/sh -c script
  ContainerSpec container(const std::string& name, const std::string& script,
                          int attempt = 0) const;
  // Makes the pod with its network namespace, remembers it for the end.
  void make_pod(const PodSandboxSpec& spec);
  // Makes sure that a pod made by others goes away at the end.
  void remember(const std::string& uid) { uids_.push_back(uid); }
  void make_and_start(const std::string& uid, const ContainerSpec& spec);
  // Waits for the exit event or state; fails the test after kPatience.
  ContainerReport wait_exit(const std::string& uid, const std::string& name, int attempt = 0);
  // The texts of the log records of one stream, partial ones joined.
  std::string log_text(const ContainerSpec& spec, const std::string& stream = "stdout") const;
  // Waits until the log of the container holds a text.
  std::string wait_log(const ContainerSpec& spec, const std::string& text) const;
  // Makes, starts, waits: the output of a script.
  std::string output_of(const std::string& script);
  std::string output_of(const ContainerSpec& spec);

  const std::string& scratch() const { return scratch_; }
  const std::string& run_dir() const { return options_.run_dir; }
  const std::string& cgroup_root() const { return options_.cgroup_root; }
  const std::string& rootfs() const { return rootfs_; }
  const std::string& net_namespace() const { return net_; }
  // The lines of mountinfo about this fixture; others on the machine mount as they like.
  std::string own_mounts() const;
  // The value of a cgroup file, in whichever hierarchy has it; empty: in none.
  std::string group_value(const std::string& group, const std::string& file) const;
  // The mount points of cgroup hierarchies on this machine.
  static std::vector<std::string> cgroup_mounts();

 private:
  void build_rootfs() const;
  void make_net_namespace() const;
  void kill_leftovers();

  std::string scratch_;
  std::string rootfs_;
  std::string net_;
  container::ShimSandboxOptions options_;
  std::unique_ptr<container::ShimSandbox> sandbox_;
  std::vector<std::string> uids_;
  int next_attempt_ = 0;
};

}  // namespace moored::test

// Says why and leaves when containers cannot run here.
#define NEEDS_CONTAINERS()                                          \
  if (!moored::test::SandboxFixture::is_possible()) {               \
    std::cout << "SKIP: containers need root and busybox-static\n"; \
    return;                                                         \
  }
