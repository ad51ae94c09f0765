// What the daemon does on the host for a pod or a container, as data, and how it is undone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

enum class HostStepType {
  directory,      // path, mode. Undone: the tree is removed
  file,           // path, text: written durably. Undone: removed
  group,          // path: cgroup. Undone: everything in it is killed, then it is removed
  limits,         // path: cgroup; limits; leaf
  devices,        // path: cgroup; only the devices that every container has
  shared_memory,  // path: a tmpfs. Undone: unmounted
  shim,           // path: the pod's directory; the shim is started and greeted. Undone: ended
  sysctls,        // path: the pod's directory; list: "name=value", in the shim's namespaces
  create,         // path: spec.json; text: container; number: attempt. Undone: killed, deleted
};
const char* host_step_name(HostStepType type);

struct HostStep {
  HostStepType type = HostStepType::directory;
  std::string path;
  std::string text;
  std::vector<std::string> list;
  unsigned mode = 0700;
  int number = 0;
  bool leaf = false;
  CgroupLimits limits;
  bool operator==(const HostStep&) const = default;
};
// One line for people and golden files.
std::string describe(const HostStep& step);

// Who carries steps out; tests put a counter here.
class StepHost {
 public:
  virtual ~StepHost() = default;
  // On failure nothing of this step may be left that undo could not find.
  virtual Status carry_out(const HostStep& step) = 0;
  // Must succeed for what was never or only half done.
  virtual Status undo(const HostStep& step) = 0;
};

// Carries the steps out in order. When one fails it and those before it are undone in reverse; the
// error names the step.
Status run_steps(const std::vector<HostStep>& steps, StepHost& host);
// Undoes all steps in reverse, going on after failures, but for files and directories, which stay
// behind one. The first failure is the answer.
Status undo_steps(const std::vector<HostStep>& steps, StepHost& host);

}  // namespace moored::container
