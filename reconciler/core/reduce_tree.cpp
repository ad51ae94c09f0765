// A commit arrives as a whole: all of it is recorded in one plan, or none.
#include <algorithm>
#include <utility>

#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/core/reduce_parts.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

constexpr std::string_view kComponent = "kustomize-controller";

// Everything one decision about a tree needs, and the plan it grows.
struct Decision {
  const TreeLoaded& tree;
  const PlanContext& context;
  const Object& object;   // the recorded unit
  Kustomization unit;     // becomes the unit after the decision
  CommitPlan commit;
  Plan plan;

  Time now() const { return stamp(context.now); }
  void set(std::string type, std::string status, std::string reason, std::string message) {
    set_condition(unit.status.conditions,
                  make_condition(std::move(type), std::move(status), std::move(reason),
                                 std::move(message), unit.metadata.generation),
                  now());
  }
  void note(bool warning, std::string reason, std::string message) {
    plan.events.push_back({reference_to(object), warning, std::move(reason), std::move(message),
                           std::string(kComponent)});
  }
  void step(std::string name, Time time, std::string detail = {}) {
    if (time == Time{}) return;
    plan.receipt.push_back({tree.revision, std::move(name), time, std::move(detail)});
  }
};

// The order of the counts is the order of the verbs.
std::string totals(const CommitPlan& commit) {
  std::size_t counts[3] = {0, 0, 0};
  for (const ObjectChange& change : commit.changes) ++counts[static_cast<int>(change.verb)];
  return std::to_string(counts[0]) + " created, " + std::to_string(counts[1]) + " updated, " +
         std::to_string(counts[2]) + " deleted, " + std::to_string(commit.unchanged) +
         " unchanged";
}

// The commit was not taken: the last good one keeps running, the reason is on the unit.
void reject(Decision& d, const std::string& step, const std::string& reason,
            const std::string& message) {
  d.unit.status.last_attempted_revision = d.tree.revision;
  d.unit.status.observed_generation = d.unit.metadata.generation;
  drop_condition(d.unit.status.conditions, "Reconciling");
  d.set("Ready", "False", reason, message);
  d.set("Stalled", "True", reason, d.tree.revision + " was not applied, see Ready");
  if (d.unit.status == d.object.as<Kustomization>().status) return;
  d.step("rendered", d.tree.rendered_at);
  d.step("validated", d.tree.validated_at);
  d.step(step, d.context.now.wall, reason + ": " + message);
  d.note(true, reason, message);
  d.plan.status(make_object(d.unit, d.object.provenance()), step + ": " + reason);
}

// The first error names the reason; the message has all of them.
void refuse(Decision& d) {
  const Diagnostics& diagnostics = d.commit.diagnostics;
  reject(d, "refused", reason_of(diagnostics.errors().front()),
         list_errors(diagnostics.errors(), diagnostics.error_count()));
}

// The additions are held too: the commit is the unit.
void hold(Decision& d) {
  reject(d, "held", "PruneGuard",
         d.tree.revision + " would delete " + std::to_string(d.commit.deletions) + " of " +
             std::to_string(d.commit.inventory_before) +
             " objects; nothing of it is applied. If that is meant: moorctl confirm " +
             d.tree.revision);
}

// The reason of each write names file and line, for the audit chain.
void write_change(Decision& d, const ObjectChange& change) {
  const Provenance& from = change.provenance;
  const std::string place = from.file + ':' + std::to_string(from.line);
  switch (change.verb) {
    case ObjectChange::Verb::create:
      d.plan.put(make_recorded(change.after, d.context), "declared in " + place);
      break;
    case ObjectChange::Verb::update:
      d.plan.put(change.after, change.changes.front().path + " changed in " + place);
      break;
    case ObjectChange::Verb::remove:
      plan_removal(d.plan, change.before, d.context, "pruned: no longer in the tree");
      break;
  }
}

// Warnings have their own condition, because Ready goes on to tell the health.
void warn(Decision& d) {
  const Diagnostics& diagnostics = d.commit.diagnostics;
  if (diagnostics.warnings().empty()) return drop_condition(d.unit.status.conditions, "Warned");
  d.set("Warned", "True", reason_of(diagnostics.warnings().front()),
        list_errors(diagnostics.warnings(), diagnostics.warning_count()));
}

// Ready waits for the health only when there is something new: a repeated tree leaves it alone.
void apply(Decision& d) {
  auto& status = d.unit.status;
  const bool fresh = status.last_applied_revision != d.tree.revision ||
                     is_true(status.conditions, "Stalled") || !d.commit.changes.empty();
  for (const ObjectChange& change : d.commit.changes) write_change(d, change);
  status.last_attempted_revision = d.tree.revision;
  status.last_applied_revision = d.tree.revision;
  status.observed_generation = d.unit.metadata.generation;
  if (status.inventory != *d.commit.inventory) status.inventory = *d.commit.inventory;
  drop_condition(status.conditions, "Stalled");
  warn(d);
  if (fresh) {
    const std::string message = "Applied " + d.tree.revision + ", waiting for health";
    d.set("Ready", "Unknown", "Progressing", message);
    d.set("Reconciling", "True", "Progressing", message);
  }
  if (status == d.object.as<Kustomization>().status) return;
  d.plan.status(make_object(std::move(d.unit), d.object.provenance()),
                "applied " + d.tree.revision);
  if (!fresh) return;
  d.step("rendered", d.tree.rendered_at);
  d.step("validated", d.tree.validated_at);
  d.step("planned", d.context.now.wall, totals(d.commit));
  d.step("committed", d.context.now.wall, d.commit.unit);
  d.note(false, "ReconciliationSucceeded", "Applied revision: " + d.tree.revision + ": " +
                                               totals(d.commit));
}

// Whether an operator has allowed the deletions of this revision, in full or by its commit.
bool is_confirmed(const TreeLoaded& tree, const Kustomization& unit,
                  const ReduceOptions& options) {
  const auto names = [&](const std::string& text) {
    return !text.empty() && (text == tree.revision || text == tree.commit.sha);
  };
  const auto own = unit.metadata.annotations.find(std::string(kConfirmedAnnotation));
  if (own != unit.metadata.annotations.end() && names(own->second)) return true;
  return std::any_of(options.confirmed_revisions.begin(), options.confirmed_revisions.end(),
                     names);
}

// A tree that the source has left behind since.
bool is_superseded(const TreeLoaded& tree, const StateView& view) {
  const auto source = view.find(tree.source);
  if (!source) return true;
  const auto& artifact = source->as<GitRepository>().status.artifact;
  return artifact && artifact->revision != tree.revision;
}

}  // namespace

Plan reduce_tree(const TreeLoaded& fact, const PlanContext& context,
                 const ReduceOptions& options) {
  const auto recorded = context.view.find(fact.unit);
  if (!recorded || is_superseded(fact, context.view)) return {};
  const auto& unit = recorded->as<Kustomization>();
  if (unit.spec.suspend || unit.metadata.deletion_timestamp) return {};
  Decision decision{fact, context, *recorded, unit,
                    plan_commit(fact, context.view, options.prune,
                                is_confirmed(fact, unit, options), options.memo),
                    {}};
  if (!decision.commit.diagnostics.ok()) {
    refuse(decision);
  } else if (decision.commit.held) {
    hold(decision);
  } else {
    apply(decision);
  }
  return std::move(decision.plan);
}

}  // namespace moored
