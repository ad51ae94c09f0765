#include "reconciler/controllers/health.hpp"

#include <algorithm>
#include <vector>

#include "reconciler/controllers/deployment_state.hpp"
#include "reconciler/controllers/pods.hpp"
#include "reconciler/diff/inventory.hpp"
#include "reconciler/diff/recorded.hpp"
#include "schema/model/core.hpp"
#include "schema/model/replication_controller.hpp"

namespace moored {
namespace {

// Objects named in one message: enough to act on, short enough to read.
constexpr std::size_t kMaxNamed = 10;

// The first pod of an owner that is kept from running, as "Pod/x: reason".
std::string find_pod_failure(const std::string& owner_uid, const StateView& view) {
  for (const Object& object : view.list_owned(kind_of<Pod>(), owner_uid)) {
    const Pod& pod = object.as<Pod>();
    if (pod.metadata.deletion_timestamp) continue;
    if (const auto failure = find_failure(pod)) return object.key().text() + ": " + *failure;
  }
  return {};
}

// The first pod that is not ready yet, and what it says about that.
std::string find_unready_pod(const std::string& owner_uid, const StateView& view) {
  for (const Object& object : view.list_owned(kind_of<Pod>(), owner_uid)) {
    const Pod& pod = object.as<Pod>();
    if (!is_active(pod) || is_ready(pod)) continue;
    for (const char* type : {"PodScheduled", "ContainersReady", "Ready"}) {
      const Condition* condition = find_condition(pod.status.conditions, type);
      if (condition == nullptr || condition->status == "True") continue;
      return object.key().text() + ": " + condition->reason + ": " + condition->message;
    }
    return object.key().text() + ": not started yet";
  }
  return {};
}

// Every judgement starts with the object it is about.
std::string say(const Object& object, const std::string& what) {
  return object.key().text() + ": " + what;
}

// The new template decides: old pods may serve for ever beside a rollout that cannot.
HealthReport judge_deployment(const Object& object, const StateView& view) {
  const auto& deployment = object.as<Deployment>();
  const auto& status = deployment.status;
  if (deployment.spec.paused) return {};
  const std::int32_t replicas = deployment.spec.replicas.value_or(1);
  // The status speaks of the newest set and of this generation: what is complete needs no search.
  if (is_rolled_out(deployment)) return {};
  const auto newest = find_new_set(object, view);
  const bool seen = newest && status.observed_generation >= deployment.metadata.generation;
  if (!seen) return {Health::progressing, say(object, "not rolled out yet")};
  const std::string failure = find_pod_failure(newest->meta().uid, view);
  if (!failure.empty()) return {Health::failed, say(object, failure)};
  const std::string unready = find_unready_pod(newest->meta().uid, view);
  const Condition* progress = find_condition(status.conditions, "Progressing");
  if (progress != nullptr && progress->status == "False") {
    std::string why = progress->reason;
    if (!unready.empty()) why += ": " + unready;
    return {Health::failed, say(object, why)};
  }
  std::string text = std::to_string(status.updated_replicas) + " of " +
                     std::to_string(replicas) + " updated, " +
                     std::to_string(status.available_replicas) + " available";
  if (!unready.empty()) text += "; " + unready;
  return {Health::progressing, say(object, text)};
}

// A ReplicaSet or ReplicationController.
template <class T>
HealthReport judge_replicas(const Object& object, const StateView& view) {
  const T& set = object.as<T>();
  if (set.status.available_replicas >= set.spec.replicas.value_or(1)) return {};
  const std::string failure = find_pod_failure(set.metadata.uid, view);
  if (!failure.empty()) return {Health::failed, say(object, failure)};
  return {Health::progressing,
          say(object, std::to_string(set.status.available_replicas) + " available")};
}

// A pod without owner, as it stands in Git.
HealthReport judge_pod(const Object& object) {
  const Pod& pod = object.as<Pod>();
  if (is_ready(pod) || pod.status.phase == "Succeeded") return {};
  if (const auto failure = find_failure(pod)) return {Health::failed, say(object, *failure)};
  return {Health::progressing, say(object, "not ready")};
}

}  // namespace

HealthReport judge(const Object& object, const StateView& view) {
  if (object.meta().deletion_timestamp) {
    return {Health::progressing, say(object, "being removed")};
  }
  if (object.is<Deployment>()) return judge_deployment(object, view);
  if (object.is<ReplicaSet>()) return judge_replicas<ReplicaSet>(object, view);
  if (object.is<ReplicationController>()) {
    return judge_replicas<ReplicationController>(object, view);
  }
  if (object.is<Pod>()) return judge_pod(object);
  return {};
}

HealthReport judge_unit(const Kustomization& unit, const StateView& view) {
  HealthReport worst;
  std::size_t named = 0;
  RecordedObjects recorded(view);
  if (!unit.status.inventory) return worst;
  for (const InventoryEntry& entry : unit.status.inventory->entries) {
    const auto key = find_inventory_key(entry);
    const Object* object =
        key ? recorded.find(*key->kind, key->namespace_name, key->name) : nullptr;
    if (object == nullptr) continue;
    const HealthReport report = judge(*object, view);
    if (report.health == Health::ready || report.health < worst.health) continue;
    if (report.health > worst.health) {
      worst = {report.health, {}};
      named = 0;
    }
    if (named++ >= kMaxNamed) continue;
    if (!worst.message.empty()) worst.message += "; ";
    worst.message += report.message;
  }
  return worst;
}

}  // namespace moored
