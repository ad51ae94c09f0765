// A Deployment with its ReplicaSets and their pods, as one decision sees them.
#pragma once

#include <string>
#include <vector>

#include "reconciler/controllers/rollout.hpp"
#include "reconciler/core/controller.hpp"
#include "schema/model/apps.hpp"

namespace moored {

// One ReplicaSet of the Deployment: what is recorded, and what the decision makes of it.
struct OwnedSet {
  Object object;        // as recorded
  ReplicaSet next;      // what will be recorded
  SetCount count;       // count.replicas follows next.spec.replicas
  std::int32_t ready = 0;
  std::int32_t left = 0;  // pods that still exist, those being deleted too
};

struct DeploymentState {
  Object object;
  Deployment deployment;        // becomes what will be recorded
  RolloutBounds bounds;
  std::vector<OwnedSet> sets;   // oldest first, without the new one
  std::optional<OwnedSet> newest;  // the set of the present template
};

// Reads the Deployment's sets and counts their pods.
DeploymentState read_deployment(const Object& object, const PlanContext& context);
// The recorded ReplicaSet with the Deployment's template; with two equal ones the older.
std::optional<Object> find_new_set(const Object& deployment, const StateView& view);
// Whether the recorded status says that this generation is carried out in full. Looks at no set.
bool is_rolled_out(const Deployment& deployment);
// The number of a rollout in an object's annotation; 0: none.
std::int64_t get_revision(const ObjectMeta& meta);

// Computes the status: counts and the conditions Available and Progressing, with Kubernetes'
// reasons; asks to be called again at the progress deadline.
DeploymentStatus plan_deployment_status(Plan& plan, const DeploymentState& state,
                                        const PlanContext& context);
// Whether the present template has replaced all others and every pod is available.
bool is_complete(const DeploymentState& state, const DeploymentStatus& status);
// Puts the Progressing condition in place; its lastUpdateTime moves with every progress.
void set_progress(DeploymentStatus& status, const std::string& truth, const std::string& reason,
                  const std::string& message, Time now);

}  // namespace moored
