// The real Sandbox: pods of this machine through their shims.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "schema/base/result.hpp"
#include "schema/host/confinement.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

struct ShimSandboxOptions {
  std::string run_dir;      // such as /run/moored; becomes a tmpfs of its own
  std::string state_dir;    // such as /var/lib/moored; writable layers lie below it
  std::string cgroup_root;  // such as /moored-1a2b3c
  std::string instance;     // of the state-dir; said to the shims
  std::string shim_path;    // the moored-shim program
  std::string probe_path;   // the moored-probe program
  WorkerUser probe_user;    // whom that becomes
};

// Thread safe across pods; calls on one pod must not overlap, except run_probe. Starts one thread
// that reads from the shims. Pods outlive it.
class ShimSandbox final : public Sandbox {
 public:
  // Prepares run-dir, the cgroup root and a sealed copy of the shim.
  // Errors: denied (not root), unavailable (no cgroups), not_found (no shim program).
  static Result<std::unique_ptr<ShimSandbox>> create(const ShimSandboxOptions& options);
  ~ShimSandbox() override;

  Status create_pod(const PodSandboxSpec& spec, const std::string& net_namespace) override;
  Status create_container(const std::string& uid, const ContainerSpec& spec) override;
  Result<ContainerReport> start_container(const std::string& uid, const std::string& name,
                                          int attempt) override;
  Status signal_container(const std::string& uid, const std::string& name, int attempt, int signal,
                          bool all) override;
  Status remove_container(const std::string& uid, const std::string& name, int attempt) override;
  Status remove_pod(const std::string& uid) override;
  Status update_limits(const std::string& uid, const std::string& container,
                       const CgroupLimits& limits) override;
  Result<CgroupLimits> read_limits(const std::string& uid, const std::string& container) override;
  Result<std::vector<ContainerReport>> list_containers(const std::string& uid) override;
  Result<ProbeResult> run_probe(const std::string& uid, const ProbeRequest& request) override;
  Result<std::vector<SandboxReport>> adopt() override;
  std::vector<SandboxEvent> wait_events(std::chrono::milliseconds timeout) override;

  // Memory in use by a pod (container empty) or a container's latest attempt, in bytes, without
  // the page cache that can be dropped at once.
  Result<std::int64_t> read_memory_bytes(const std::string& uid, const std::string& container);
  // Probes and hooks under way end at once with "unavailable", and so do later ones: the daemon
  // stops, and a hook without an end must not keep it. The shim carries them on.
  void abandon_probes();
  // Processor time of the same since it was made.
  Result<std::chrono::nanoseconds> read_cpu_time(const std::string& uid,
                                                 const std::string& container);
  // For "down": removes the cgroup root and run-dir's mount. Errors: conflict (pods are left).
  Status release();

 private:
  class Impl;
  explicit ShimSandbox(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moored::container
