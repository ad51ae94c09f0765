// The files between daemon and shim: what to run, and what became of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/shim/record.hpp"
#include "runtime/shim/step.hpp"
#include "schema/base/result.hpp"

namespace moored::shim {

// Spoken between daemon and shim; a shim serves this version and the one before.
constexpr int kProtocol = 1;

// What a shim needs to know of its pod: sandbox.json in the pod's directory.
struct PodOrder {
  std::string uid;
  std::string directory;                // the pod's run directory
  std::vector<std::string> namespaces;  // "net=<path>" to enter
  std::vector<std::string> new_namespaces;  // "ipc", "uts": the pod's own, which end with the shim
  std::string hostname;                 // of a new uts namespace; empty: the machine's
  bool operator==(const PodOrder&) const = default;
};

// One attempt of one container: the head of spec.json; its steps are the following lines.
struct ContainerOrder {
  std::string name;
  int attempt = 0;
  std::string id;
  std::string directory;                 // of this attempt: state.json, exit.json
  std::string pid_namespace;             // new, host, shared, or pause (new, and shared from then)
  std::string cgroup;                    // v2 directory to be born in; empty: none
  std::vector<std::string> tasks_files;  // of v1 groups, which the process enters by itself
  std::string oom_file;                  // memory.events or memory.oom_control; empty: none
  std::string log_path;                  // empty: output is thrown away
  std::string termination_path;          // host path of the termination message; empty: none
  int oom_score_adjust = 0;
  std::uint32_t uid = 0;  // owner of the standard streams
  std::uint32_t gid = 0;
  bool tty = false;
  bool stdin_open = false;
  std::vector<Step> steps;
  bool operator==(const ContainerOrder&) const = default;
};

// What the shim writes down and reports of an attempt: state.json, exit.json, LIST.
struct ContainerState {
  std::string name;
  int attempt = 0;
  std::string id;
  std::string phase;  // creating, created, running, exited
  std::int32_t pid = 0;
  std::uint64_t start_time = 0;     // of the pid, in clock ticks since boot
  std::int64_t created_micros = 0;  // wall times, microseconds since 1970; 0: not yet
  std::int64_t started_micros = 0;
  std::int64_t finished_micros = 0;
  int code = 0;
  int signal = 0;
  bool oom_killed = false;
  bool acknowledged = false;
  std::string start_error;  // step and reason when the program never ran
  std::string message;      // termination message, at most 4096 bytes
  bool operator==(const ContainerState&) const = default;
};

std::string to_text(const PodOrder& order);
Result<PodOrder> pod_order_from(const std::string& text);
std::string to_text(const ContainerOrder& order);
// Errors: corrupt.
Result<ContainerOrder> container_order_from(const std::string& text);
Record to_record(const ContainerState& state);
ContainerState container_state_from(const Record& record);

}  // namespace moored::shim
