#include "schema/model/apps.hpp"
#include "schema/model/tables.hpp"
#include "schema/model/workload_row.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "reconciler/controllers";

// The selector and the template have to fit each other.
void check_replica_set(const void* object, std::vector<Error>& errors) {
  const auto& set = *static_cast<const ReplicaSet*>(object);
  check_metadata(set.metadata, &check_dns_subdomain, errors);
  check_template_selector(set.spec.selector, set.spec.pod_template, errors);
  check_template_restarts(set.spec.pod_template, errors);
}

}  // namespace

// Source: apps/v1 ReplicaSetSpec. The selector is required and fixed since apps/v1.
template <>
const TypeSchema& schema_of<ReplicaSetSpec>() {
  using T = ReplicaSetSpec;
  static constexpr Field kFields[] = {
      field<&T::replicas>("replicas", {.fallback = "1", .check = kNatural32, .carried_by = kBy,
                                       .doc = "How many pods there shall be."}),
      field<&T::min_ready_seconds>("minReadySeconds",
                                   {.check = kNatural32, .carried_by = kBy,
                                    .doc = "Seconds of readiness before a pod is available."}),
      field<&T::selector>("selector", {.flags = kRequired | kImmutable, .carried_by = kBy,
                                       .doc = "Which pods belong here."}),
      field<&T::pod_template>("template", {.flags = kRequired, .carried_by = kBy,
                                           .doc = "What the pods are."}),
  };
  static constexpr TypeSchema kSchema{"ReplicaSetSpec", kFields};
  return kSchema;
}

// Source: apps/v1 ReplicaSetStatus. replicas is written also when it is zero.
template <>
const TypeSchema& schema_of<ReplicaSetStatus>() {
  using T = ReplicaSetStatus;
  static constexpr Field kFields[] = {
      field<&T::replicas>("replicas", {.flags = kKeepZero, .carried_by = kBy,
                                       .doc = "Pods that exist."}),
      field<&T::fully_labeled_replicas>("fullyLabeledReplicas",
                                        {.carried_by = kBy,
                                         .doc = "Pods with all labels of the template."}),
      field<&T::ready_replicas>("readyReplicas", {.carried_by = kBy, .doc = "Ready pods."}),
      field<&T::available_replicas>("availableReplicas",
                                    {.carried_by = kBy,
                                     .doc = "Pods ready for minReadySeconds."}),
      field<&T::observed_generation>("observedGeneration",
                                     {.carried_by = kBy, .doc = "Generation that was seen."}),
      field<&T::conditions>("conditions", {.merge_key = "type", .carried_by = kBy,
                                           .doc = "What keeps it from its goal."}),
  };
  static constexpr TypeSchema kSchema{"ReplicaSetStatus", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<ReplicaSet>() {
  using T = ReplicaSet;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "The goal."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"ReplicaSet", kFields, &check_replica_set};
  return kSchema;
}

template <>
const Kind& kind_of<ReplicaSet>() {
  static constexpr std::string_view kShort[] = {"rs"};
  static constexpr std::string_view kParts[] = {"status", "scale"};
  static constexpr std::string_view kPaths[] = {"status.replicas"};
  static constexpr Kind kRow = row_of<ReplicaSet>(
      {.group = "apps", .version = "v1", .kind = "ReplicaSet", .plural = "replicasets",
       .singular = "replicaset", .short_names = kShort, .in_all = true, .subresources = kParts,
       .table = &kReplicaSetTable, .selectable = kPaths});
  return kRow;
}

}  // namespace moored
