// From a fact to a plan: the only way in which the outside changes recorded state. Pure.
#pragma once

#include "reconciler/core/controller.hpp"
#include "reconciler/diff/commit.hpp"

namespace moored {

struct ReduceOptions {
  PruneBudget prune;
  std::vector<std::string> confirmed_revisions;  // prunes an operator has confirmed
  ComparisonMemo* memo = nullptr;                // the loop's; see plan_commit
};

// TreeLoaded: diffs against the inventory, puts, prunes (or holds), sets the unit's conditions.
// SourceObserved, PodObserved, NodeObserved: status. OperatorActed "confirm": lets a held plan go
// at the next load. Old, superseded and repeated facts give an empty plan.
Plan reduce(const Fact& fact, const PlanContext& context, const ReduceOptions& options);

// The Kustomizations whose deletions are held and that an operator means: by "namespace/name", by a
// revision or at least seven digits of its commit, by both with a space between; empty: all.
std::vector<Object> list_held(const StateView& view, const std::string& subject);

// What must exist before the first fact: the namespaces default, moored-system and
// kube-node-lease, and the objects of the operator's configuration (GitRepository, Kustomization),
// without provenance. Configured objects that are recorded and no longer configured are removed.
// Empty when everything is there already.
Plan plan_start(const std::vector<Object>& configured, const PlanContext& context);

// The Event objects that a plan's notes become: a repeated note raises the count of the one that
// is there. Called by the loop on every plan, in the transaction that records the plan.
std::vector<Write> make_event_writes(const std::vector<EventNote>& notes,
                                     const PlanContext& context);
// Removes the Events that were last seen longest ago, so that this many stay.
Plan plan_event_removal(const StateView& view, std::size_t kept);

}  // namespace moored
