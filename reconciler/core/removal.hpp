// How each kind leaves the store: at once, or in steps that others have to follow.
#pragma once

#include "reconciler/core/controller.hpp"

namespace moored {

// Whether the object's controlling owner is gone (or was replaced by one with another uid).
bool is_orphaned(const ObjectMeta& meta, const StateView& view);

// Starts the end of an object. A bound pod gets a deletionTimestamp and its grace period, for the
// agent to follow; a Namespace and a pruning Kustomization get a deletionTimestamp, for their
// controllers; everything else is removed. Nothing happens to what is on its way out already.
void plan_removal(Plan& plan, const Object& object, const PlanContext& context,
                  const std::string& reason);

}  // namespace moored
