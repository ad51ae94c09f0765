// The step that ReplicaSet and ReplicationController share: as many pods as are wanted. Pure.
#pragma once

#include "reconciler/core/controller.hpp"
#include "schema/model/apps.hpp"

namespace moored {

// What is wanted of one owner.
struct ReplicasWanted {
  std::int32_t replicas = 1;
  std::int32_t min_ready_seconds = 0;
  LabelSelector selector;
  PodTemplateSpec pod_template;
  std::string component;      // who says so in events
};

// What is there, before the plan.
struct ReplicaCounts {
  std::int32_t replicas = 0;
  std::int32_t fully_labeled = 0;
  std::int32_t ready = 0;
  std::int32_t available = 0;
};

// Adopts and releases, makes missing pods, deletes surplus and finished ones (the cheapest first)
// and asks to be called again when a pod becomes available by time alone.
ReplicaCounts plan_replicas(Plan& plan, const Object& owner, const ReplicasWanted& wanted,
                            const PlanContext& context);

// The status that the counts make, on top of the recorded one.
ReplicaSetStatus make_replica_status(ReplicaSetStatus recorded, const ReplicaCounts& counts,
                                     std::int64_t generation);

// The keys of the owners of a kind that a changed pod concerns: its controller, or those that
// may adopt it.
std::vector<ObjectKey> find_pod_owners(const Object& pod, const Kind& kind, const StateView& view,
                                       LabelSelector (*selector_of)(const Object& owner));

}  // namespace moored
