// The small kinds of the core group: Namespace, ConfigMap, Secret, Service, Endpoints and so on.
#pragma once

#include "schema/model/meta.hpp"
#include "schema/model/quantity.hpp"

namespace moored {

struct NamespaceSpec {
  std::vector<std::string> finalizers;
  bool operator==(const NamespaceSpec&) const = default;
};
struct NamespaceStatus {
  std::string phase;  // Active, Terminating
  bool operator==(const NamespaceStatus&) const = default;
};
struct Namespace {
  ObjectMeta metadata;
  NamespaceSpec spec;
  NamespaceStatus status;
  bool operator==(const Namespace&) const = default;
};

struct ConfigMap {
  ObjectMeta metadata;
  std::map<std::string, std::string> data;
  std::map<std::string, std::string> binary_data;  // raw bytes; base64 in JSON
  std::optional<bool> immutable;
  bool operator==(const ConfigMap&) const = default;
};

struct Secret {
  ObjectMeta metadata;
  std::string type;
  std::map<std::string, std::string> data;         // raw bytes; base64 in JSON
  std::map<std::string, std::string> string_data;  // only in manifests; merged into data
  std::optional<bool> immutable;
  bool operator==(const Secret&) const = default;
};

struct ServiceAccount {
  ObjectMeta metadata;
  std::vector<ObjectReference> secrets;
  std::vector<LocalObjectReference> image_pull_secrets;
  std::optional<bool> automount_service_account_token;
  bool operator==(const ServiceAccount&) const = default;
};

struct ServicePort {
  std::string name;
  std::string protocol = "TCP";
  std::string app_protocol;
  std::int32_t port = 0;
  std::optional<IntOrString> target_port;
  std::int32_t node_port = 0;
  bool operator==(const ServicePort&) const = default;
};
struct ServiceSpec {
  std::vector<ServicePort> ports;
  Labels selector;
  std::string cluster_ip;                // JSON name: clusterIP
  std::vector<std::string> cluster_ips;  // JSON name: clusterIPs
  std::vector<std::string> external_ips;  // JSON name: externalIPs; refused by policy
  std::string type;
  std::string session_affinity;
  std::vector<std::string> ip_families;
  std::string ip_family_policy;
  std::string internal_traffic_policy;
  bool publish_not_ready_addresses = false;
  bool operator==(const ServiceSpec&) const = default;
};
struct ServiceStatus {
  std::vector<Condition> conditions;
  bool operator==(const ServiceStatus&) const = default;
};
struct Service {
  ObjectMeta metadata;
  ServiceSpec spec;
  ServiceStatus status;
  bool operator==(const Service&) const = default;
};

struct EndpointAddress {
  std::string ip;
  std::string hostname;
  std::string node_name;
  std::optional<ObjectReference> target_ref;
  bool operator==(const EndpointAddress&) const = default;
};
struct EndpointPort {  // of Endpoints and EndpointSlices
  std::string name;
  std::int32_t port = 0;
  std::string protocol = "TCP";
  std::string app_protocol;
  bool operator==(const EndpointPort&) const = default;
};
struct EndpointSubset {
  std::vector<EndpointAddress> addresses;
  std::vector<EndpointAddress> not_ready_addresses;
  std::vector<EndpointPort> ports;
  bool operator==(const EndpointSubset&) const = default;
};
struct Endpoints {
  ObjectMeta metadata;
  std::vector<EndpointSubset> subsets;
  bool operator==(const Endpoints&) const = default;
};

struct EndpointConditions {
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
  bool operator==(const EndpointConditions&) const = default;
};
struct SliceEndpoint {
  std::vector<std::string> addresses;
  EndpointConditions conditions;
  std::string hostname;
  std::optional<ObjectReference> target_ref;
  std::string node_name;
  bool operator==(const SliceEndpoint&) const = default;
};
struct EndpointSlice {
  ObjectMeta metadata;
  std::string address_type;
  std::vector<SliceEndpoint> endpoints;
  std::vector<EndpointPort> ports;
  bool operator==(const EndpointSlice&) const = default;
};

template <> const TypeSchema& schema_of<NamespaceSpec>();
template <> const TypeSchema& schema_of<NamespaceStatus>();
template <> const TypeSchema& schema_of<Namespace>();
template <> const TypeSchema& schema_of<ConfigMap>();
template <> const TypeSchema& schema_of<Secret>();
template <> const TypeSchema& schema_of<ServiceAccount>();
template <> const TypeSchema& schema_of<ServicePort>();
template <> const TypeSchema& schema_of<ServiceSpec>();
template <> const TypeSchema& schema_of<ServiceStatus>();
template <> const TypeSchema& schema_of<Service>();
template <> const TypeSchema& schema_of<EndpointAddress>();
template <> const TypeSchema& schema_of<EndpointPort>();
template <> const TypeSchema& schema_of<EndpointSubset>();
template <> const TypeSchema& schema_of<Endpoints>();
template <> const TypeSchema& schema_of<EndpointConditions>();
template <> const TypeSchema& schema_of<SliceEndpoint>();
template <> const TypeSchema& schema_of<EndpointSlice>();
template <> const Kind& kind_of<Namespace>();
template <> const Kind& kind_of<ConfigMap>();
template <> const Kind& kind_of<Secret>();
template <> const Kind& kind_of<ServiceAccount>();
template <> const Kind& kind_of<Service>();
template <> const Kind& kind_of<Endpoints>();
template <> const Kind& kind_of<EndpointSlice>();

}  // namespace moored
