// ReplicaSet: keeps a number of equal pods.
#include <algorithm>
#include <utility>

#include "reconciler/controllers/kinds.hpp"
#include "reconciler/controllers/replicas.hpp"
#include "reconciler/core/removal.hpp"
#include "schema/model/apps.hpp"

namespace moored {
namespace {

class ReplicaSetController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<ReplicaSet>(); }
  std::string name() const override { return "replicaset-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

// A set whose Deployment is gone goes first; its pods follow because they lost their owner.
Plan ReplicaSetController::plan(const ObjectKey& key, const PlanContext& context) const {
  Plan plan;
  const auto object = context.view.find(key);
  if (!object) return plan;
  if (object->meta().deletion_timestamp || is_orphaned(object->meta(), context.view)) {
    plan.remove(key, "its Deployment is gone");
    return plan;
  }
  auto set = object->as<ReplicaSet>();
  const ReplicaCounts counts =
      plan_replicas(plan, *object,
                    {set.spec.replicas.value_or(1), set.spec.min_ready_seconds,
                     set.spec.selector.value_or(LabelSelector{}), set.spec.pod_template, name()},
                    context);
  ReplicaSetStatus next = make_replica_status(set.status, counts, set.metadata.generation);
  if (next == set.status) return plan;
  set.status = std::move(next);
  plan.status(make_object(std::move(set), object->provenance()), "counted");
  return plan;
}

std::vector<ObjectKey> ReplicaSetController::wakes(const Object& changed,
                                                   const StateView& view) const {
  if (changed.is<ReplicaSet>()) return {changed.key()};
  if (changed.is<Deployment>()) {
    std::vector<ObjectKey> keys;
    if (view.find(changed.key())) return keys;  // only its end concerns its sets
    for (const Object& set : view.list_owned(kind_of<ReplicaSet>(), changed.meta().uid)) {
      keys.push_back(set.key());
    }
    return keys;
  }
  if (!changed.is<Pod>()) return {};
  return find_pod_owners(changed, kind_of<ReplicaSet>(), view, [](const Object& owner) {
    return owner.as<ReplicaSet>().spec.selector.value_or(LabelSelector{});
  });
}

}  // namespace

std::unique_ptr<Controller> make_replica_set_controller() {
  return std::make_unique<ReplicaSetController>();
}

}  // namespace moored
