#include <set>

#include "schema/model/cluster.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

// "Ready,SchedulingDisabled" and the like.
std::string node_status(const Node& node) {
  const auto* ready = find_condition(node.status.conditions, "Ready");
  std::string out = "Unknown";
  if (ready != nullptr) out = ready->status == "True" ? "Ready" : "NotReady";
  if (node.spec.unschedulable) out += ",SchedulingDisabled";
  return out;
}

// Sorted, because labels of both forms can name the same role.
std::string node_roles(const Labels& labels) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const auto& [key, value] : labels) {
    if (key.rfind(kPrefix, 0) == 0 && key.size() > kPrefix.size()) {
      roles.insert(key.substr(kPrefix.size()));
    } else if (key == "kubernetes.io/role" && !value.empty()) {
      roles.insert(value);
    }
  }
  return joined(roles, ",", [](const auto& role) { return role; });
}

// The first address of a type.
std::string node_address(const Node& node, std::string_view type) {
  for (const auto& address : node.status.addresses) {
    if (address.type == type) return address.address;
  }
  return {};
}

// What an agent has not reported yet.
Cell or_unknown(const std::string& text) {
  return Cell::of(text.empty() ? std::string(kUnknownText) : text);
}

// The wide cells come from the node's own report.
std::vector<Cell> node_cells(const Object& object, Time now) {
  const auto& node = object.as<Node>();
  const auto& about = node.status.node_info;
  return {name_cell(object),
          Cell::of(node_status(node)),
          or_none(node_roles(node.metadata.labels)),
          age_cell(object, now),
          Cell::of(about.kubelet_version),
          or_none(node_address(node, "InternalIP")),
          or_none(node_address(node, "ExternalIP")),
          or_unknown(about.os_image),
          or_unknown(about.kernel_version),
          or_unknown(about.container_runtime_version)};
}

// Newer writers leave source empty and fill in the reporting fields.
std::string event_source(const Event& event) {
  const auto& component =
      event.source.component.empty() ? event.reporting_component : event.source.component;
  const auto& host = event.source.host.empty() ? event.reporting_instance : event.source.host;
  return component + (component.empty() || host.empty() ? "" : ", ") + host;
}

// Events written by newer clients have eventTime and no other time.
std::vector<Cell> event_cells(const Object& object, Time now) {
  const auto& event = object.as<Event>();
  const auto first = event.first_timestamp ? event.first_timestamp : event.event_time;
  const auto last = event.last_timestamp ? event.last_timestamp : first;
  std::string about = event.involved_object.kind;
  std::transform(about.begin(), about.end(), about.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  about += "/" + event.involved_object.name;
  return {Cell::of(age_text(last, now)),
          Cell::of(event.type),
          Cell::of(event.reason),
          Cell::of(about),
          Cell::of(event.involved_object.field_path),
          Cell::of(event_source(event)),
          Cell::of(event.message),
          Cell::of(age_text(first, now)),
          Cell::of_integer(std::max(1, event.count)),
          name_cell(object)};
}

// The holder is the node.
std::vector<Cell> lease_cells(const Object& object, Time now) {
  return {name_cell(object), Cell::of(object.as<Lease>().spec.holder_identity),
          age_cell(object, now)};
}

constexpr Column kNodeColumns[] = {
    kNameColumn,
    text_column("Status", "Ready, NotReady or Unknown."),
    text_column("Roles", "Roles that labels name."),
    kAgeColumn,
    text_column("Version", "Version of moored."),
    wide_column("Internal-IP", "Address on the node's network."),
    wide_column("External-IP", "Address from outside."),
    wide_column("OS-Image", "Name of the operating system."),
    wide_column("Kernel-Version", "Version of the kernel."),
    wide_column("Container-Runtime", "What runs the containers."),
};
constexpr Column kEventColumns[] = {
    text_column("Last Seen", "Time since it was last seen."),
    text_column("Type", "Normal or Warning."),
    text_column("Reason", "One word."),
    text_column("Object", "What it is about."),
    wide_column("Subobject", "The part it is about."),
    wide_column("Source", "Who saw it."),
    text_column("Message", "A sentence."),
    wide_column("First Seen", "Time since it was first seen."),
    wide_column("Count", "How often it was seen."),
    {"Name", "string", "name", 1, "Name of the event."},
};
constexpr Column kLeaseColumns[] = {kNameColumn, text_column("Holder", "Who holds it."),
                                    kAgeColumn};

}  // namespace

const TableFormat kNodeTable{kNodeColumns, &node_cells};
const TableFormat kEventTable{kEventColumns, &event_cells};
const TableFormat kLeaseTable{kLeaseColumns, &lease_cells};

}  // namespace moored
