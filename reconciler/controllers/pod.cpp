// Pod: bound to a node by the scheduler, deleted when its owner is gone.
#include <utility>

#include "reconciler/controllers/kinds.hpp"
#include "reconciler/controllers/pods.hpp"
#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/scheduler/scheduler.hpp"
#include "schema/model/cluster.hpp"

namespace moored {
namespace {

constexpr const char* kScheduler = "default-scheduler";

class PodController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Pod>(); }
  std::string name() const override { return "pod-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

// The binding is part of the pod's spec; the agent of that node takes it from there.
void bind(Plan& plan, const Object& object, Pod pod, const std::string& node, Time now) {
  pod.spec.node_name = node;
  set_condition(pod.status.conditions, make_condition("PodScheduled", "True", "", ""), now);
  const ObjectMeta& meta = object.meta();
  plan.put(make_object(std::move(pod), object.provenance()), "bound to " + node);
  plan.events.push_back({reference_to(object), false, "Scheduled",
                         "Successfully assigned " + meta.namespace_name + "/" + meta.name +
                             " to " + node,
                         kScheduler});
}

// Told once for each reason: the same words again change nothing.
void leave_pending(Plan& plan, const Object& object, Pod pod, const std::string& message,
                   Time now) {
  set_condition(pod.status.conditions,
                make_condition("PodScheduled", "False", "Unschedulable", message), now);
  if (pod.status.phase.empty()) pod.status.phase = "Pending";
  if (pod.status == object.as<Pod>().status) return;
  plan.status(make_object(std::move(pod), object.provenance()), "does not fit");
  plan.events.push_back({reference_to(object), true, "FailedScheduling", message, kScheduler});
}

Plan PodController::plan(const ObjectKey& key, const PlanContext& context) const {
  Plan plan;
  const auto object = context.view.find(key);
  if (!object) return plan;
  const Pod& pod = object->as<Pod>();
  if (is_orphaned(pod.metadata, context.view)) {
    plan_removal(plan, *object, context, "its owner is gone");
    return plan;
  }
  // Bound pods are the agent's; finished ones are whoever's who made them.
  if (!pod.spec.node_name.empty() || is_finished(pod)) return plan;
  if (pod.metadata.deletion_timestamp) {
    plan.remove(key, "never bound to a node");
    return plan;
  }
  const Placement placement = place(pod, context.view);
  const Time now = stamp(context.now);
  if (placement.node_name.empty()) {
    leave_pending(plan, *object, pod, placement.message, now);
  } else {
    bind(plan, *object, pod, placement.node_name, now);
  }
  return plan;
}

// A change that gives room on a node concerns all pods that wait for it.
bool gives_room(const Object& changed, const StateView& view) {
  if (changed.is<Node>()) return true;
  return changed.is<Pod>() &&
         (is_finished(changed.as<Pod>()) || !view.find(changed.key()).has_value());
}

// All pods that no node has taken yet.
void wake_waiting(std::vector<ObjectKey>& keys, const StateView& view) {
  for (const Object& object : view.list(kind_of<Pod>())) {
    if (object.as<Pod>().spec.node_name.empty()) keys.push_back(object.key());
  }
}

std::vector<ObjectKey> PodController::wakes(const Object& changed, const StateView& view) const {
  std::vector<ObjectKey> keys;
  if (changed.is<Pod>()) keys.push_back(changed.key());
  if (gives_room(changed, view)) wake_waiting(keys, view);
  if (changed.is<Pod>() || changed.is<Node>()) return keys;
  // An owner that went takes its pods with it.
  if (view.find(changed.key())) return keys;
  for (const Object& pod : view.list_owned(kind_of<Pod>(), changed.meta().uid)) {
    keys.push_back(pod.key());
  }
  return keys;
}

}  // namespace

std::unique_ptr<Controller> make_pod_controller() { return std::make_unique<PodController>(); }

}  // namespace moored
