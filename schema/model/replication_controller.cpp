#include "schema/model/replication_controller.hpp"

#include "schema/model/table_cells.hpp"
#include "schema/model/workload_row.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "reconciler/controllers";

// Before there were defaults for everything, the template's labels stood in for the selector and
// for the object's own labels. Source: core/v1 defaults of ReplicationController.
void complete_controller(void* object) {
  auto& controller = *static_cast<ReplicationController*>(object);
  const auto& labels = controller.spec.pod_template.metadata.labels;
  if (controller.spec.selector.empty()) controller.spec.selector = labels;
  if (controller.metadata.labels.empty()) controller.metadata.labels = labels;
}

// As for ReplicaSets, with the map as the selector.
void check_controller(const void* object, std::vector<Error>& errors) {
  const auto& controller = *static_cast<const ReplicationController*>(object);
  check_metadata(controller.metadata, &check_dns_subdomain, errors);
  const LabelSelector selector{controller.spec.selector, {}};
  check_template_selector(selector, controller.spec.pod_template, errors);
  check_template_restarts(controller.spec.pod_template, errors);
}

// The same cells as for ReplicaSets.
std::vector<Cell> controller_cells(const Object& object, Time now) {
  const auto& controller = object.as<ReplicationController>();
  std::vector<Cell> cells{name_cell(object),
                          Cell::of_integer(controller.spec.replicas.value_or(0)),
                          Cell::of_integer(controller.status.replicas),
                          Cell::of_integer(controller.status.ready_replicas),
                          age_cell(object, now)};
  add_template_cells(controller.spec.pod_template,
                     selector_text(LabelSelector{controller.spec.selector, {}}), cells);
  return cells;
}

constexpr TableFormat kTable{kReplicaColumns, &controller_cells};

}  // namespace

template <>
const TypeSchema& schema_of<ReplicationControllerSpec>() {
  using T = ReplicationControllerSpec;
  static constexpr Field kFields[] = {
      field<&T::replicas>("replicas", {.fallback = "1", .check = kNatural32, .carried_by = kBy,
                                       .doc = "How many pods there shall be."}),
      field<&T::min_ready_seconds>("minReadySeconds",
                                   {.check = kNatural32, .carried_by = kBy,
                                    .doc = "Seconds of readiness before a pod is available."}),
      field<&T::selector>("selector",
                          {.check = &keys_check<&check_label_key, &check_label_value>,
                           .carried_by = kBy,
                           .doc = "Labels of the pods; the template's when left out."}),
      field<&T::pod_template>("template", {.flags = kRequired, .carried_by = kBy,
                                           .doc = "What the pods are."}),
  };
  static constexpr TypeSchema kSchema{"ReplicationControllerSpec", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<ReplicationController>() {
  using T = ReplicationController;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "The goal."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"ReplicationController", kFields, &check_controller,
                                      &complete_controller};
  return kSchema;
}

template <>
const Kind& kind_of<ReplicationController>() {
  static constexpr std::string_view kShort[] = {"rc"};
  static constexpr std::string_view kParts[] = {"status", "scale"};
  static constexpr std::string_view kPaths[] = {"status.replicas"};
  static constexpr Kind kRow = row_of<ReplicationController>(
      {.group = "", .version = "v1", .kind = "ReplicationController",
       .plural = "replicationcontrollers", .singular = "replicationcontroller",
       .short_names = kShort, .in_all = true, .subresources = kParts, .table = &kTable,
       .selectable = kPaths});
  return kRow;
}

}  // namespace moored
