// Carries host steps out on this machine.
#pragma once

#include <string>

#include "runtime/cgroup/tree.hpp"
#include "runtime/container/host_step.hpp"
#include "schema/host/spawn.hpp"

namespace moored::container {

// What the steps about shims need; the sandbox keeps the connections.
class ShimControl {
 public:
  virtual ~ShimControl() = default;
  virtual Status start_shim(const std::string& pod_directory) = 0;
  virtual Status end_shim(const std::string& pod_directory) = 0;
  virtual Status create_container(const HostStep& step) = 0;
  virtual Status delete_container(const HostStep& step) = 0;
};

class Machine final : public StepHost {
 public:
  Machine(cgroup::Tree& tree, ShimControl& shims) : tree_(tree), shims_(shims) {}
  Status carry_out(const HostStep& step) override;
  Status undo(const HostStep& step) override;

 private:
  cgroup::Tree& tree_;
  ShimControl& shims_;
};

// The sealed copy of the shim program that all pods share, and the start of one.
class ShimProgram {
 public:
  // Errors: not_found (no such program), exhausted.
  static Result<ShimProgram> create(const std::string& path);
  // Starts the shim of a pod's directory, outside of the pod's cgroup, and waits until it serves.
  // The process is reaped by whoever holds the returned child.
  Result<Child> start(const std::string& pod_directory, cgroup::Tree& tree) const;

 private:
  explicit ShimProgram(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace moored::container
