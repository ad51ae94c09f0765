#include "schema/model/apps.hpp"
#include "schema/model/tables.hpp"
#include "schema/model/workload_row.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "reconciler/controllers";
constexpr std::array<std::string_view, 2> kStrategies{"RollingUpdate", "Recreate"};

// 0 and 0% are the same bound.
bool is_zero(const std::optional<IntOrString>& amount) {
  return amount && (amount->is_string ? amount->text == "0%" : amount->number == 0);
}

// Nothing added and nothing taken away: the roll-out would stand still for ever.
void check_rolling_update(const void* object, std::vector<Error>& errors) {
  const auto& update = *static_cast<const RollingUpdateDeployment*>(object);
  if (!is_zero(update.max_unavailable) || !is_zero(update.max_surge)) return;
  add_at(errors, "maxUnavailable",
         invalid_value("with maxSurge 0 and maxUnavailable 0 no pod could ever be replaced",
                       "raise one of them"));
}

// Also called by complete_strategy, for a strategy that was left out.
void complete_rolling_update(void* object) {
  auto& update = *static_cast<RollingUpdateDeployment*>(object);
  if (!update.max_unavailable) update.max_unavailable = IntOrString::of("25%");
  if (!update.max_surge) update.max_surge = IntOrString::of("25%");
}

// Recreate stops all pods first, so bounds would say nothing.
void check_strategy(const void* object, std::vector<Error>& errors) {
  const auto& strategy = *static_cast<const DeploymentStrategy*>(object);
  if (strategy.type != "Recreate" || !strategy.rolling_update) return;
  add_at(errors, "rollingUpdate", invalid_value("the type Recreate has no such settings",
                                                "remove rollingUpdate"));
}

// A strategy that names only bounds means RollingUpdate.
void complete_strategy(void* object) {
  auto& strategy = *static_cast<DeploymentStrategy*>(object);
  if (strategy.type.empty()) strategy.type = "RollingUpdate";
  if (strategy.type != "RollingUpdate") return;
  if (!strategy.rolling_update) strategy.rolling_update.emplace();
  complete_rolling_update(&*strategy.rolling_update);
}

// The strategy may be missing altogether; then its own hook has not run.
void complete_spec(void* object) {
  complete_strategy(&static_cast<DeploymentSpec*>(object)->strategy);
}

// The selector, the template and the two times have to fit one another.
void check_deployment(const void* object, std::vector<Error>& errors) {
  const auto& deployment = *static_cast<const Deployment*>(object);
  check_metadata(deployment.metadata, &check_dns_subdomain, errors);
  const auto& spec = deployment.spec;
  check_template_selector(spec.selector, spec.pod_template, errors);
  check_template_restarts(spec.pod_template, errors);
  if (spec.progress_deadline_seconds && *spec.progress_deadline_seconds <= spec.min_ready_seconds) {
    add_at(errors, "spec.progressDeadlineSeconds",
           invalid_value(std::to_string(*spec.progress_deadline_seconds) +
                             " is not above minReadySeconds",
                         "raise it above " + std::to_string(spec.min_ready_seconds)));
  }
}

}  // namespace

// Source: apps/v1 RollingUpdateDeployment; a quarter each is the default.
template <>
const TypeSchema& schema_of<RollingUpdateDeployment>() {
  using T = RollingUpdateDeployment;
  static constexpr Field kFields[] = {
      field<&T::max_unavailable>("maxUnavailable",
                                 {.fallback = "\"25%\"", .check = &amount_check,
                                  .carried_by = kBy,
                                  .doc = "Pods that may be missing, rounded down."}),
      field<&T::max_surge>("maxSurge", {.fallback = "\"25%\"", .check = &amount_check,
                                        .carried_by = kBy,
                                        .doc = "Pods beyond the goal, rounded up."}),
  };
  static constexpr TypeSchema kSchema{"RollingUpdateDeployment", kFields, &check_rolling_update};
  return kSchema;
}

// Source: apps/v1 DeploymentStrategy.
template <>
const TypeSchema& schema_of<DeploymentStrategy>() {
  using T = DeploymentStrategy;
  static constexpr Field kFields[] = {
      field<&T::type>("type", {.fallback = "\"RollingUpdate\"",
                               .check = &words_check<kStrategies>, .carried_by = kBy,
                               .doc = "RollingUpdate or Recreate."}),
      field<&T::rolling_update>("rollingUpdate", {.carried_by = kBy,
                                                  .doc = "How fast pods are replaced."}),
  };
  static constexpr TypeSchema kSchema{"DeploymentStrategy", kFields, &check_strategy,
                                      &complete_strategy};
  return kSchema;
}

// Source: apps/v1 DeploymentSpec and its defaults: ten old ReplicaSets, ten minutes.
template <>
const TypeSchema& schema_of<DeploymentSpec>() {
  using T = DeploymentSpec;
  static constexpr Field kFields[] = {
      field<&T::replicas>("replicas", {.fallback = "1", .check = kNatural32, .carried_by = kBy,
                                       .doc = "How many pods there shall be."}),
      field<&T::selector>("selector", {.flags = kRequired | kImmutable, .carried_by = kBy,
                                       .doc = "Which pods belong here."}),
      field<&T::pod_template>("template", {.flags = kRequired, .carried_by = kBy,
                                           .doc = "What the pods are."}),
      field<&T::strategy>("strategy", {.carried_by = kBy, .doc = "How pods are replaced."}),
      field<&T::min_ready_seconds>("minReadySeconds",
                                   {.check = kNatural32, .carried_by = kBy,
                                    .doc = "Seconds of readiness before a pod is available."}),
      field<&T::revision_history_limit>("revisionHistoryLimit",
                                        {.fallback = "10", .check = kNatural32, .carried_by = kBy,
                                         .doc = "Old ReplicaSets that are kept."}),
      field<&T::paused>("paused", {.carried_by = kBy, .doc = "Whether the roll-out rests."}),
      field<&T::progress_deadline_seconds>(
          "progressDeadlineSeconds",
          {.fallback = "600", .check = kPositive32, .carried_by = kBy,
           .doc = "Seconds without progress after which the roll-out has failed."}),
  };
  static constexpr TypeSchema kSchema{"DeploymentSpec", kFields, nullptr, &complete_spec};
  return kSchema;
}

// Source: apps/v1 DeploymentStatus.
template <>
const TypeSchema& schema_of<DeploymentStatus>() {
  using T = DeploymentStatus;
  static constexpr Field kFields[] = {
      field<&T::observed_generation>("observedGeneration",
                                     {.carried_by = kBy, .doc = "Generation that was seen."}),
      field<&T::replicas>("replicas", {.carried_by = kBy, .doc = "Pods that exist."}),
      field<&T::updated_replicas>("updatedReplicas", {.carried_by = kBy,
                                                      .doc = "Pods of the newest template."}),
      field<&T::ready_replicas>("readyReplicas", {.carried_by = kBy, .doc = "Ready pods."}),
      field<&T::available_replicas>("availableReplicas",
                                    {.carried_by = kBy,
                                     .doc = "Pods ready for minReadySeconds."}),
      field<&T::unavailable_replicas>("unavailableReplicas",
                                      {.carried_by = kBy, .doc = "Pods that are still missing."}),
      field<&T::conditions>("conditions", {.merge_key = "type", .carried_by = kBy,
                                           .doc = "Available, Progressing, ReplicaFailure."}),
  };
  static constexpr TypeSchema kSchema{"DeploymentStatus", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<Deployment>() {
  using T = Deployment;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "The goal."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"Deployment", kFields, &check_deployment};
  return kSchema;
}

template <>
const Kind& kind_of<Deployment>() {
  static constexpr std::string_view kShort[] = {"deploy"};
  static constexpr std::string_view kParts[] = {"status", "scale"};
  static constexpr Kind kRow = row_of<Deployment>(
      {.group = "apps", .version = "v1", .kind = "Deployment", .plural = "deployments",
       .singular = "deployment", .short_names = kShort, .in_all = true, .subresources = kParts,
       .table = &kDeploymentTable});
  return kRow;
}

}  // namespace moored
