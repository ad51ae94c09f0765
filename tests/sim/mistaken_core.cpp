// Mistakes around controllers and reduce: the real plan is made, and bent.
#include <utility>

#include "reconciler/diff/merge.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "tests/sim/planted.hpp"

namespace moored::sim {
namespace {

bool is_first_version(const Write& write) {
  return write.object.meta().resource_version.empty();
}

void double_pods(Plan& plan) {
  std::vector<Write> twins;
  for (const Write& write : plan.writes) {
    if (write.type != Write::Type::put || !write.object.is<Pod>()) continue;
    if (!is_first_version(write)) continue;
    Write twin = write;
    twin.object = with_meta(write.object, [](ObjectMeta& meta) {
      meta.name += "x";
      meta.uid.back() = meta.uid.back() == '0' ? '1' : '0';
    });
    twin.key = twin.object.key();
    twins.push_back(std::move(twin));
  }
  for (Write& twin : twins) plan.writes.push_back(std::move(twin));
}

// As soon as there is a set for the new template, the others are set to nothing.
void empty_old_sets(Plan& plan, const ObjectKey& key, const PlanContext& context) {
  const auto deployment = context.view.find(key);
  if (!deployment) return;
  const auto sets = context.view.list_owned(kind_of<ReplicaSet>(), deployment->meta().uid);
  if (sets.size() < 2) return;
  const Object* newest = &sets.front();
  for (const Object& set : sets) {
    if (newest->meta().creation_timestamp < set.meta().creation_timestamp) newest = &set;
  }
  for (const Object& object : sets) {
    auto set = object.as<ReplicaSet>();
    if (&object == newest || set.spec.replicas == 0) continue;
    set.spec.replicas = 0;
    plan.put(make_object(std::move(set), object.provenance()), "planted");
  }
}

// A set that is made or grown is at once given all the replicas that are wanted.
void grow_at_once(Plan& plan, const ObjectKey& key, const PlanContext& context) {
  const auto deployment = context.view.find(key);
  if (!deployment) return;
  const auto wanted = deployment->as<Deployment>().spec.replicas.value_or(1);
  for (Write& write : plan.writes) {
    if (write.type != Write::Type::put || !write.object.is<ReplicaSet>()) continue;
    auto set = write.object.as<ReplicaSet>();
    const auto before = context.view.find(write.object.key());
    const auto had = before ? before->as<ReplicaSet>().spec.replicas.value_or(1) : 0;
    if (set.spec.replicas.value_or(1) <= had) continue;
    set.spec.replicas = wanted;
    write.object = make_object(std::move(set), write.object.provenance());
  }
}

// Endpoints that a slice had and loses are put back.
void keep_endpoints(Plan& plan, const PlanContext& context) {
  for (Write& write : plan.writes) {
    if (write.type != Write::Type::put || !write.object.is<EndpointSlice>()) continue;
    const auto before = context.view.find(write.object.key());
    if (!before) continue;
    auto slice = write.object.as<EndpointSlice>();
    for (const SliceEndpoint& old : before->as<EndpointSlice>().endpoints) {
      bool listed = false;
      for (const SliceEndpoint& now : slice.endpoints) listed |= now.addresses == old.addresses;
      if (!listed) slice.endpoints.push_back(old);
    }
    write.object = make_object(std::move(slice), write.object.provenance());
  }
}

void move_address(Plan& plan, const ObjectKey& key, const PlanContext& context) {
  const auto recorded = context.view.find(key);
  if (!recorded || context.view.resource_version() % 7 != 0) return;
  auto service = recorded->as<Service>();
  if (service.spec.cluster_ip.empty()) return;
  service.spec.cluster_ip =
      "10.210.9." + std::to_string(1 + context.view.resource_version() % 250);
  service.spec.cluster_ips = {service.spec.cluster_ip};
  plan.put(make_object(std::move(service), recorded->provenance()), "planted");
}

void claim_ready(Plan& plan, const ObjectKey& key, const PlanContext& context) {
  const auto recorded = context.view.find(key);
  if (!recorded || recorded->as<Kustomization>().status.last_applied_revision.empty()) return;
  auto unit = recorded->as<Kustomization>();
  Condition ready;
  ready.type = "Ready";
  ready.status = "True";
  ready.reason = "ReconciliationSucceeded";
  set_condition(unit.status.conditions, ready, context.now.wall);
  if (unit.status == recorded->as<Kustomization>().status) return;
  plan.writes.clear();
  plan.status(make_object(std::move(unit), recorded->provenance()), "planted");
}

// A controller with a mistake in what it plans, in what it sees, or in what wakes it.
class Mistaken final : public Controller {
 public:
  Mistaken(std::unique_ptr<Controller> inner, const StateSource& state)
      : inner_(std::move(inner)), state_(state) {}

  const Kind& kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }

  Plan plan(const ObjectKey& key, const PlanContext& context) const override {
    Plan plan = plan_on_its_view(key, context);
    switch (current_planted()) {
      case Planted::forgotten_timers: plan.requeues.clear(); break;
      case Planted::extra_pod: double_pods(plan); break;
      case Planted::hasty_rollout: empty_old_sets(plan, key, context); break;
      case Planted::greedy_surge: grow_at_once(plan, key, context); break;
      case Planted::endpoints_only_grow: keep_endpoints(plan, context); break;
      case Planted::restless_cluster_ip: move_address(plan, key, context); break;
      case Planted::early_victory: claim_ready(plan, key, context); break;
      default: break;
    }
    return plan;
  }

  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override {
    const Planted planted = current_planted();
    const bool deaf = planted == Planted::deaf_to_pods || planted == Planted::forgetful_endpoints;
    if (deaf && changed.is<Pod>()) return {};
    if (planted == Planted::deaf_to_sets && changed.is<ReplicaSet>()) return {};
    if (planted == Planted::blind_to_the_past) {
      const auto now = view.find(changed.key());
      if (!now || now->meta().resource_version != changed.meta().resource_version) return {};
    }
    return inner_->wakes(changed, view);
  }

 private:
  Plan plan_on_its_view(const ObjectKey& key, const PlanContext& context) const {
    if (!is_planted(Planted::stale_plans)) return inner_->plan(key, context);
    const auto lagging = seen_ ? seen_ : state_.view();
    seen_ = state_.view();
    return inner_->plan(key, {*lagging, context.now, context.store_id, context.node_name,
                              context.service_cidr});
  }

  std::unique_ptr<Controller> inner_;
  const StateSource& state_;
  mutable std::shared_ptr<const StateView> seen_;
};

// The kind whose controller the mistake is in; nullptr: every one of them.
const Kind* kind_with(Planted planted) {
  switch (planted) {
    case Planted::deaf_to_pods:
    case Planted::stale_plans:
    case Planted::extra_pod: return &kind_of<ReplicaSet>();
    case Planted::deaf_to_sets:
    case Planted::greedy_surge:
    case Planted::hasty_rollout: return &kind_of<Deployment>();
    case Planted::endpoints_only_grow:
    case Planted::restless_cluster_ip:
    case Planted::forgetful_endpoints: return &kind_of<Service>();
    case Planted::early_victory: return &kind_of<Kustomization>();
    default: return nullptr;
  }
}

// Everything that the tree does not name goes, whoever declared it.
void prune_strangers(Plan& plan, const TreeLoaded& tree, const PlanContext& context) {
  if (plan.writes.empty() || !tree.complete || tree.unit.name != "default") return;
  for (const Object& map : context.view.list(kind_of<ConfigMap>(), "default")) {
    bool named = false;
    for (const Object& object : tree.objects) named |= object.key() == map.key();
    if (!named) plan.remove(map.key(), "planted");
  }
}

void drop_inventory(Plan& plan) {
  for (Write& write : plan.writes) {
    if (write.type != Write::Type::status || !write.object.is<Kustomization>()) continue;
    auto unit = write.object.as<Kustomization>();
    unit.status.inventory.reset();
    write.object = make_object(std::move(unit), write.object.provenance());
  }
}

}  // namespace

std::vector<std::unique_ptr<Controller>> make_planted_controllers(const StateSource& state) {
  auto controllers = make_controllers();
  if (is_planted(Planted::none)) return controllers;
  const Kind* only = kind_with(current_planted());
  for (auto& controller : controllers) {
    const bool concerned = only == nullptr || &controller->kind() == only;
    if (concerned) controller = std::make_unique<Mistaken>(std::move(controller), state);
  }
  return controllers;
}

Plan planted_reduce(const Fact& fact, const PlanContext& context, const ReduceOptions& options) {
  Plan plan = reduce(fact, context, options);
  const auto* tree = std::get_if<TreeLoaded>(&fact);
  if (tree == nullptr) return plan;
  if (is_planted(Planted::pruned_strangers)) prune_strangers(plan, *tree, context);
  if (is_planted(Planted::lost_inventory)) drop_inventory(plan);
  return plan;
}

}  // namespace moored::sim
