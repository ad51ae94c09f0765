// The parts of reduce, one for each group of facts. Internal to core.
#pragma once

#include "reconciler/core/plan.hpp"

namespace moored {

struct PlanContext;
struct ReduceOptions;

Plan reduce_source(const SourceObserved& fact, const PlanContext& context);
Plan reduce_tree(const TreeLoaded& fact, const PlanContext& context, const ReduceOptions& options);
Plan reduce_pod(const PodObserved& fact, const PlanContext& context);
Plan reduce_node(const NodeObserved& fact, const PlanContext& context);
Plan reduce_drift(const DriftObserved& fact, const PlanContext& context);
Plan reduce_operator(const OperatorActed& fact, const PlanContext& context);
Plan reduce_proxy(const ProxyApplied& fact, const PlanContext& context);

}  // namespace moored
