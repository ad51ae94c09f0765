#include "schema/model/apps.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

// Up-to-date and Available are texts there, not integers, and so they are here.
std::vector<Cell> deployment_cells(const Object& object, Time now) {
  const auto& deployment = object.as<Deployment>();
  const auto& status = deployment.status;
  std::vector<Cell> cells{
      name_cell(object),
      Cell::of(std::to_string(status.ready_replicas) + "/" +
               std::to_string(deployment.spec.replicas.value_or(0))),
      Cell::of(std::to_string(status.updated_replicas)),
      Cell::of(std::to_string(status.available_replicas)),
      age_cell(object, now)};
  add_template_cells(deployment.spec.pod_template,
                     selector_text(deployment.spec.selector.value_or(LabelSelector{})), cells);
  return cells;
}

// All three counts are integers.
std::vector<Cell> replica_set_cells(const Object& object, Time now) {
  const auto& set = object.as<ReplicaSet>();
  std::vector<Cell> cells{name_cell(object), Cell::of_integer(set.spec.replicas.value_or(0)),
                          Cell::of_integer(set.status.replicas),
                          Cell::of_integer(set.status.ready_replicas), age_cell(object, now)};
  add_template_cells(set.spec.pod_template,
                     selector_text(set.spec.selector.value_or(LabelSelector{})), cells);
  return cells;
}

constexpr Column kDeploymentColumns[] = {
    kNameColumn,
    text_column("Ready", "Pods that are ready, of the goal."),
    text_column("Up-to-date", "Pods of the newest template."),
    text_column("Available", "Pods ready for minReadySeconds."),
    kAgeColumn, kContainersColumn, kImagesColumn, kSelectorColumn};

}  // namespace

const TableFormat kDeploymentTable{kDeploymentColumns, &deployment_cells};
const TableFormat kReplicaSetTable{kReplicaColumns, &replica_set_cells};

}  // namespace moored
