// Namespace: active with a service account of its own; on its way out it takes everything along.
#include <utility>

#include "reconciler/controllers/kinds.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"
#include "schema/model/core.hpp"

namespace moored {
namespace {

class NamespaceController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Namespace>(); }
  std::string name() const override { return "namespace-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

// Removes what is inside; the namespace goes when nothing is left.
void empty_namespace(Plan& plan, const Object& space, const PlanContext& context) {
  bool left = false;
  for (const Kind* kind : all_kinds()) {
    if (!kind->namespaced) continue;
    for (const Object& object : context.view.list(*kind, space.meta().name)) {
      left = true;
      plan_removal(plan, object, context, "its namespace is being removed");
    }
  }
  if (!left) plan.remove(space.key(), "empty");
}

// Pods name it by default, as in Kubernetes.
void make_service_account(Plan& plan, const std::string& space, const PlanContext& context) {
  if (context.view.find(key_of<ServiceAccount>(space, "default"))) return;
  ServiceAccount account;
  account.metadata.name = "default";
  account.metadata.namespace_name = space;
  plan.put(make_recorded(make_object(std::move(account)), context), "one for each namespace");
}

Plan NamespaceController::plan(const ObjectKey& key, const PlanContext& context) const {
  Plan plan;
  const auto object = context.view.find(key);
  if (!object) return plan;
  if (object->meta().deletion_timestamp) {
    empty_namespace(plan, *object, context);
    return plan;
  }
  make_service_account(plan, key.name, context);
  auto space = object->as<Namespace>();
  if (space.status.phase == "Active") return plan;
  space.status.phase = "Active";
  plan.status(make_object(std::move(space), object->provenance()), "active");
  return plan;
}

std::vector<ObjectKey> NamespaceController::wakes(const Object& changed,
                                                  const StateView& view) const {
  if (changed.is<Namespace>()) return {changed.key()};
  const ObjectKey space = key_of<Namespace>({}, changed.meta().namespace_name);
  if (!changed.kind().namespaced) return {};
  if (changed.is<ServiceAccount>()) return {space};
  const auto recorded = view.find(space);
  if (!recorded || !recorded->meta().deletion_timestamp) return {};
  return {space};
}

}  // namespace

std::unique_ptr<Controller> make_namespace_controller() {
  return std::make_unique<NamespaceController>();
}

}  // namespace moored
