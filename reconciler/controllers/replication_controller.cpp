// ReplicationController: the ReplicaSet's elder, with a selector of labels only.
#include "schema/model/replication_controller.hpp"

#include <utility>

#include "reconciler/controllers/kinds.hpp"
#include "reconciler/controllers/replicas.hpp"

namespace moored {
namespace {

LabelSelector selector_of(const ReplicationController& controller) {
  return {controller.spec.selector, {}};
}

class ReplicationControllerController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<ReplicationController>(); }
  std::string name() const override { return "replication-controller"; }

  Plan plan(const ObjectKey& key, const PlanContext& context) const override {
    Plan plan;
    const auto object = context.view.find(key);
    if (!object || object->meta().deletion_timestamp) return plan;
    auto controller = object->as<ReplicationController>();
    const auto& spec = controller.spec;
    const ReplicaCounts counts =
        plan_replicas(plan, *object,
                      {spec.replicas.value_or(1), spec.min_ready_seconds,
                       selector_of(controller), spec.pod_template, name()},
                      context);
    ReplicaSetStatus next =
        make_replica_status(controller.status, counts, controller.metadata.generation);
    if (next == controller.status) return plan;
    controller.status = std::move(next);
    plan.status(make_object(std::move(controller), object->provenance()), "counted");
    return plan;
  }

  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override {
    if (changed.is<ReplicationController>()) return {changed.key()};
    if (!changed.is<Pod>()) return {};
    return find_pod_owners(changed, kind(), view, [](const Object& owner) {
      return selector_of(owner.as<ReplicationController>());
    });
  }
};

}  // namespace

std::unique_ptr<Controller> make_replication_controller() {
  return std::make_unique<ReplicationControllerController>();
}

}  // namespace moored
