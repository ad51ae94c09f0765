// Carries host steps out on this machine.
#pragma once

#include <string>

#include "runtime/cgroup/tree.hpp"
#include "runtime/container/host_step.hpp"

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

}  // namespace moored::container
