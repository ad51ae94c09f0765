// The state machine of a pod: from what is desired and remembered to what is to be done. Pure.
#pragma once

#include <optional>
#include <vector>

#include "runtime/agent/pod_memory.hpp"

namespace moored::agent {

// Names and numbers of the node that decisions depend on.
struct PlanOptions {
  std::string host_ip;
  Duration back_off_base = std::chrono::seconds(10);
  Duration back_off_cap = std::chrono::seconds(300);
};

// The recorded pod, and whether its object is still there.
struct PodDesired {
  const Pod& pod;            // as recorded last, status included
  bool vanished = false;     // the store does not know it any more
  bool foreign = false;      // it was found on the machine and nobody ever asked for it
};

struct PodPlan {
  PodMemory memory;                 // what to remember from here on
  std::vector<Action> actions;
  PodStatus status;
  std::vector<Note> notes;
  std::optional<MonoTime> wake;     // look again then; nothing: only news changes anything
  bool gone = false;                // nothing of the pod is left: forget it
};

// Decides what to do next. Planning again with the memory that it returns, at the same time, gives
// no actions.
PodPlan plan_pod(const PodDesired& desired, const PodMemory& memory, Now now,
                 const PlanOptions& options);

// Takes the end of an action into the memory; gives the news it makes.
std::vector<Note> absorb(const PodDesired& desired, PodMemory& memory, const Outcome& outcome,
                         Now now, const PlanOptions& options);

// Takes the end of a container into the memory. Known or foreign attempts change nothing.
// True when it is news.
bool absorb_exit(const Pod& pod, PodMemory& memory, const ContainerReport& report, Now now);

// The pod's shim is gone: every container that ran is lost with it.
void absorb_loss(const Pod& pod, PodMemory& memory, Now now);

// What to remember of a pod at the first sight of it: from its recorded status, and from what
// an earlier daemon left on the machine (nullptr: nothing).
PodMemory recall(const Pod& pod, const SandboxReport* found, Now now);

// The delay of the restart after an exit, and whether it has to be waited for.
// Source: first restart at once, then base, doubled up to cap; forgotten after two times the cap.
struct BackOff {
  Duration delay{};                 // to remember when the restart happens
  std::optional<MonoTime> until;    // wait until then
  Duration waiting{};               // the delay that is being waited
};
BackOff plan_back_off(const ContainerMemory& memory, MonoTime now, const PlanOptions& options);

}  // namespace moored::agent
