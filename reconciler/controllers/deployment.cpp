// Deployment: rolls a template out over ReplicaSets, without taking ready pods away too early.
#include <algorithm>
#include <utility>

#include "reconciler/controllers/deployment_state.hpp"
#include "reconciler/controllers/kinds.hpp"
#include "reconciler/controllers/pods.hpp"
#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"

namespace moored {
namespace {

// Words of Kubernetes, letter for letter: kubectl reads them.
constexpr const char* kHashLabel = "pod-template-hash";
constexpr const char* kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
constexpr const char* kMaxReplicas = "deployment.kubernetes.io/max-replicas";
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr const char* kComponent = "deployment-controller";
constexpr std::size_t kHashLength = 10;
constexpr std::int32_t kDefaultHistory = 10;

class DeploymentController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Deployment>(); }
  std::string name() const override { return kComponent; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

// ---- the new set ------------------------------------------------------------------------------

// The name of the template: the hash of its text; the salt moves it past a name that is taken.
std::string hash_template(const PodTemplateSpec& pod_template, std::size_t salt) {
  const Value value = encode_struct(schema_of<PodTemplateSpec>(), &pod_template);
  return encode_hash(hash_text(std::to_string(salt), hash_text(write_json(value))), kHashLength);
}

// A taken name means two templates with one hash: the salt makes room.
std::string find_free_hash(const Deployment& deployment, const StateView& view) {
  for (std::size_t salt = 0;; ++salt) {
    std::string hash = hash_template(deployment.spec.pod_template, salt);
    const std::string name = deployment.metadata.name + '-' + hash;
    if (!view.find(key_of<ReplicaSet>(deployment.metadata.namespace_name, name))) return hash;
  }
}

// One more than the newest of the other sets, so that a set used again becomes the newest.
std::int64_t next_revision(const DeploymentState& state) {
  std::int64_t newest = 0;
  for (const OwnedSet& set : state.sets) {
    newest = std::max(newest, get_revision(set.object.meta()));
  }
  return newest + 1;
}

// Begins with no pods: how many it may have is decided where all sets are in view.
void make_new_set(DeploymentState& state, const PlanContext& context) {
  Deployment& deployment = state.deployment;
  const std::string hash = find_free_hash(deployment, context.view);
  ReplicaSet set;
  set.metadata.name = deployment.metadata.name + '-' + hash;
  set.metadata.namespace_name = deployment.metadata.namespace_name;
  set.metadata.owner_references.push_back(controller_reference(state.object));
  set.spec.replicas = 0;
  set.spec.min_ready_seconds = deployment.spec.min_ready_seconds;
  set.spec.selector = deployment.spec.selector.value_or(LabelSelector{});
  set.spec.selector->match_labels[kHashLabel] = hash;
  set.spec.pod_template = deployment.spec.pod_template;
  set.spec.pod_template.metadata.labels[kHashLabel] = hash;
  set.metadata.labels = set.spec.pod_template.metadata.labels;
  const Object made = make_recorded(make_object(set), context);
  OwnedSet owned{{}, made.as<ReplicaSet>(), {}, 0, 0};
  set_progress(deployment.status, "True", "NewReplicaSetCreated",
               "Created new replica set \"" + set.metadata.name + "\"", stamp(context.now));
  state.newest = std::move(owned);
}

// Annotations that go from the Deployment to its new set, and the number of the rollout.
void annotate(DeploymentState& state) {
  ReplicaSet& set = state.newest->next;
  for (const auto& [name, text] : state.deployment.metadata.annotations) {
    if (!is_own_annotation(name) && name != kLastApplied) set.metadata.annotations[name] = text;
  }
  const std::string number =
      std::to_string(std::max(next_revision(state), get_revision(set.metadata)));
  const std::string key(kRevisionAnnotation);
  set.metadata.annotations[key] = number;
  set.spec.min_ready_seconds = state.deployment.spec.min_ready_seconds;
  state.deployment.metadata.annotations[key] = number;
}

// ---- scaling ----------------------------------------------------------------------------------

// Notes on the set what it was scaled for, so that a later resize knows its share.
void set_replicas(Plan& plan, const DeploymentState& state, OwnedSet& set,
                  std::int32_t replicas) {
  const std::int32_t before = set.next.spec.replicas.value_or(1);
  set.next.metadata.annotations[kDesiredReplicas] = std::to_string(state.bounds.replicas);
  set.next.metadata.annotations[kMaxReplicas] =
      std::to_string(state.bounds.replicas + state.bounds.surge);
  set.next.spec.replicas = replicas;
  set.count.replicas = replicas;
  if (before == replicas) return;
  plan.events.push_back({reference_to(state.object), false, "ScalingReplicaSet",
                         std::string(replicas > before ? "Scaled up" : "Scaled down") +
                             " replica set " + set.next.metadata.name + " from " +
                             std::to_string(before) + " to " + std::to_string(replicas),
                         kComponent});
}

std::vector<SetCount> counts_of(const std::vector<OwnedSet>& sets) {
  std::vector<SetCount> counts;
  for (const OwnedSet& set : sets) counts.push_back(set.count);
  return counts;
}

// First up, then down: what goes is counted after what comes.
void roll(Plan& plan, DeploymentState& state) {
  OwnedSet& newest = *state.newest;
  std::vector<SetCount> old_counts = counts_of(state.sets);
  const std::int32_t wanted = plan_new_replicas(newest.count, old_counts, state.bounds);
  set_replicas(plan, state, newest, wanted);
  shrink_old_sets(newest.count, old_counts, state.bounds);
  for (std::size_t i = 0; i < state.sets.size(); ++i) {
    if (old_counts[i].replicas != state.sets[i].count.replicas) {
      set_replicas(plan, state, state.sets[i], old_counts[i].replicas);
    }
  }
}

// All old pods have to be gone, not only told to go, before the first new one is made.
void recreate(Plan& plan, DeploymentState& state) {
  std::int32_t left = 0;
  for (OwnedSet& set : state.sets) {
    left += set.left;
    if (set.count.replicas > 0) set_replicas(plan, state, set, 0);
  }
  set_replicas(plan, state, *state.newest, left > 0 ? 0 : state.bounds.replicas);
}

// Whether the wanted number changed while several sets have pods.
bool is_resized(const DeploymentState& state) {
  const std::string desired = std::to_string(state.bounds.replicas);
  const auto differs = [&](const OwnedSet& set) {
    const auto& annotations = set.next.metadata.annotations;
    const auto found = annotations.find(kDesiredReplicas);
    return set.count.replicas > 0 && found != annotations.end() && found->second != desired;
  };
  return (state.newest && differs(*state.newest)) ||
         std::any_of(state.sets.begin(), state.sets.end(), differs);
}

// Gives the sets of a rollout under way, or of a paused one, their part of a new number.
void resize(Plan& plan, DeploymentState& state) {
  std::vector<OwnedSet*> active;
  for (OwnedSet& set : state.sets) {
    if (set.count.replicas > 0) active.push_back(&set);
  }
  if (state.newest && (state.newest->count.replicas > 0 || active.empty())) {
    active.push_back(&*state.newest);
  }
  if (active.empty() && !state.sets.empty()) active.push_back(&state.sets.back());
  if (active.size() == 1) {
    return set_replicas(plan, state, *active.front(), state.bounds.replicas);
  }
  std::vector<SetCount> counts;
  for (const OwnedSet* set : active) counts.push_back(set->count);
  spread_replicas(counts, state.bounds);
  for (std::size_t i = 0; i < active.size(); ++i) {
    set_replicas(plan, state, *active[i], counts[i].replicas);
  }
}

// ---- history and writes -----------------------------------------------------------------------

// Sets without pods are kept for the way back, the newest of them as many as the limit says.
void drop_history(Plan& plan, const DeploymentState& state) {
  const auto limit = static_cast<std::size_t>(
      std::max(state.deployment.spec.revision_history_limit.value_or(kDefaultHistory), 0));
  std::vector<const OwnedSet*> idle;
  for (const OwnedSet& set : state.sets) {
    if (set.count.replicas == 0 && set.left == 0) idle.push_back(&set);
  }
  std::stable_sort(idle.begin(), idle.end(), [](const OwnedSet* a, const OwnedSet* b) {
    return get_revision(a->object.meta()) < get_revision(b->object.meta());
  });
  for (std::size_t i = 0; i + limit < idle.size(); ++i) {
    plan.remove(idle[i]->object.key(), "beyond revisionHistoryLimit");
  }
}

// The new set moves on to the present commit; the old ones stay with the commit that made them.
void write_set(Plan& plan, const DeploymentState& state, const OwnedSet& set) {
  if (set.object && set.next == set.object.as<ReplicaSet>()) return;
  const bool created = !set.object;
  const bool current = state.newest && &set == &*state.newest;
  plan.put(make_object(set.next, current ? state.object.provenance() : set.object.provenance()),
           created ? "new template" : "scaled to " + std::to_string(set.count.replicas));
}

// Annotations need a put; counts alone are a status, which leaves the generation alone.
void write_deployment(Plan& plan, const DeploymentState& state) {
  const auto& before = state.object.as<Deployment>();
  const bool annotated = state.deployment.metadata != before.metadata;
  if (!annotated && state.deployment.status == before.status) return;
  Object object = make_object(state.deployment, state.object.provenance());
  if (annotated) {
    const std::string number = std::to_string(get_revision(object.meta()));
    plan.put(std::move(object), "revision " + number);
  } else {
    plan.status(std::move(object), "counted");
  }
}

// A pause stops the clock of the deadline; kubectl shows why nothing moves.
void mark_pause(DeploymentState& state, Time now) {
  auto& status = state.deployment.status;
  const Condition* progress = find_condition(status.conditions, "Progressing");
  const std::string reason = progress == nullptr ? std::string() : progress->reason;
  if (state.deployment.spec.paused && reason != "DeploymentPaused") {
    set_progress(status, "Unknown", "DeploymentPaused", "Deployment is paused", now);
  } else if (!state.deployment.spec.paused && reason == "DeploymentPaused") {
    set_progress(status, "Unknown", "DeploymentResumed", "Deployment is resumed", now);
  }
}

// A resize goes before a rollout: the numbers are spread first and rolled in the next plan.
void decide(Plan& plan, DeploymentState& state, const PlanContext& context) {
  const auto& spec = state.deployment.spec;
  mark_pause(state, stamp(context.now));
  if (spec.paused || is_resized(state)) {
    if (is_resized(state)) resize(plan, state);
    return;
  }
  if (!state.newest) make_new_set(state, context);
  annotate(state);
  if (spec.strategy.type == "Recreate") {
    recreate(plan, state);
  } else {
    roll(plan, state);
  }
}

Plan DeploymentController::plan(const ObjectKey& key, const PlanContext& context) const {
  Plan plan;
  const auto object = context.view.find(key);
  if (!object || object->meta().deletion_timestamp) return plan;
  DeploymentState state = read_deployment(*object, context);
  decide(plan, state, context);
  state.deployment.status = plan_deployment_status(plan, state, context);
  for (const OwnedSet& set : state.sets) write_set(plan, state, set);
  if (state.newest) write_set(plan, state, *state.newest);
  write_deployment(plan, state);
  if (is_complete(state, state.deployment.status)) drop_history(plan, state);
  return plan;
}

// The Deployment behind a ReplicaSet.
std::vector<ObjectKey> deployment_of(const ObjectMeta& set) {
  const OwnerReference* owner = find_controller(set);
  if (owner == nullptr || owner->kind != "Deployment") return {};
  return {key_of<Deployment>(set.namespace_name, owner->name)};
}

std::vector<ObjectKey> DeploymentController::wakes(const Object& changed,
                                                   const StateView& view) const {
  if (changed.is<Deployment>()) return {changed.key()};
  if (changed.is<ReplicaSet>()) return deployment_of(changed.meta());
  if (!changed.is<Pod>()) return {};
  const OwnerReference* owner = find_controller(changed.meta());
  if (owner == nullptr || owner->kind != "ReplicaSet") return {};
  const auto set = view.find(key_of<ReplicaSet>(changed.meta().namespace_name, owner->name));
  return set ? deployment_of(set->meta()) : std::vector<ObjectKey>{};
}

}  // namespace

std::unique_ptr<Controller> make_deployment_controller() {
  return std::make_unique<DeploymentController>();
}

}  // namespace moored
