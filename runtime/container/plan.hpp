// From resolved specs to steps: pure functions of values.
#pragma once

#include <string>
#include <vector>

#include "runtime/cgroup/tree.hpp"
#include "runtime/container/host_step.hpp"
#include "runtime/shim/order.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

// Where things of one daemon lie.
struct Roots {
  std::string run_dir;
  std::string state_dir;
};

// All paths of one pod.
struct PodPaths {
  std::string directory;   // run_dir/pods/<uid>
  std::string shared_memory;
  std::string socket;
  std::string group;  // cgroup, relative to the daemon's root
};
PodPaths pod_paths(const Roots& roots, const std::string& uid, const std::string& qos_class);
// The cgroup of a pod by its class: pods/, pods/burstable/ or pods/besteffort/.
std::string pod_group(const std::string& uid, const std::string& qos_class);

// All paths of one attempt.
struct ContainerPaths {
  std::string directory;  // <pod>/c/<name>/<attempt>
  std::string root;       // where the child mounts its root
  std::string spec;
  std::string writable;  // state_dir/containers/<uid>/<name>-<attempt>: upper and work
  std::string group;
};
ContainerPaths container_paths(const Roots& roots, const PodPaths& pod, const std::string& uid,
                               const std::string& name, int attempt);

// The name of the process that holds a shared pid namespace; no container can be called so.
constexpr const char* kPauseName = ".pause";

// pod.json and back. Errors: corrupt.
std::string format_pod(const PodSandboxSpec& spec, const std::string& net_namespace);
struct PodRecord {
  PodSandboxSpec spec;
  std::string net_namespace;
};
Result<PodRecord> parse_pod(const std::string& text);
// limits.json and back.
std::string format_limits(const CgroupLimits& limits);
Result<CgroupLimits> parse_limits(const std::string& text);

// What makes a pod's sandbox; undone in reverse it removes it.
// Errors: invalid (a name or path that cannot be one, a sysctl that is not the pod's own).
Result<std::vector<HostStep>> plan_pod(const PodSandboxSpec& spec, const std::string& net_namespace,
                                       const Roots& roots);

// What the planner must know of the machine.
struct MachineFacts {
  bool pure_v2 = false;  // the only cgroup hierarchy is v2
  std::uint64_t own_capabilities = 0;
};
// What makes one attempt of a container, up to the point before exec.
// Errors: invalid (duplicate mount points, a mount over /proc or /sys, a missing command …).
Result<std::vector<HostStep>> plan_container(const PodSandboxSpec& pod, const ContainerSpec& spec,
                                             const Roots& roots, const cgroup::Entrance& entrance,
                                             const MachineFacts& facts);
// What the child does, in the order of its reasons.
Result<std::vector<shim::Step>> plan_child(const PodSandboxSpec& pod, const ContainerSpec& spec,
                                           const PodPaths& pod_paths, const ContainerPaths& paths,
                                           const std::string& seccomp_file,
                                           const MachineFacts& facts);
// The holder of a shared pid namespace: an empty root, no rights.
shim::ContainerOrder plan_pause(const ContainerPaths& paths, const cgroup::Entrance& entrance);
// The seccomp program's file for a set of capabilities; empty: none is to be loaded.
std::string seccomp_file(const ContainerSpec& spec, const Roots& roots);

// A DNS label, as names of containers and uids of pods are; they become parts of paths.
bool is_path_word(const std::string& word);
// Why a sysctl may not be set for this pod; empty: it may.
std::string why_sysctl_forbidden(const std::string& name, const PodSandboxSpec& pod);

}  // namespace moored::container
