// What the agent's source files share. Private to runtime/agent.
#pragma once

#include <set>

#include "runtime/agent/agent.hpp"
#include "runtime/agent/drift_watch.hpp"
#include "runtime/agent/pod_actor.hpp"
#include "runtime/agent/pod_memory.hpp"
#include "runtime/agent/volumes.hpp"
#include "schema/base/guarded.hpp"
#include "schema/host/unique_fd.hpp"
#include "schema/ports/fact.hpp"

namespace moored {

namespace agent {
struct PlanOptions;
struct PodDesired;
}  // namespace agent

// One pod of this node.
struct Agent::Entry {
  Object object;              // Pod, as recorded last
  bool vanished = false;      // the store does not know it any more
  bool foreign = false;       // found on the machine, never asked for
  bool gone = false;          // removed and reported; waits for the store to forget it
  bool dirty = true;          // something changed: plan at once
  bool volumes_stale = false; // a ConfigMap or Secret it mounts has changed
  bool limits_due = false;    // the sweep wants its cgroup values looked at
  std::set<std::string> restarts;  // containers that only a restart puts right
  std::optional<MonoTime> wake;
  agent::PodMemory memory;
  PodStatus posted;           // what the store was told last

  const Pod& pod() const { return object.as<Pod>(); }
  agent::PodDesired desired() const;
};

// What a job reports back.
struct Agent::News {
  std::string uid;                       // empty: of the node
  std::vector<agent::Outcome> outcomes;
  bool batch = false;                    // the pod's batch of work is over
  std::optional<std::vector<DriftRecord>> limits;  // cgroup values that differ
  std::optional<agent::DriftNews> look;  // at pods or at the network
  std::optional<std::string> exceeded;   // a volume that holds too much, as words of an eviction
  std::optional<Error> error;            // upkeep that failed, for the log
};

// What jobs use: kept alive by them, so that the agent may go while one of them still waits.
struct Agent::Shared {
  Shared(const AgentOptions& options, const AgentPorts& ports);

  // Hands in a piece of news and wakes the agent.
  void put(News news);
  void wake() const;

  agent::VolumeStore volumes;
  agent::PodActor actor;
  UniqueFd signal;                                  // eventfd
  Guarded<std::vector<News>> news;
  Guarded<std::vector<SandboxEvent>> events;        // from the thread that waits for them
  std::atomic<bool> images_changed{false};
  Guarded<std::set<std::string>> settled_images;    // references whose pull has ended
  // Left by an earlier daemon and not yet claimed by a recorded pod; of the agent's thread.
  std::map<std::string, SandboxReport> found;
  // Addresses that pods of an earlier daemon have, by uid. Its last status may not have said so.
  std::map<std::string, std::string> addresses;
};

agent::PlanOptions make_plan_options(const AgentOptions& options);

}  // namespace moored
