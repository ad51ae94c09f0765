#include "schema/model/core.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

std::vector<Cell> namespace_cells(const Object& object, Time now) {
  return {name_cell(object), Cell::of(object.as<Namespace>().status.phase),
          age_cell(object, now)};
}

// Entries of both maps are files of one directory.
std::vector<Cell> config_map_cells(const Object& object, Time now) {
  const auto& map = object.as<ConfigMap>();
  return {name_cell(object), Cell::of(std::to_string(map.data.size() + map.binary_data.size())),
          age_cell(object, now)};
}

// The number of keys, never what they hold.
std::vector<Cell> secret_cells(const Object& object, Time now) {
  const auto& secret = object.as<Secret>();
  return {name_cell(object), Cell::of(secret.type), Cell::of(std::to_string(secret.data.size())),
          age_cell(object, now)};
}

std::vector<Cell> service_account_cells(const Object& object, Time now) {
  return {name_cell(object),
          Cell::of(std::to_string(object.as<ServiceAccount>().secrets.size())),
          age_cell(object, now)};
}

// 80/TCP, or 80:30080/TCP with a port of the node.
std::string port_text(const ServicePort& port) {
  auto out = std::to_string(port.port);
  if (port.node_port != 0) out += ":" + std::to_string(port.node_port);
  return out + "/" + port.protocol;
}

// There are no addresses from outside yet, so that cell is <none>.
std::vector<Cell> service_cells(const Object& object, Time now) {
  const auto& spec = object.as<Service>().spec;
  return {name_cell(object),
          Cell::of(spec.type),
          or_none(spec.cluster_ips.empty() ? spec.cluster_ip : spec.cluster_ips.front()),
          Cell::of(std::string(kNoneText)),
          or_none(joined(spec.ports, ",", &port_text)),
          age_cell(object, now),
          or_none(labels_text(spec.selector))};
}

// Addresses that are not ready are left out.
std::vector<Cell> endpoints_cells(const Object& object, Time now) {
  std::vector<std::string> texts;
  for (const auto& subset : object.as<Endpoints>().subsets) {
    for (const auto& address : subset.addresses) {
      if (subset.ports.empty()) texts.push_back(address.ip);
      for (const auto& port : subset.ports) {
        texts.push_back(address.ip + ":" + std::to_string(port.port));
      }
    }
  }
  return {name_cell(object), or_none(first_three(texts)), age_cell(object, now)};
}

// Slices say <unset> where other kinds say <none>.
Cell or_unset(std::string text) {
  return Cell::of(text.empty() ? std::string(kUnsetText) : std::move(text));
}

// A port without a number means every port.
std::vector<Cell> endpoint_slice_cells(const Object& object, Time now) {
  const auto& slice = object.as<EndpointSlice>();
  std::vector<std::string> ports;
  for (const auto& port : slice.ports) {
    ports.push_back(port.port == 0 ? "*" : std::to_string(port.port));
  }
  std::vector<std::string> addresses;
  for (const auto& endpoint : slice.endpoints) {
    addresses.insert(addresses.end(), endpoint.addresses.begin(), endpoint.addresses.end());
  }
  return {name_cell(object), Cell::of(slice.address_type), or_unset(first_three(ports)),
          or_unset(first_three(addresses)), age_cell(object, now)};
}

constexpr Column kDataColumn = text_column("Data", "Number of entries.");

constexpr Column kNamespaceColumns[] = {
    kNameColumn, text_column("Status", "Active or Terminating."), kAgeColumn};
constexpr Column kConfigMapColumns[] = {kNameColumn, kDataColumn, kAgeColumn};
constexpr Column kSecretColumns[] = {kNameColumn, text_column("Type", "What the keys mean."),
                                     kDataColumn, kAgeColumn};
constexpr Column kServiceAccountColumns[] = {
    kNameColumn, text_column("Secrets", "Number of secrets."), kAgeColumn};
constexpr Column kServiceColumns[] = {
    kNameColumn,
    text_column("Type", "How the Service can be reached."),
    text_column("Cluster-IP", "Address of the Service."),
    text_column("External-IP", "Addresses from outside."),
    text_column("Port(s)", "Ports and protocols."),
    kAgeColumn,
    wide_column("Selector", "Labels of the pods behind it.")};
constexpr Column kEndpointsColumns[] = {
    kNameColumn, text_column("Endpoints", "Addresses and ports that are ready."), kAgeColumn};
constexpr Column kEndpointSliceColumns[] = {
    kNameColumn, text_column("AddressType", "Family of the addresses."),
    text_column("Ports", "Ports of the endpoints."),
    text_column("Endpoints", "Addresses of the endpoints."), kAgeColumn};

}  // namespace

const TableFormat kNamespaceTable{kNamespaceColumns, &namespace_cells};
const TableFormat kConfigMapTable{kConfigMapColumns, &config_map_cells};
const TableFormat kSecretTable{kSecretColumns, &secret_cells};
const TableFormat kServiceAccountTable{kServiceAccountColumns, &service_account_cells};
const TableFormat kServiceTable{kServiceColumns, &service_cells};
const TableFormat kEndpointsTable{kEndpointsColumns, &endpoints_cells};
const TableFormat kEndpointSliceTable{kEndpointSliceColumns, &endpoint_slice_cells};

}  // namespace moored
