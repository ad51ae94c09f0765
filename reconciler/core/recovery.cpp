#include "reconciler/core/recovery.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/diff/commit.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"
#include "schema/model/recovered.hpp"
#include "schema/model/replication_controller.hpp"

namespace moored {
namespace {

constexpr const char* kComponent = "moored-recovery";
constexpr const char* kWhy = "runs, and the store that knew it was lost";
// Pods that have not become ready by then hold nobody up.
constexpr std::chrono::seconds kLongestProbing{60};
// Marks the sets and pods of a Deployment.
constexpr const char* kHashLabel = "pod-template-hash";

void mark(ObjectMeta& meta) { meta.annotations[std::string(kRecoveredAnnotation)] = "true"; }

std::int64_t version_of(const Object& object) {
  return std::strtoll(object.meta().resource_version.c_str(), nullptr, 10);
}

// The ReplicaSet of a Deployment that a pod belongs to, or nullptr. A set that Git itself declares
// is made by its commit and adopts its pods by its selector.
const OwnerReference* find_set(const ObjectMeta& pod) {
  const OwnerReference* owner = find_controller(pod);
  const bool made = owner != nullptr && owner->kind == "ReplicaSet" &&
                    pod.labels.count(kHashLabel) > 0;
  return made ? owner : nullptr;
}

// The pods that are to be recorded, by key. Of two with one name the later one is meant: the other
// was on its way out when the store was lost.
std::map<ObjectKey, Object> choose_pods(const std::vector<Object>& pods,
                                        const PlanContext& context) {
  std::map<ObjectKey, Object> chosen;
  for (const Object& object : pods) {
    const auto& pod = object.as<Pod>();
    const bool here = pod.spec.node_name == context.node_name && !pod.metadata.uid.empty();
    if (!here || context.view.find(object.key())) continue;
    const auto known = chosen.find(object.key());
    if (known == chosen.end()) {
      chosen.emplace(object.key(), object);
    } else if (version_of(known->second) < version_of(object)) {
      known->second = object;
    }
  }
  return chosen;
}

void recover_namespace(Plan& plan, const std::string& name, const PlanContext& context) {
  if (name.empty() || context.view.find(key_of<Namespace>({}, name))) return;
  Namespace space;
  space.metadata.name = name;
  space.status.phase = "Active";
  mark(space.metadata);
  plan.put(make_recorded(make_object(std::move(space)), context), kWhy);
}

// The set as it was for its pods: their template is what they were made from, their number is
// how many there are, and the labels of the template select them.
void recover_set(Plan& plan, const OwnerReference& owner, const std::vector<Object>& pods,
                 const PlanContext& context) {
  const Pod& first = pods.front().as<Pod>();
  const std::string& space = first.metadata.namespace_name;
  if (context.view.find(key_of<ReplicaSet>(space, owner.name))) return;
  ReplicaSet set;
  set.metadata.name = owner.name;
  set.metadata.namespace_name = space;
  set.metadata.uid = owner.uid;
  set.metadata.labels = first.metadata.labels;
  set.metadata.creation_timestamp = stamp(context.now);
  mark(set.metadata);
  set.spec.replicas = static_cast<std::int32_t>(pods.size());
  set.spec.selector = LabelSelector{first.metadata.labels, {}};
  set.spec.pod_template.metadata.labels = first.metadata.labels;
  set.spec.pod_template.metadata.annotations = first.metadata.annotations;
  set.spec.pod_template.metadata.finalizers = first.metadata.finalizers;
  set.spec.pod_template.spec = first.spec;
  set.spec.pod_template.spec.node_name.clear();
  plan.put(make_object(std::move(set)), kWhy);
}

// The status is the agent's to tell; until it does, the pod is what a new one is.
void recover_pod(Plan& plan, const Object& object, bool owned, const PlanContext& context) {
  auto pod = object.as<Pod>();
  mark(pod.metadata);
  pod.metadata.deletion_timestamp.reset();
  pod.metadata.deletion_grace_period_seconds.reset();
  if (!owned) pod.metadata.owner_references.clear();
  if (pod.status.phase.empty()) pod.status.phase = "Pending";
  set_condition(pod.status.conditions, make_condition("PodScheduled", "True", "", ""),
                stamp(context.now));
  plan.put(make_object(std::move(pod)), kWhy);
}

// The node itself is made with the condition if it is not there: the agent's word is merged in.
void recover_node(Plan& plan, const Condition& condition, const PlanContext& context) {
  const auto recorded = context.view.find(key_of<Node>({}, context.node_name));
  Node node;
  if (recorded) node = recorded->as<Node>();
  node.metadata.name = context.node_name;
  set_condition(node.status.conditions, condition, stamp(context.now));
  Object object = make_object(std::move(node));
  plan.put(recorded ? std::move(object) : make_recorded(object, context), condition.message);
}

// A backup of another machine: its node is not this one, so its pods run nowhere; their owners make
// them anew here, and pods that stand in Git come back with the next look at it.
void leave_other_nodes(Plan& plan, const PlanContext& context) {
  for (const Object& object : context.view.list(kind_of<Pod>())) {
    const std::string& node = object.as<Pod>().spec.node_name;
    if (node.empty() || node == context.node_name) continue;
    plan.remove(object.key(), "was bound to " + node + ", which is not this machine");
  }
  for (const Object& object : context.view.list(kind_of<Node>())) {
    if (object.meta().name == context.node_name) continue;
    plan.remove(object.key(), "is not this machine");
  }
}

// ---- the way back -------------------------------------------------------------------------------

// A unit whose commit is not known again yet, by name.
std::optional<std::string> find_waiting_unit(const StateView& view) {
  for (const Object& object : view.list(kind_of<Kustomization>())) {
    const auto& unit = object.as<Kustomization>();
    if (unit.spec.suspend || unit.metadata.deletion_timestamp) continue;
    if (!unit.status.last_applied_revision.empty()) continue;
    return unit.metadata.namespace_name + '/' + unit.metadata.name;
  }
  return std::nullopt;
}

// True when every workload that adopts by a selector has looked at its last generation: only then
// is a pod without an owner nobody's.
bool have_adopted(const StateView& view) {
  const auto deployments = view.list(kind_of<Deployment>());
  const auto controllers = view.list(kind_of<ReplicationController>());
  const auto looked = [](const ObjectMeta& meta, std::int64_t observed) {
    return meta.deletion_timestamp || observed >= meta.generation;
  };
  return std::all_of(deployments.begin(), deployments.end(),
                     [&](const Object& object) {
                       const auto& status = object.as<Deployment>().status;
                       return looked(object.meta(), status.observed_generation);
                     }) &&
         std::all_of(controllers.begin(), controllers.end(), [&](const Object& object) {
           const auto& status = object.as<ReplicationController>().status;
           return looked(object.meta(), status.observed_generation);
         });
}

// Everything that still carries the mark.
std::vector<Object> list_recovered(const StateView& view) {
  std::vector<Object> found;
  for (const Kind* kind : {&kind_of<Namespace>(), &kind_of<ReplicaSet>(), &kind_of<Pod>()}) {
    for (const Object& object : view.list(*kind)) {
      if (is_recovered(object.meta())) found.push_back(object);
    }
  }
  return found;
}

// Declared by a unit, controlled by somebody, on its way out, or one that moored keeps for itself.
bool is_claimed(const Object& object) {
  return !object.provenance().unit.empty() || find_controller(object.meta()) != nullptr ||
         object.meta().deletion_timestamp.has_value();
}

bool is_probed(const Object& object) {
  if (!object.is<Pod>()) return true;
  const auto& pod = object.as<Pod>();
  const bool over = pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
  return over || pod.metadata.deletion_timestamp || is_true(pod.status.conditions, "Ready");
}

struct Step {
  std::string status = "True";
  std::string reason;
  std::string message;
};

// Nobody claims any of them, or most of many are left over: a wrong path in Git looks like that.
bool exceeds(std::size_t unclaimed, std::size_t all) {
  const PruneBudget budget;
  if (unclaimed == 0) return false;
  if (unclaimed == all) return true;
  return unclaimed > budget.min_objects &&
         static_cast<double>(unclaimed) > budget.max_share * static_cast<double>(all);
}

// Pods under a set go with it; a namespace is not counted, as it takes its own along anyway.
Step finish(Plan& plan, const Node& node, const std::vector<Object>& recovered,
            const PlanContext& context) {
  std::vector<Object> unclaimed;
  std::size_t counted = 0;
  for (const Object& object : recovered) {
    counted += object.is<Pod>() ? 1 : 0;
    if (!is_claimed(object)) unclaimed.push_back(object);
  }
  std::size_t pods = 0;
  for (const Object& object : unclaimed) {
    if (object.is<Pod>()) ++pods;
    if (object.is<ReplicaSet>()) {
      pods += context.view.list_owned(kind_of<Pod>(), object.meta().uid).size();
    }
  }
  const auto confirmed = node.metadata.annotations.find(std::string(kConfirmedAnnotation));
  const bool allowed =
      confirmed != node.metadata.annotations.end() && confirmed->second == kRecoveredSubject;
  if (!allowed && exceeds(pods, counted)) {
    return {"True", "PruneGuard",
            std::to_string(pods) + " of " + std::to_string(counted) +
                " pods that were running when the store was lost are asked for by no source; "
                "they stay. If they are to go: moorctl confirm " + std::string(kRecoveredSubject)};
  }
  for (const Object& object : unclaimed) {
    plan_removal(plan, object, context, "ran when the store was lost, and no source asks for it");
  }
  for (const Object& object : recovered) {
    if (!is_claimed(object)) continue;
    plan.put(with_meta(object, [](ObjectMeta& meta) {
               meta.annotations.erase(std::string(kRecoveredAnnotation));
             }),
             "claimed again");
  }
  return {"False", "Recovered",
          std::to_string(counted - pods) + " pods were taken over as they ran, " +
              std::to_string(pods) + " that no source asks for were removed"};
}

Step decide(Plan& plan, const Node& node, const Condition& since, const PlanContext& context) {
  if (const auto unit = find_waiting_unit(context.view)) {
    return {"True", "WaitingForGit",
            "what is desired is not known before Kustomization " + *unit +
                " is applied; pods and rules stay as they are"};
  }
  const auto recovered = list_recovered(context.view);
  const bool probed = std::all_of(recovered.begin(), recovered.end(), is_probed);
  const Time due = since.last_transition_time.value_or(Time{}) + kLongestProbing;
  if (!have_adopted(context.view) || (!probed && context.now.wall < due)) {
    const Duration wait = std::max<Duration>(due - context.now.wall, std::chrono::seconds(1));
    plan.requeues.push_back({key_of<Node>({}, node.metadata.name), wait});
    return {"True", "WaitingForPods",
            "running pods are being claimed and probed; rules stay as they are"};
  }
  return finish(plan, node, recovered, context);
}

}  // namespace

Plan plan_recovery(const std::vector<Object>& pods, const std::string& loss,
                   const PlanContext& context) {
  Plan plan;
  const auto chosen = choose_pods(pods, context);
  std::set<std::string> namespaces;
  std::map<std::string, std::vector<Object>> sets;  // by the uid of the owner
  for (const auto& [key, object] : chosen) {
    namespaces.insert(key.namespace_name);
    const OwnerReference* set = find_set(object.meta());
    if (set != nullptr) sets[set->uid].push_back(object);
  }
  recover_node(
      plan, make_condition(std::string(kRecoveringCondition), "True", "WaitingForGit", loss),
      context);
  leave_other_nodes(plan, context);
  for (const auto& name : namespaces) recover_namespace(plan, name, context);
  for (const auto& [uid, members] : sets) {
    recover_set(plan, *find_set(members.front().meta()), members, context);
  }
  for (const auto& [key, object] : chosen) {
    recover_pod(plan, object, find_set(object.meta()) != nullptr, context);
  }
  plan.events.push_back({{"Node", "", context.node_name, "", "v1", "", ""}, true, "StoreLost",
                         loss + "; " + std::to_string(chosen.size()) +
                             " running pods are taken over as they are",
                         kComponent});
  return plan;
}

Plan plan_recovered(const Node& node, const Object& recorded, const PlanContext& context) {
  Plan plan;
  const Condition* since = find_condition(node.status.conditions, kRecoveringCondition);
  if (since == nullptr || since->status != "True") return plan;
  const Step step = decide(plan, node, *since, context);
  if (step.reason == since->reason && step.status == since->status &&
      step.reason != "PruneGuard") {
    return plan;
  }
  Node next = node;
  if (step.status == "False") next.metadata.annotations.erase(std::string(kConfirmedAnnotation));
  set_condition(next.status.conditions,
                make_condition(std::string(kRecoveringCondition), step.status, step.reason,
                               step.message),
                stamp(context.now));
  if (next == node) return plan;
  plan.events.push_back({reference_to(recorded), step.reason == "PruneGuard", step.reason,
                         step.message, kComponent});
  plan.put(make_object(std::move(next), recorded.provenance()), step.message);
  return plan;
}

bool is_recovering(const StateView& view, const std::string& node_name) {
  const auto node = view.find(key_of<Node>({}, node_name));
  if (!node) return false;
  const auto& conditions = node->as<Node>().status.conditions;
  const Condition* found = find_condition(conditions, kRecoveringCondition);
  return found != nullptr && found->status == "True" && found->reason != "PruneGuard";
}

}  // namespace moored
