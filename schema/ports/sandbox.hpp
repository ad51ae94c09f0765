// The agent's hand on containers: a seam of the simulation. The real one speaks to the pod's shim.
#pragma once

#include <cstdint>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/base/time.hpp"

namespace moored {

// cgroup values of a pod or container. Absent means unlimited.
struct CgroupLimits {
  std::int64_t cpu_request_milli = 0;
  std::optional<std::int64_t> cpu_limit_milli;
  std::optional<std::int64_t> memory_limit_bytes;
  std::optional<std::int64_t> pids_limit;
  bool operator==(const CgroupLimits&) const = default;
};

// Everything that is fixed for the life of a pod on this machine. Written to pod.json.
struct PodSandboxSpec {
  std::string uid;
  std::string namespace_name;
  std::string name;
  std::int64_t resource_version = 0;
  std::vector<std::string> owner_uids;
  std::string pod_json;          // the Pod object, so that a lost store can be rebuilt
  std::string hostname;
  std::string qos_class;         // Guaranteed, Burstable, BestEffort: decides the cgroup's parent
  CgroupLimits limits;
  std::string log_directory;
  bool host_network = false;
  bool host_ipc = false;
  bool host_pid = false;
  bool share_process_namespace = false;
  std::map<std::string, std::string> sysctls;
};

struct Mount {
  std::string source;            // host path; empty: what the image has there, writable
  std::string destination;       // path in the container
  bool read_only = false;
  std::string sub_path;          // below source, resolved without leaving it
};

// One attempt of one container, with everything resolved to numbers, paths and bytes.
struct ContainerSpec {
  std::string name;
  int attempt = 0;
  std::string container_id;      // 64 hex digits
  std::vector<std::string> lower_directories;  // image layers, topmost first; or one root directory
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string working_directory = "/";
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  std::uint64_t capabilities = 0;   // bounding set; also permitted and effective for uid 0
  bool no_new_privileges = true;
  bool privileged = false;
  bool read_only_root = false;
  bool mask_paths = true;
  std::string seccomp_profile;      // RuntimeDefault or Unconfined
  std::vector<Mount> mounts;
  CgroupLimits limits;
  int oom_score_adjust = 0;
  std::string log_path;                     // on the host
  std::string termination_message_path;     // on the host, among the mounts; read at the exit
  bool tty = false;
  bool stdin_open = false;
  int stop_signal = 15;
};

enum class ContainerPhase { absent, created, running, exited };

// What the shim knows about one attempt.
struct ContainerReport {
  std::string name;
  int attempt = 0;
  std::string container_id;
  ContainerPhase phase = ContainerPhase::absent;
  std::int32_t pid = 0;
  std::optional<Time> started_at;
  std::optional<Time> finished_at;
  int exit_code = 0;
  int signal = 0;
  bool oom_killed = false;
  std::string start_error;           // step and errno text when the program never ran
  std::string termination_message;   // at most 4096 bytes
};

// What is left of a pod on this machine, found at start-up.
struct SandboxReport {
  PodSandboxSpec spec;
  bool shim_alive = false;
  std::vector<ContainerReport> containers;
};

// A probe or hook that runs from inside the pod's network namespace.
struct ProbeRequest {
  enum class Type { exec, http, tcp, grpc } type = Type::exec;
  std::string container;
  std::vector<std::string> command;   // exec
  std::string host;                   // empty: the pod itself
  int port = 0;
  std::string path;
  bool https = false;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string service;                // grpc
  std::chrono::milliseconds timeout{1000};
};
struct ProbeResult {
  enum class Outcome { success, failure, unknown } outcome = Outcome::unknown;
  std::string output;                 // at most 10 KiB
  int exit_code = 0;                  // exec: of the program
};

// Told from the shim's connection when a container ends or a shim is lost.
struct SandboxEvent {
  enum class Type { exited, oom, shim_lost } type = Type::exited;
  std::string uid;
  ContainerReport container;
};

// Verbs on sandboxes. All are idempotent by uid, container name and attempt; calls on one pod must
// not overlap, except run_probe: a probe or hook that hangs must not hold up a kill, so it may
// overlap with anything, other probes of its pod included. Thread safe across pods.
class Sandbox {
 public:
  virtual ~Sandbox() = default;
  // Makes the pod's directory, cgroup and namespaces, and starts its shim. net_namespace is the
  // pinned path made by PodNetwork; empty with host_network.
  virtual Status create_pod(const PodSandboxSpec& spec, const std::string& net_namespace) = 0;
  // Sets the container up to the point before exec; durable when it returns.
  virtual Status create_container(const std::string& uid, const ContainerSpec& spec) = 0;
  // Releases it. Success means execve succeeded. Errors: invalid with the failing step.
  virtual Result<ContainerReport> start_container(const std::string& uid, const std::string& name,
                                                  int attempt) = 0;
  // Signals pid 1 only, or (all) kills everything in the container's cgroup.
  virtual Status signal_container(const std::string& uid, const std::string& name, int attempt,
                                  int signal, bool all) = 0;
  // Says that an exit was recorded and removes what is left of the attempt.
  virtual Status remove_container(const std::string& uid, const std::string& name, int attempt) = 0;
  // Ends the shim and removes directory, cgroups and mounts. All containers must be exited.
  virtual Status remove_pod(const std::string& uid) = 0;
  // container empty: of the pod itself, here and in read_limits.
  virtual Status update_limits(const std::string& uid, const std::string& container,
                               const CgroupLimits& limits) = 0;
  virtual Result<CgroupLimits> read_limits(const std::string& uid,
                                           const std::string& container) = 0;
  virtual Result<std::vector<ContainerReport>> list_containers(const std::string& uid) = 0;
  // Blocks up to the request's timeout.
  virtual Result<ProbeResult> run_probe(const std::string& uid, const ProbeRequest& request) = 0;
  // What an earlier daemon left: connects to living shims, reports dead ones. Touches nothing.
  virtual Result<std::vector<SandboxReport>> adopt() = 0;
  // Events since the last call, oldest first; waits until one comes or the timeout passes.
  virtual std::vector<SandboxEvent> wait_events(std::chrono::milliseconds timeout) = 0;
};

}  // namespace moored
