// What the agent does for drift: which pods are looked at, and what is done to them.
#include "runtime/agent/agent_parts.hpp"
#include "runtime/agent/drift_watch.hpp"
#include "runtime/agent/pod_action.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/model/recovered.hpp"

namespace moored {

DriftMode Agent::drift_mode(const Entry& entry) const {
  return get_drift_mode(entry.pod().metadata.annotations, options_.drift);
}

// A pod that comes or goes is changed by ourselves.
bool Agent::is_looked_at(const Entry& entry) const {
  const bool leaving = entry.vanished || entry.foreign || entry.memory.stop_since ||
                       entry.pod().metadata.deletion_timestamp;
  return !entry.gone && !leaving && entry.memory.sandbox == agent::SandboxStage::ready &&
         drift_mode(entry) != DriftMode::off;
}

agent::DriftSubjects Agent::list_subjects() const {
  agent::DriftSubjects subjects;
  for (const auto& [uid, entry] : pods_) {
    subjects[uid] = {entry.object, drift_mode(entry), is_looked_at(entry)};
  }
  return subjects;
}

// ---- looks ----

// A hint of the kernel may be about a group's values: those are compared, too.
void Agent::look_when_due(Now now) {
  drift_->take_hints(now);
  for (const auto& uid : drift_->look_when_due(now)) {
    auto& entry = pods_.at(uid);
    entry.limits_due = true;
    submit_upkeep(entry);
  }
}

// Looks at everything: for what no event tells, and for events that were missed.
void Agent::sweep(Now now) {
  if (next_sweep_ && now.mono < *next_sweep_) return;
  next_sweep_ = now.mono + options_.sweep;
  report_node(now);
  for (auto& [uid, entry] : pods_) {
    if (entry.gone || entry.memory.sandbox != agent::SandboxStage::ready) continue;
    entry.limits_due = true;  // also for what a volume may hold
    submit_upkeep(entry);
  }
  drift_->look_at_all();
}

void Agent::take_look(const agent::DriftNews& news, Now now) {
  for (const auto& restart : drift_->take(news, now)) {
    auto& entry = pods_.at(restart.uid);
    entry.restarts.insert(restart.container);
    entry.dirty = true;
  }
}

// Volumes that changed and cgroup values that are due, when nothing else is done to the pod.
void Agent::submit_upkeep(Entry& entry) {
  if (entry.memory.busy || entry.memory.sandbox != agent::SandboxStage::ready) return;
  // After a lost store what a volume should hold is not known before Git was read.
  if (is_recovered(entry.object.meta())) entry.volumes_stale = false;
  if (!entry.volumes_stale && !entry.limits_due) return;
  const bool volumes = std::exchange(entry.volumes_stale, false);
  const bool limits = std::exchange(entry.limits_due, false);
  const agent::ActorPod pod{entry.object, entry.memory.address, {}, entry.memory.sandboxes_made};
  const DriftMode mode = drift_mode(entry);
  std::vector<std::string> running;
  for (const auto& [name, of] : entry.memory.containers) {
    if (of.stage == agent::ContainerStage::running) running.push_back(name);
  }
  entry.memory.busy = true;
  executor_.submit(Executor::Lane::work, [shared = shared_, pod, volumes, limits, running, mode] {
    News news;
    news.uid = pod.object.meta().uid;
    news.batch = true;
    if (volumes) {
      auto done = shared->actor.refresh_volumes(pod);
      if (!done) news.error = std::move(done).error();
    }
    if (limits && mode != DriftMode::off) {
      auto found =
          shared->actor.compare_group_limits(pod, running, mode == DriftMode::correct);
      if (found) {
        news.limits = *std::move(found);
      } else {
        news.error = std::move(found).error();
      }
    }
    if (limits) news.exceeded = shared->volumes.find_exceeded(pod.object.as<Pod>());
    shared->put(std::move(news));
  });
}

// What only a new attempt puts right: the container is ended, and its restart policy does the rest.
void Agent::submit_restarts(Entry& entry) {
  if (entry.restarts.empty() || entry.memory.busy || !is_looked_at(entry)) return;
  std::vector<agent::Action> actions;
  for (const auto& name : std::exchange(entry.restarts, {})) {
    auto& of = entry.memory.containers[name];
    if (of.stage != agent::ContainerStage::running) continue;
    of.killed_by_us = true;
    agent::Action action;
    action.type = agent::Action::Type::kill;
    action.container = name;
    action.attempt = of.attempt;
    actions.push_back(action);
  }
  if (actions.empty()) return;
  entry.memory.busy = true;
  submit(entry, actions);
}

}  // namespace moored
