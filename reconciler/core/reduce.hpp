// From a fact to a plan: the only way in which the outside changes recorded state. Pure.
#pragma once

#include "reconciler/core/controller.hpp"

namespace moored {

// Limits of what a commit may take away at once.
struct PruneBudget {
  std::size_t min_objects = 10;   // below this count a prune is never held
  double max_share = 0.5;         // of the unit's inventory
};

struct ReduceOptions {
  PruneBudget prune;
  std::vector<std::string> confirmed_revisions;  // prunes an operator has confirmed
};

// TreeLoaded: diffs against the inventory, puts, prunes (or holds), sets the unit's conditions.
// PodObserved, NodeObserved, SourceObserved: status. EventObserved: a counted Event object.
Plan reduce(const Fact& fact, const PlanContext& context, const ReduceOptions& options);

}  // namespace moored
