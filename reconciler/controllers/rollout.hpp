// The arithmetic of a rollout: how many pods each ReplicaSet of a Deployment may have. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "schema/model/apps.hpp"

namespace moored {

// How far a rollout may go above and below the wanted number.
struct RolloutBounds {
  std::int32_t replicas = 0;
  std::int32_t surge = 0;         // pods above
  std::int32_t unavailable = 0;   // pods below
};

// Percentages as Kubernetes rounds them: surge up, unavailable down; both zero: one unavailable.
RolloutBounds get_bounds(const DeploymentSpec& spec);

// One ReplicaSet in the arithmetic. Pods and available are counted from the pods themselves.
struct SetCount {
  std::int32_t replicas = 0;      // wanted; what the arithmetic changes
  std::int32_t pods = 0;          // active ones
  std::int32_t available = 0;
  std::int32_t max_replicas = 0;  // replicas + surge when it was last scaled; 0: unknown
};

// The number for the new set: up to what surge allows. Pods that are still there count as if their
// set wanted them, so that the total never passes the bound.
std::int32_t plan_new_replicas(const SetCount& new_set, const std::vector<SetCount>& old_sets,
                               const RolloutBounds& bounds);

// Takes replicas from the old sets (oldest first), first those that are not available, then as many
// as keep replicas − unavailable of all available.
void shrink_old_sets(const SetCount& new_set, std::vector<SetCount>& old_sets,
                     const RolloutBounds& bounds);

// Spreads a change of the wanted number over the sets of a rollout under way, in proportion to
// their size; the newest set is the last one. A smaller number takes pods that are not available
// first, whichever set they belong to.
void spread_replicas(std::vector<SetCount>& sets, const RolloutBounds& bounds);

}  // namespace moored
