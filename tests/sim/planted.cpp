#include "tests/sim/planted.hpp"

#include <utility>

#include "reconciler/diff/merge.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"

namespace moored::sim {
namespace {

// A controller with a mistake in what it plans or in what wakes it.
class Mistaken final : public Controller {
 public:
  Mistaken(std::unique_ptr<Controller> inner, Planted planted)
      : inner_(std::move(inner)), planted_(planted) {}

  const Kind& kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }

  Plan plan(const ObjectKey& key, const PlanContext& context) const override {
    Plan plan = inner_->plan(key, context);
    if (planted_ == Planted::forgotten_timers) plan.requeues.clear();
    if (planted_ == Planted::extra_pod) double_pods(plan);
    if (planted_ == Planted::hasty_rollout) empty_old_sets(plan, key, context);
    return plan;
  }

  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override {
    const bool deaf = planted_ == Planted::deaf_to_pods ||
                      planted_ == Planted::forgetful_endpoints;
    if (deaf && changed.is<Pod>()) return {};
    return inner_->wakes(changed, view);
  }

 private:
  static void double_pods(Plan& plan) {
    std::vector<Write> twins;
    for (const Write& write : plan.writes) {
      if (write.type != Write::Type::put || !write.object.is<Pod>()) continue;
      if (!write.object.meta().resource_version.empty()) continue;
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
  static void empty_old_sets(Plan& plan, const ObjectKey& key, const PlanContext& context) {
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

  std::unique_ptr<Controller> inner_;
  Planted planted_;
};

// The kind whose controller the mistake is in; nullptr: every one of them.
const Kind* kind_with(Planted planted) {
  switch (planted) {
    case Planted::deaf_to_pods:
    case Planted::extra_pod: return &kind_of<ReplicaSet>();
    case Planted::hasty_rollout: return &kind_of<Deployment>();
    case Planted::forgetful_endpoints: return &kind_of<Service>();
    default: return nullptr;
  }
}

}  // namespace

std::string_view name_of(Planted planted) {
  switch (planted) {
    case Planted::none: return "none";
    case Planted::deaf_to_pods: return "deaf_to_pods";
    case Planted::hasty_rollout: return "hasty_rollout";
    case Planted::extra_pod: return "extra_pod";
    case Planted::lost_farewells: return "lost_farewells";
    case Planted::forgotten_timers: return "forgotten_timers";
    case Planted::leaked_sandboxes: return "leaked_sandboxes";
    case Planted::trusted_halves: return "trusted_halves";
    case Planted::killing_start: return "killing_start";
    case Planted::forgetful_endpoints: return "forgetful_endpoints";
  }
  return "";
}

std::vector<std::unique_ptr<Controller>> make_planted_controllers(Planted planted) {
  auto controllers = make_controllers();
  if (planted == Planted::none) return controllers;
  const Kind* only = kind_with(planted);
  for (auto& controller : controllers) {
    const bool concerned = only == nullptr || &controller->kind() == only;
    if (concerned) controller = std::make_unique<Mistaken>(std::move(controller), planted);
  }
  return controllers;
}

void PlantedSink::post(Fact fact, Cause cause) {
  const auto* pod = std::get_if<PodObserved>(&fact);
  if (planted_ == Planted::lost_farewells && pod != nullptr && pod->gone) return;
  inner_.post(std::move(fact), std::move(cause));
}

}  // namespace moored::sim
