#include "schema/model/apps.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

constexpr Column kContainers = wide_column("Containers", "Names of the containers.");
constexpr Column kImages = wide_column("Images", "Images of the containers.");
constexpr Column kSelector = wide_column("Selector", "Labels of the pods that belong here.");

// Containers, Images and Selector end the row of every workload.
void add_template_cells(const PodTemplateSpec& pod_template, const LabelSelector& selector,
                        std::vector<Cell>& cells) {
  const auto& containers = pod_template.spec.containers;
  cells.push_back(Cell::of(joined(containers, ",", [](const auto& c) { return c.name; })));
  cells.push_back(Cell::of(joined(containers, ",", [](const auto& c) { return c.image; })));
  cells.push_back(Cell::of(selector_text(selector)));
}

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
                     deployment.spec.selector.value_or(LabelSelector{}), cells);
  return cells;
}

std::vector<Cell> replica_set_cells(const Object& object, Time now) {
  const auto& set = object.as<ReplicaSet>();
  std::vector<Cell> cells{name_cell(object), Cell::of_integer(set.spec.replicas.value_or(0)),
                          Cell::of_integer(set.status.replicas),
                          Cell::of_integer(set.status.ready_replicas), age_cell(object, now)};
  add_template_cells(set.spec.pod_template, set.spec.selector.value_or(LabelSelector{}), cells);
  return cells;
}

constexpr Column kDeploymentColumns[] = {
    kNameColumn,
    text_column("Ready", "Pods that are ready, of the goal."),
    text_column("Up-to-date", "Pods of the newest template."),
    text_column("Available", "Pods ready for minReadySeconds."),
    kAgeColumn, kContainers, kImages, kSelector};

constexpr Column kReplicaSetColumns[] = {
    kNameColumn,
    integer_column("Desired", "The goal."),
    integer_column("Current", "Pods that exist."),
    integer_column("Ready", "Pods that are ready."),
    kAgeColumn, kContainers, kImages, kSelector};

}  // namespace

const TableFormat kDeploymentTable{kDeploymentColumns, &deployment_cells};
const TableFormat kReplicaSetTable{kReplicaSetColumns, &replica_set_cells};

}  // namespace moored
