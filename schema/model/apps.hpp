// Workloads that keep a number of equal pods: Deployment, ReplicaSet, ReplicationController.
#pragma once

#include "schema/model/pod.hpp"

namespace moored {

// The goal: as many pods as replicas says, made from the template.
struct ReplicaSetSpec {
  std::optional<std::int32_t> replicas;  // never absent after defaulting
  std::int32_t min_ready_seconds = 0;
  std::optional<LabelSelector> selector;
  PodTemplateSpec pod_template;  // JSON name: template
  bool operator==(const ReplicaSetSpec&) const = default;
};
// Counts of the pods that exist. Also the status of a ReplicationController.
struct ReplicaSetStatus {
  std::int32_t replicas = 0;
  std::int32_t fully_labeled_replicas = 0;
  std::int32_t ready_replicas = 0;
  std::int32_t available_replicas = 0;
  std::int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  bool operator==(const ReplicaSetStatus&) const = default;
};
// Keeps a number of equal pods. Deployments make and scale them.
struct ReplicaSet {
  ObjectMeta metadata;
  ReplicaSetSpec spec;
  ReplicaSetStatus status;
  bool operator==(const ReplicaSet&) const = default;
};

// Bounds of a roll-out, as numbers or percentages of replicas. Never both zero.
struct RollingUpdateDeployment {
  std::optional<IntOrString> max_unavailable;
  std::optional<IntOrString> max_surge;
  bool operator==(const RollingUpdateDeployment&) const = default;
};
// How pods are replaced. rolling_update is set with the type RollingUpdate only.
struct DeploymentStrategy {
  std::string type;  // RollingUpdate or Recreate
  std::optional<RollingUpdateDeployment> rolling_update;
  bool operator==(const DeploymentStrategy&) const = default;
};
// The goal and the way to it. Times are whole seconds.
struct DeploymentSpec {
  std::optional<std::int32_t> replicas;  // never absent after defaulting
  std::optional<LabelSelector> selector;
  PodTemplateSpec pod_template;  // JSON name: template
  DeploymentStrategy strategy;
  std::int32_t min_ready_seconds = 0;
  std::optional<std::int32_t> revision_history_limit;
  bool paused = false;
  std::optional<std::int32_t> progress_deadline_seconds;
  bool operator==(const DeploymentSpec&) const = default;
};
// Counts over all ReplicaSets of the Deployment.
struct DeploymentStatus {
  std::int64_t observed_generation = 0;
  std::int32_t replicas = 0;
  std::int32_t updated_replicas = 0;
  std::int32_t ready_replicas = 0;
  std::int32_t available_replicas = 0;
  std::int32_t unavailable_replicas = 0;
  std::vector<Condition> conditions;
  bool operator==(const DeploymentStatus&) const = default;
};
// Replaces pods step by step when its template changes.
struct Deployment {
  ObjectMeta metadata;
  DeploymentSpec spec;
  DeploymentStatus status;
  bool operator==(const Deployment&) const = default;
};

template <> const TypeSchema& schema_of<ReplicaSetSpec>();
template <> const TypeSchema& schema_of<ReplicaSetStatus>();
template <> const TypeSchema& schema_of<ReplicaSet>();
template <> const TypeSchema& schema_of<RollingUpdateDeployment>();
template <> const TypeSchema& schema_of<DeploymentStrategy>();
template <> const TypeSchema& schema_of<DeploymentSpec>();
template <> const TypeSchema& schema_of<DeploymentStatus>();
template <> const TypeSchema& schema_of<Deployment>();
template <> const Kind& kind_of<ReplicaSet>();
template <> const Kind& kind_of<Deployment>();

}  // namespace moored
