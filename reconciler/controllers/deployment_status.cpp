// The status of a Deployment: counts, Available and Progressing.
#include <utility>

#include "reconciler/controllers/deployment_state.hpp"
#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"

namespace moored {
namespace {

// Pods being deleted count for nothing here.
void add_counts(DeploymentStatus& status, const OwnedSet& set) {
  status.replicas += set.count.pods;
  status.ready_replicas += set.ready;
  status.available_replicas += set.count.available;
}

// The counts of all sets, with the recorded conditions.
DeploymentStatus count(const DeploymentState& state) {
  DeploymentStatus status;
  status.observed_generation = state.deployment.metadata.generation;
  status.conditions = state.deployment.status.conditions;
  for (const OwnedSet& set : state.sets) add_counts(status, set);
  if (state.newest) {
    add_counts(status, *state.newest);
    status.updated_replicas = state.newest->count.pods;
  }
  std::int32_t total = 0;
  for (const OwnedSet& set : state.sets) total += set.count.replicas;
  if (state.newest) total += state.newest->count.replicas;
  status.unavailable_replicas = std::max(total - status.available_replicas, 0);
  return status;
}

// A condition with the extra time that Deployments carry. Unchanged ones are left as they are.
void set_timed(DeploymentStatus& status, Condition next, Time now) {
  const Condition* before = find_condition(status.conditions, next.type);
  if (before != nullptr && before->status == next.status && before->reason == next.reason &&
      before->message == next.message) {
    return;
  }
  const bool moved = before == nullptr || before->status != next.status;
  next.last_transition_time = moved ? std::optional<Time>(now) : before->last_transition_time;
  next.last_update_time = now;
  drop_condition(status.conditions, next.type);
  status.conditions.push_back(std::move(next));
}

// Enough means: as many as a rollout would leave at any moment.
void set_available(DeploymentStatus& status, const RolloutBounds& bounds, Time now) {
  const bool enough = status.available_replicas >= bounds.replicas - bounds.unavailable;
  set_timed(status,
            make_condition("Available", enough ? "True" : "False",
                           enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                           enough ? "Deployment has minimum availability."
                                  : "Deployment does not have minimum availability."),
            now);
}

// Whether the counts moved towards the goal since they were last recorded.
bool is_progressing(const DeploymentStatus& before, const DeploymentStatus& now) {
  return now.updated_replicas > before.updated_replicas ||
         now.replicas - now.updated_replicas < before.replicas - before.updated_replicas ||
         now.ready_replicas > before.ready_replicas ||
         now.available_replicas > before.available_replicas;
}

// Source: the conditions of Kubernetes' deployment controller. Progress is any count that moved
// towards the goal; without any, the deadline runs from the last one.
void report_progress(Plan& plan, const DeploymentState& state, DeploymentStatus& status,
                     Time now) {
  const auto& spec = state.deployment.spec;
  const auto& before = state.deployment.status;
  const Condition* progress = find_condition(status.conditions, "Progressing");
  const std::string set = state.newest ? state.newest->next.metadata.name : std::string();
  const bool settled = progress != nullptr && progress->reason == "NewReplicaSetAvailable";
  if (is_complete(state, status)) {
    if (!settled) {
      set_progress(status, "True", "NewReplicaSetAvailable",
                   "ReplicaSet \"" + set + "\" has successfully progressed.", now);
    }
    return;
  }
  if (settled && status.replicas == status.updated_replicas) return;  // a pod was lost, no rollout
  if (is_progressing(before, status) || progress == nullptr || settled) {
    set_progress(status, "True", "ReplicaSetUpdated",
                 "ReplicaSet \"" + set + "\" is progressing.", now);
    progress = find_condition(status.conditions, "Progressing");
  }
  if (!spec.progress_deadline_seconds || progress->reason == "ProgressDeadlineExceeded") return;
  const Time due = progress->last_update_time.value_or(now) +
                   std::chrono::seconds(*spec.progress_deadline_seconds);
  if (due > now) {
    plan.requeues.push_back({state.object.key(), due - now});
  } else {
    set_progress(status, "False", "ProgressDeadlineExceeded",
                 "ReplicaSet \"" + set + "\" has timed out progressing.", now);
  }
}

}  // namespace

void set_progress(DeploymentStatus& status, const std::string& truth, const std::string& reason,
                  const std::string& message, Time now) {
  const Condition* before = find_condition(status.conditions, "Progressing");
  Condition next = make_condition("Progressing", truth, reason, message);
  const bool moved = before == nullptr || before->status != truth;
  next.last_transition_time = moved ? std::optional<Time>(now) : before->last_transition_time;
  next.last_update_time = now;
  drop_condition(status.conditions, "Progressing");
  status.conditions.push_back(std::move(next));
}

bool is_complete(const DeploymentState& state, const DeploymentStatus& status) {
  const std::int32_t replicas = state.bounds.replicas;
  return state.newest && status.updated_replicas == replicas && status.replicas == replicas &&
         status.available_replicas == replicas;
}

DeploymentStatus plan_deployment_status(Plan& plan, const DeploymentState& state,
                                        const PlanContext& context) {
  const Time now = stamp(context.now);
  DeploymentStatus status = count(state);
  set_available(status, state.bounds, now);
  if (!state.deployment.spec.paused) report_progress(plan, state, status, now);
  return status;
}

}  // namespace moored
