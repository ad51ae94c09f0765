#include "reconciler/controllers/deployment_state.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>
#include <utility>

#include "reconciler/controllers/pods.hpp"
#include "reconciler/diff/merge.hpp"

namespace moored {
namespace {

// Words of Kubernetes, letter for letter.
constexpr const char* kHashLabel = "pod-template-hash";
constexpr const char* kMaxReplicas = "deployment.kubernetes.io/max-replicas";

// A number in an annotation; absent or unreadable is nothing.
std::int64_t number_in(const Labels& annotations, const std::string& name) {
  const auto found = annotations.find(name);
  std::int64_t number = 0;
  if (found == annotations.end()) return number;
  std::from_chars(found->second.data(), found->second.data() + found->second.size(), number);
  return number;
}

// Equal but for the label that we put there ourselves.
bool has_template(const ReplicaSet& set, const PodTemplateSpec& pod_template) {
  if (set.spec.pod_template.spec != pod_template.spec) return false;
  PodTemplateSpec own;
  PodTemplateSpec wanted;
  own.metadata = set.spec.pod_template.metadata;
  wanted.metadata = pod_template.metadata;
  own.metadata.labels.erase(kHashLabel);
  wanted.metadata.labels.erase(kHashLabel);
  return own.metadata == wanted.metadata;
}

// By creation, then by number of rollout, then by name: never by chance.
bool is_older(const Object& left, const Object& right) {
  const auto& a = left.meta();
  const auto& b = right.meta();
  if (a.creation_timestamp != b.creation_timestamp) {
    return a.creation_timestamp < b.creation_timestamp;
  }
  const std::int64_t left_revision = get_revision(a);
  const std::int64_t right_revision = get_revision(b);
  return std::tie(left_revision, a.name) < std::tie(right_revision, b.name);
}

// Sets under the Deployment's uid that are not on their way out, oldest first.
std::vector<Object> list_sets(const Object& deployment, const StateView& view) {
  std::vector<Object> sets;
  for (Object& set : view.list_owned(kind_of<ReplicaSet>(), deployment.meta().uid)) {
    const OwnerReference* owner = find_controller(set.meta());
    if (owner == nullptr || owner->uid != deployment.meta().uid) continue;
    if (!set.meta().deletion_timestamp) sets.push_back(std::move(set));
  }
  std::stable_sort(sets.begin(), sets.end(), is_older);
  return sets;
}

// Counts pods themselves, not the set's own status, which is one step behind.
OwnedSet read_set(const Object& object, const PlanContext& context) {
  OwnedSet owned{object, object.as<ReplicaSet>(), {}, 0, 0};
  owned.count.replicas = owned.next.spec.replicas.value_or(1);
  owned.count.max_replicas =
      static_cast<std::int32_t>(number_in(object.meta().annotations, kMaxReplicas));
  for (const Object& entry : context.view.list_owned(kind_of<Pod>(), object.meta().uid)) {
    const Pod& pod = entry.as<Pod>();
    ++owned.left;
    if (!is_active(pod)) continue;
    ++owned.count.pods;
    owned.ready += is_ready(pod) ? 1 : 0;
    owned.count.available +=
        is_available(pod, owned.next.spec.min_ready_seconds, context.now.wall) ? 1 : 0;
  }
  return owned;
}

// Sets that nobody declares or controls and that the Deployment selects, with it as their owner:
// left when the store was lost, or when their Deployment was.
std::vector<OwnedSet> adopt_sets(const Object& deployment, const PlanContext& context) {
  std::vector<OwnedSet> adopted;
  const ObjectMeta& meta = deployment.meta();
  const auto selector = deployment.as<Deployment>().spec.selector;
  if (!selector) return adopted;
  for (const Object& set : context.view.list(kind_of<ReplicaSet>(), meta.namespace_name)) {
    const bool free = find_controller(set.meta()) == nullptr && set.provenance().unit.empty() &&
                      !set.meta().deletion_timestamp;
    if (!free || !matches(*selector, set.meta().labels)) continue;
    OwnedSet owned = read_set(set, context);
    owned.next.metadata.owner_references.push_back(controller_reference(deployment));
    adopted.push_back(std::move(owned));
  }
  return adopted;
}

}  // namespace

std::int64_t get_revision(const ObjectMeta& meta) {
  return number_in(meta.annotations, std::string(kRevisionAnnotation));
}

bool is_rolled_out(const Deployment& deployment) {
  const DeploymentStatus& status = deployment.status;
  const std::int32_t replicas = deployment.spec.replicas.value_or(1);
  return status.observed_generation >= deployment.metadata.generation &&
         status.updated_replicas == replicas && status.replicas == replicas &&
         status.available_replicas == replicas;
}

std::optional<Object> find_new_set(const Object& deployment, const StateView& view) {
  for (const Object& set : list_sets(deployment, view)) {
    const auto& pod_template = deployment.as<Deployment>().spec.pod_template;
    if (has_template(set.as<ReplicaSet>(), pod_template)) return set;
  }
  return std::nullopt;
}

DeploymentState read_deployment(const Object& object, const PlanContext& context) {
  DeploymentState state;
  state.object = object;
  state.deployment = object.as<Deployment>();
  state.bounds = get_bounds(state.deployment.spec);
  std::vector<OwnedSet> sets;
  bool settled = false;
  for (const Object& set : list_sets(object, context.view)) {
    sets.push_back(read_set(set, context));
    settled = settled || has_template(sets.back().next, state.deployment.spec.pod_template);
  }
  // One that has what it wants is asked for all the time, and would look through every set of the
  // namespace each time.
  if (!settled) {
    auto adopted = adopt_sets(object, context);
    sets.insert(sets.begin(), std::make_move_iterator(adopted.begin()),
                std::make_move_iterator(adopted.end()));
  }
  for (OwnedSet& owned : sets) {
    if (!state.newest && has_template(owned.next, state.deployment.spec.pod_template)) {
      state.newest = std::move(owned);
    } else {
      state.sets.push_back(std::move(owned));
    }
  }
  return state;
}

}  // namespace moored
