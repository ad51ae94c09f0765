// After the store was lost: what runs is recorded again, and goes only when Git has had its say.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "reconciler/core/controller.hpp"

namespace moored {

struct Node;

// On the Node: True from the loss until every source was read again. Reasons are WaitingForGit,
// WaitingForPods, PruneGuard, Recovered.
inline constexpr std::string_view kRecoveringCondition = "Recovering";
// What `moorctl confirm` is told to let go of pods that nobody asks for after a loss.
inline constexpr std::string_view kRecoveredSubject = "recovered";

// Records pods of this node that the store does not know, with the namespaces they are in and the
// ReplicaSets that their owner references name, all under their old uids and marked as recovered.
// Pods of other controllers lose their owner, so that it adopts them by its selector. What was of
// another machine, whose backup this is, is taken out. loss: what
// happened, in words, for the condition, the event and the person on call.
Plan plan_recovery(const std::vector<Object>& pods, const std::string& loss,
                   const PlanContext& context);

// One step of the way back, for the controller of the Node: waits until every unit was applied and
// the recovered pods were probed, removes what no unit claimed, takes the marks off. Removing more
// than half of many pods, or all of them, waits for a confirmation, as every prune does.
Plan plan_recovered(const Node& node, const Object& recorded, const PlanContext& context);

// Whether what is recorded is not all that is desired yet: rules in the kernel that it would not
// give must stay.
bool is_recovering(const StateView& view, const std::string& node_name);

}  // namespace moored
