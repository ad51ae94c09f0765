// Endpoints and EndpointSlice: the addresses behind a Service. They may be declared for Services
// without a selector; for the others moored writes them.
#include "schema/model/core.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "net/proxy";
constexpr std::string_view kNote = "net/api";

constexpr std::array<std::string_view, 3> kProtocols{"TCP", "UDP", "SCTP"};
constexpr std::array<std::string_view, 1> kAddressTypes{"IPv4"};
constexpr std::size_t kMaxSliceEndpoints = 1000;

// Traffic of a Service must not be led to the node itself.
std::optional<Error> check_endpoint_address(std::string_view address) {
  if (auto error = check_ip_address(address)) return error;
  const bool own = address.rfind("127.", 0) == 0 || address.rfind("169.254.", 0) == 0 ||
                   address.rfind("0.", 0) == 0 || address == "::1";
  if (!own) return std::nullopt;
  return invalid_value("the address " + quoted(address) + " cannot stand behind a Service",
                       "use an address that is not the node's own");
}

// Named as the Service, and therefore by the grammar of Services.
void check_endpoints(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const Endpoints*>(object)->metadata, &check_service_name, errors);
}

// The limit keeps one change of one pod from rewriting a huge object.
void check_slice(const void* object, std::vector<Error>& errors) {
  const auto& slice = *static_cast<const EndpointSlice*>(object);
  check_metadata(slice.metadata, &check_dns_subdomain, errors);
  if (slice.endpoints.size() > kMaxSliceEndpoints) {
    add_at(errors, "endpoints",
           Error{Code::invalid, std::to_string(slice.endpoints.size()) + " endpoints are listed",
                 "LimitExceeded", {},
                 "keep at most " + std::to_string(kMaxSliceEndpoints) + " in one slice"});
  }
}

}  // namespace

// Source: core/v1 EndpointAddress. Loopback and link-local addresses would lead to the node.
template <>
const TypeSchema& schema_of<EndpointAddress>() {
  using T = EndpointAddress;
  static constexpr Field kFields[] = {
      field<&T::ip>("ip", {.flags = kRequired, .check = &full_text_check<&check_endpoint_address>,
                           .carried_by = kBy, .doc = "Address."}),
      field<&T::hostname>("hostname", {.check = &text_check<&check_dns_label>,
                                       .carried_by = kNote, .doc = "Host name."}),
      field<&T::node_name>("nodeName", {.carried_by = kNote, .doc = "Node of the address."}),
      field<&T::target_ref>("targetRef", {.carried_by = kNote, .doc = "The pod behind it."}),
  };
  static constexpr TypeSchema kSchema{"EndpointAddress", kFields};
  return kSchema;
}

// Source: core/v1 EndpointPort and discovery/v1 EndpointPort, which are the same.
template <>
const TypeSchema& schema_of<EndpointPort>() {
  using T = EndpointPort;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.check = &text_check<&check_dns_label>, .carried_by = kBy,
                               .doc = "Name of the Service's port."}),
      field<&T::port>("port", {.flags = kRequired, .check = kPort, .carried_by = kBy,
                               .doc = "Port number."}),
      field<&T::protocol>("protocol", {.fallback = "\"TCP\"", .check = &words_check<kProtocols>,
                                       .carried_by = kBy, .doc = "TCP, UDP or SCTP."}),
      field<&T::app_protocol>("appProtocol", {.check = &text_check<&check_label_key>,
                                              .carried_by = kNote,
                                              .doc = "What is spoken on the port; a note."}),
  };
  static constexpr TypeSchema kSchema{"EndpointPort", kFields};
  return kSchema;
}

// Source: core/v1 EndpointSubset.
template <>
const TypeSchema& schema_of<EndpointSubset>() {
  using T = EndpointSubset;
  static constexpr Field kFields[] = {
      field<&T::addresses>("addresses", {.carried_by = kBy, .doc = "Addresses that are ready."}),
      field<&T::not_ready_addresses>("notReadyAddresses",
                                     {.carried_by = kBy, .doc = "Addresses that are not."}),
      field<&T::ports>("ports", {.carried_by = kBy, .doc = "Ports of the addresses."}),
  };
  static constexpr TypeSchema kSchema{"EndpointSubset", kFields};
  return kSchema;
}

// Source: core/v1 Endpoints.
template <>
const TypeSchema& schema_of<Endpoints>() {
  using T = Endpoints;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::subsets>("subsets", {.carried_by = kBy, .doc = "Addresses with their ports."}),
  };
  static constexpr TypeSchema kSchema{"Endpoints", kFields, &check_endpoints};
  return kSchema;
}

template <>
const Kind& kind_of<Endpoints>() {
  static constexpr std::string_view kShort[] = {"ep"};
  static constexpr Kind kRow = row_of<Endpoints>(
      {.group = "", .version = "v1", .kind = "Endpoints", .plural = "endpoints",
       .singular = "endpoints", .short_names = kShort, .table = &kEndpointsTable});
  return kRow;
}

// Source: discovery/v1 EndpointConditions.
template <>
const TypeSchema& schema_of<EndpointConditions>() {
  using T = EndpointConditions;
  static constexpr Field kFields[] = {
      field<&T::ready>("ready", {.carried_by = kBy, .doc = "Takes new connections."}),
      field<&T::serving>("serving", {.carried_by = kBy, .doc = "Serves, also while ending."}),
      field<&T::terminating>("terminating", {.carried_by = kBy, .doc = "Is ending."}),
  };
  static constexpr TypeSchema kSchema{"EndpointConditions", kFields};
  return kSchema;
}

// Source: discovery/v1 Endpoint.
template <>
const TypeSchema& schema_of<SliceEndpoint>() {
  using T = SliceEndpoint;
  static constexpr Field kFields[] = {
      field<&T::addresses>("addresses", {.flags = kRequired,
                                         .check = &each_check<&check_endpoint_address>,
                                         .carried_by = kBy, .doc = "Addresses."}),
      field<&T::conditions>("conditions", {.carried_by = kBy, .doc = "State of the endpoint."}),
      field<&T::hostname>("hostname", {.check = &text_check<&check_dns_label>,
                                       .carried_by = kNote, .doc = "Host name."}),
      field<&T::target_ref>("targetRef", {.carried_by = kNote, .doc = "The pod behind it."}),
      field<&T::node_name>("nodeName", {.carried_by = kNote, .doc = "Node of the endpoint."}),
      refused("zone", "there is one node; remove it"),
      refused("hints", "there is one node; remove it"),
      refused("deprecatedTopology", "remove it"),
  };
  static constexpr TypeSchema kSchema{"Endpoint", kFields};
  return kSchema;
}

// Source: discovery/v1 EndpointSlice. At most 1,000 endpoints, as there.
template <>
const TypeSchema& schema_of<EndpointSlice>() {
  using T = EndpointSlice;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::address_type>("addressType", {.flags = kRequired | kImmutable,
                                              .check = &words_check<kAddressTypes>,
                                              .carried_by = kBy, .doc = "IPv4."}),
      field<&T::endpoints>("endpoints", {.carried_by = kBy, .doc = "The endpoints."}),
      field<&T::ports>("ports", {.carried_by = kBy, .doc = "Ports of all endpoints."}),
  };
  static constexpr TypeSchema kSchema{"EndpointSlice", kFields, &check_slice};
  return kSchema;
}

template <>
const Kind& kind_of<EndpointSlice>() {
  static constexpr Kind kRow = row_of<EndpointSlice>(
      {.group = "discovery.k8s.io", .version = "v1", .kind = "EndpointSlice",
       .plural = "endpointslices", .singular = "endpointslice", .table = &kEndpointSliceTable});
  return kRow;
}

}  // namespace moored
