// What the agent remembers of a pod on this machine: values only, changed by pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/agent/pod_action.hpp"
#include "schema/base/time.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// One probe of one container.
struct ProbeMemory {
  enum class Verdict { unknown, success, failure };
  Verdict verdict = Verdict::unknown;  // what counts, after the thresholds
  Verdict last = Verdict::unknown;     // the newest single result
  int run = 0;                         // equal results in a row
  bool in_flight = false;
  bool on_hold = false;                // failed for good; waits for a new attempt
  std::optional<MonoTime> next;        // when it runs next
};

// A hook that runs at most once per attempt or stop.
enum class HookStage { none, wanted, running, done };

// A container that is being stopped.
struct StopMemory {
  MonoTime since;
  Duration grace{};
  std::string message;                     // of the Killing event
  HookStage pre_stop = HookStage::none;
  std::optional<MonoTime> hook_due;        // preStop sleep: when it is over
  std::optional<MonoTime> signalled_at;
  std::optional<MonoTime> signal_again;    // the signal did not get through: once more then
  std::optional<MonoTime> kill_due;        // SIGKILL to everything at this time
};

// Why the newest try to start a container did not get as far as a process.
struct StartProblem {
  std::string reason;       // ErrImagePull, CreateContainerConfigError, …
  std::string message;
  MonoTime since;
  MonoTime retry_at;
  Duration delay{};         // what the next failure doubles
  bool backing_off = false; // ErrImagePull turned to ImagePullBackOff
  int failures = 1;         // in a row
};

enum class ContainerStage {
  idle,      // no process; `exit` says how the newest attempt ended, if there was one
  starting,  // a start is under way
  running,
};

struct ContainerMemory {
  ContainerStage stage = ContainerStage::idle;
  int attempt = -1;                                // the newest one; -1: none was ever made
  std::string container_id;                        // of the newest attempt, 64 hex digits
  std::string image;                               // as resolved
  std::string image_id;
  std::string spec_image;                          // as the manifest wrote it at the start
  int stop_signal = 0;                             // 0: not known, ask the image
  std::optional<Time> started_at;
  MonoTime started_mono;
  std::optional<ContainerStateTerminated> exit;    // of the newest attempt
  std::optional<ContainerStateTerminated> earlier; // of the attempt before it
  MonoTime exited_mono;
  std::vector<int> uncollected;                    // ended attempts that the sandbox still holds
  Duration back_off{};                             // delay before the next restart; 0: none yet
  MonoTime back_off_touched;                       // when that delay was last used
  int back_off_noted = -1;                         // attempt whose BackOff event was sent
  std::optional<StartProblem> problem;
  bool pulling = false;                            // the image is being fetched for this attempt
  bool pulling_noted = false;                      // its Pulling event was sent
  bool settled_early = false;                      // the pull ended before we knew of it
  HookStage post_start = HookStage::none;
  std::optional<MonoTime> post_start_due;          // postStart sleep
  std::optional<StopMemory> stop;
  ProbeMemory startup, liveness, readiness;
  bool killed_by_us = false;                       // a kill or stop signal was sent to this attempt
  std::optional<ContainerReport> early_exit;       // ended before its start was reported
};

enum class SandboxStage {
  absent,     // nothing of the pod is on this machine
  ready,      // network, volumes and shim exist
  lost,       // the shim died: what is left has to go before a new one is made
};

// Everything of one pod.
struct PodMemory {
  SandboxStage sandbox = SandboxStage::absent;
  int sandboxes_made = 0;
  bool busy = false;                    // a batch of work is under way
  std::string address;
  std::optional<StartProblem> problem;  // network, volumes or shim could not be made
  std::optional<Time> start_time;
  MonoTime start_mono;
  std::map<std::string, ContainerMemory> containers;
  bool initialized = false;             // every init container has done its part once
  std::optional<MonoTime> stop_since;   // deletion or deadline: the whole pod is stopping
  Duration stop_grace{};
  std::string failed_reason;            // DeadlineExceeded, …; empty: none
  std::string failed_message;
  bool removed = false;                 // nothing of it is left, after it has been here
  PodStatus status;                     // as computed last
};

}  // namespace moored::agent
