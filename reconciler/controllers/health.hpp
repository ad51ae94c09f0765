// Whether what a unit applied is well: the judgement behind its Ready condition. Pure.
#pragma once

#include <string>

#include "reconciler/core/controller.hpp"
#include "schema/model/flux.hpp"

namespace moored {

// Ordered from well to worst.
enum class Health { ready, progressing, failed };

struct HealthReport {
  Health health = Health::ready;
  std::string message;   // names the object and the reason; empty when ready
};

// One object: workloads and pods by their pods, a namespace by its phase, others are ready.
HealthReport judge(const Object& object, const StateView& view);
// A unit: the worst of the objects in its inventory, with at most ten of them named.
HealthReport judge_unit(const Kustomization& unit, const StateView& view);

}  // namespace moored
