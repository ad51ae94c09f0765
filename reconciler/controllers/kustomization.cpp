// Kustomization: its Ready condition tells the health of what it applied; removed, it takes its
// objects along.
#include <utility>

#include "reconciler/controllers/health.hpp"
#include "reconciler/controllers/kinds.hpp"
#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/diff/inventory.hpp"
#include "reconciler/diff/ownership.hpp"

namespace moored {
namespace {

class KustomizationController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Kustomization>(); }
  std::string name() const override { return "kustomize-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

// The unit was removed with prune: what it still holds goes, then the unit itself.
void take_down(Plan& plan, const Object& object, const PlanContext& context) {
  const auto& unit = object.as<Kustomization>();
  const std::string name = unit.metadata.namespace_name + '/' + unit.metadata.name;
  if (unit.status.inventory) {
    for (const InventoryEntry& entry : unit.status.inventory->entries) {
      const auto key = find_inventory_key(entry);
      const auto held = key ? context.view.find(*key) : std::nullopt;
      if (!held || held->provenance().unit != name || *key == object.key()) continue;
      plan_removal(plan, *held, context, "Kustomization " + name + " is being removed");
    }
  }
  plan.remove(object.key(), "its objects are on their way out");
}

// The Ready condition, which is what people and tools look at.
void set(Kustomization& unit, const char* truth, const char* reason, std::string message,
         Time now) {
  set_condition(unit.status.conditions,
                make_condition("Ready", truth, reason, std::move(message),
                               unit.metadata.generation),
                now);
}

// Ready is True, False or Unknown for what is well, broken or under way.
void show(Kustomization& unit, const HealthReport& report, Time now) {
  const std::string& revision = unit.status.last_applied_revision;
  auto& conditions = unit.status.conditions;
  switch (report.health) {
    case Health::ready:
      drop_condition(conditions, "Reconciling");
      return set(unit, "True", "ReconciliationSucceeded", "Applied revision: " + revision, now);
    case Health::failed:
      drop_condition(conditions, "Reconciling");
      return set(unit, "False", "HealthCheckFailed", revision + ": " + report.message, now);
    case Health::progressing:
      set_condition(conditions,
                    make_condition("Reconciling", "True", "Progressing", report.message,
                                   unit.metadata.generation),
                    now);
      return set(unit, "Unknown", "Progressing", revision + ": " + report.message, now);
  }
}

// A change of Ready is news: an event, and a step of the revision's receipt.
void tell(Plan& plan, const Object& object, const Kustomization& unit,
          const PlanContext& context) {
  const Condition* before =
      find_condition(object.as<Kustomization>().status.conditions, "Ready");
  const Condition* after = find_condition(unit.status.conditions, "Ready");
  if (after->status == "Unknown" || (before != nullptr && before->status == after->status)) return;
  const bool failed = after->status == "False";
  plan.events.push_back({reference_to(object), failed, after->reason, after->message,
                         "kustomize-controller"});
  plan.receipt.push_back({unit.status.last_applied_revision, failed ? "failed" : "ready",
                          context.now.wall, after->message});
}

Plan KustomizationController::plan(const ObjectKey& key, const PlanContext& context) const {
  Plan plan;
  const auto object = context.view.find(key);
  if (!object) return plan;
  auto unit = object->as<Kustomization>();
  if (unit.metadata.deletion_timestamp) {
    take_down(plan, *object, context);
    return plan;
  }
  // A refused or held commit keeps its reason on Ready until the next one is taken.
  if (unit.status.last_applied_revision.empty() || is_true(unit.status.conditions, "Stalled")) {
    return plan;
  }
  show(unit, judge_unit(unit, context.view), stamp(context.now));
  if (unit.status == object->as<Kustomization>().status) return plan;
  tell(plan, *object, unit, context);
  plan.status(make_object(std::move(unit), object->provenance()), "health");
  return plan;
}

std::vector<ObjectKey> KustomizationController::wakes(const Object& changed,
                                                      const StateView&) const {
  std::vector<ObjectKey> keys;
  if (changed.is<Kustomization>()) keys.push_back(changed.key());
  if (const auto unit = find_unit_key(changed.provenance().unit)) keys.push_back(*unit);
  return keys;
}

}  // namespace

std::unique_ptr<Controller> make_kustomization_controller() {
  return std::make_unique<KustomizationController>();
}

}  // namespace moored
