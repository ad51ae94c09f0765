// Node: after a lost store, the way back to what Git says.
#include "reconciler/core/recovery.hpp"

#include "reconciler/controllers/kinds.hpp"
#include "reconciler/core/conditions.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"
#include "schema/model/replication_controller.hpp"

namespace moored {
namespace {

class RecoveryController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Node>(); }
  std::string name() const override { return "recovery-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

Plan RecoveryController::plan(const ObjectKey& key, const PlanContext& context) const {
  const auto object = context.view.find(key);
  if (!object || key.name != context.node_name) return {};
  return plan_recovered(object->as<Node>(), *object, context);
}

// While it lasts, a commit that was applied, a workload that adopted and a pod that was probed
// bring it further.
std::vector<ObjectKey> RecoveryController::wakes(const Object& changed,
                                                 const StateView& view) const {
  if (changed.is<Node>()) return {changed.key()};
  const bool concerned = changed.is<Kustomization>() || changed.is<Deployment>() ||
                         changed.is<ReplicationController>() || changed.is<Pod>();
  std::vector<ObjectKey> keys;
  if (!concerned) return keys;
  for (const Object& node : view.list(kind_of<Node>())) {
    const auto& conditions = node.as<Node>().status.conditions;
    if (is_true(conditions, kRecoveringCondition)) keys.push_back(node.key());
  }
  return keys;
}

}  // namespace

std::unique_ptr<Controller> make_recovery_controller() {
  return std::make_unique<RecoveryController>();
}

}  // namespace moored
