#include "reconciler/core/reduce.hpp"

#include <algorithm>
#include <utility>

#include "reconciler/core/identity.hpp"
#include "reconciler/core/reduce_parts.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

Plan reduce_event(const EventObserved& fact) {
  Plan plan;
  plan.events.push_back(
      {fact.object, fact.warning, fact.reason, fact.message, fact.component});
  return plan;
}

// Sends each fact to its part.
struct Dispatch {
  const PlanContext& context;
  const ReduceOptions& options;

  Plan operator()(const SourceObserved& fact) const { return reduce_source(fact, context); }
  Plan operator()(const TreeLoaded& fact) const { return reduce_tree(fact, context, options); }
  Plan operator()(const PodObserved& fact) const { return reduce_pod(fact, context); }
  Plan operator()(const NodeObserved& fact) const { return reduce_node(fact, context); }
  Plan operator()(const EventObserved& fact) const { return reduce_event(fact); }
  Plan operator()(const DriftObserved& fact) const { return reduce_drift(fact, context); }
  Plan operator()(const OperatorActed& fact) const { return reduce_operator(fact, context); }
  Plan operator()(const ProxyApplied& fact) const { return reduce_proxy(fact, context); }
};

// They hold what is declared nowhere: sources, defaults, the node's lease.
void start_namespaces(Plan& plan, const PlanContext& context) {
  for (const char* name : {"default", "kube-node-lease", "moored-system"}) {
    if (context.view.find(key_of<Namespace>({}, name))) continue;
    Namespace space;
    space.metadata.name = name;
    space.status.phase = "Active";
    plan.put(make_recorded(make_object(std::move(space)), context), "exists from the start");
  }
}

// The operator's word beats a repository's: what is configured belongs to the configuration.
void start_configured(Plan& plan, const Object& configured, const PlanContext& context) {
  const auto recorded = context.view.find(configured.key());
  if (!recorded) {
    return plan.put(make_recorded(configured.with_provenance({}), context), "configured");
  }
  const auto merged = make_merged(configured, *recorded);
  const bool owned = recorded->provenance() == Provenance{};
  if (!merged || (owned && diff(*recorded, *merged, false).empty())) return;
  plan.put(merged->with_provenance({}), "configured");
}

// Sources and units that an earlier configuration made and this one does not name.
void drop_unconfigured(Plan& plan, const std::vector<Object>& configured,
                       const PlanContext& context) {
  for (const Kind* kind : {&kind_of<Kustomization>(), &kind_of<GitRepository>()}) {
    for (const Object& recorded : context.view.list(*kind)) {
      if (!recorded.provenance().unit.empty()) continue;
      const bool named = std::any_of(
          configured.begin(), configured.end(),
          [&](const Object& object) { return object.key() == recorded.key(); });
      if (!named) plan.remove(recorded.key(), "no longer configured; what it applied stays");
    }
  }
}

}  // namespace

Plan reduce(const Fact& fact, const PlanContext& context, const ReduceOptions& options) {
  return std::visit(Dispatch{context, options}, fact);
}

Plan plan_start(const std::vector<Object>& configured, const PlanContext& context) {
  Plan plan;
  start_namespaces(plan, context);
  for (const Object& object : configured) start_configured(plan, object, context);
  drop_unconfigured(plan, configured, context);
  return plan;
}

}  // namespace moored
