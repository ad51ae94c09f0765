// Starting shims from a small process of their own program, never from the daemon.
#pragma once

#include <memory>
#include <string>

#include "runtime/cgroup/tree.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/result.hpp"
#include "schema/host/spawn.hpp"

namespace moored::container {

// The sealed copy of the shim program, and the process that runs it and is copied for each pod. The
// process is made with the first pod and ends with this object, or with the daemon. Thread safe.
class ShimStarter {
 public:
  // pods: the directory that the pods' directories lie in.
  // Errors: not_found (no such program), exhausted.
  static Result<std::unique_ptr<ShimStarter>> create(const std::string& program,
                                                     const std::string& pods, cgroup::Tree& tree);
  ~ShimStarter() { stop(); }

  // A shim that serves: our child, which the holder reaps, and a line that was greeted already.
  struct Born {
    Child child;
    UniqueFd line;
  };
  // Starts the shim of a pod's directory, outside of the pod's cgroup, and waits until it serves.
  Result<Born> start(const std::string& pod_directory);
  // Ends the process, so that its groups are empty; a later start makes a new one.
  void stop();

 private:
  struct Process {
    UniqueFd line;
    Child child;
  };
  ShimStarter(UniqueFd program, std::size_t room, cgroup::Tree& tree)
      : program_(std::move(program)), room_(room), tree_(tree) {}
  Status begin(Process& process) const;
  static void end(Process& process);
  Result<pid_t> copy_process(const std::string& pod_directory, int line);

  UniqueFd program_;
  std::size_t room_;  // bytes of the longest directory
  cgroup::Tree& tree_;
  Guarded<Process> process_;
};

}  // namespace moored::container
