// The small kinds of the core group: Namespace, ConfigMap, Secret, Service, Endpoints and so on.
#pragma once

#include "schema/model/meta.hpp"
#include "schema/model/quantity.hpp"

namespace moored {

// Nothing that people set; kept because Kubernetes writes it.
struct NamespaceSpec {
  std::vector<std::string> finalizers;
  bool operator==(const NamespaceSpec&) const = default;
};
// Active, or Terminating while its objects are being removed.
struct NamespaceStatus {
  std::string phase;  // Active, Terminating
  bool operator==(const NamespaceStatus&) const = default;
};
// A room for names. Its labels never weaken the policy of the operator.
struct Namespace {
  ObjectMeta metadata;
  NamespaceSpec spec;
  NamespaceStatus status;
  bool operator==(const Namespace&) const = default;
};

// Keys and values for containers. At most 1 MiB together.
struct ConfigMap {
  ObjectMeta metadata;
  std::map<std::string, std::string> data;
  std::map<std::string, std::string> binary_data;  // raw bytes; base64 in JSON
  std::optional<bool> immutable;
  bool operator==(const ConfigMap&) const = default;
};

// Keys and values that are sealed in the store and masked in every answer. At most 1 MiB.
struct Secret {
  ObjectMeta metadata;
  std::string type;
  std::map<std::string, std::string> data;         // raw bytes; base64 in JSON
  std::map<std::string, std::string> string_data;  // only in manifests; merged into data
  std::optional<bool> immutable;
  bool operator==(const Secret&) const = default;
};

// Pull secrets for pods that name it. No tokens exist: the API asks nobody who he is.
struct ServiceAccount {
  ObjectMeta metadata;
  std::vector<ObjectReference> secrets;
  std::vector<LocalObjectReference> image_pull_secrets;
  std::optional<bool> automount_service_account_token;
  bool operator==(const ServiceAccount&) const = default;
};

// A port of a Service and where it leads. target_port is never absent after defaulting.
struct ServicePort {
  std::string name;
  std::string protocol = "TCP";
  std::string app_protocol;
  std::int32_t port = 0;
  std::optional<IntOrString> target_port;
  std::int32_t node_port = 0;
  bool operator==(const ServicePort&) const = default;
};
// What a Service offers. cluster_ip is given by moored when it is left out.
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
// What keeps a Service from serving.
struct ServiceStatus {
  std::vector<Condition> conditions;
  bool operator==(const ServiceStatus&) const = default;
};
// One address in front of the ready pods that its selector finds.
struct Service {
  ObjectMeta metadata;
  ServiceSpec spec;
  ServiceStatus status;
  bool operator==(const Service&) const = default;
};

// One address behind a Service.
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
// Addresses that have the same ports.
struct EndpointSubset {
  std::vector<EndpointAddress> addresses;
  std::vector<EndpointAddress> not_ready_addresses;
  std::vector<EndpointPort> ports;
  bool operator==(const EndpointSubset&) const = default;
};
// What stands behind the Service of the same name, in the older form.
struct Endpoints {
  ObjectMeta metadata;
  std::vector<EndpointSubset> subsets;
  bool operator==(const Endpoints&) const = default;
};

// State of an endpoint. Absent means yes for ready and serving, no for terminating.
struct EndpointConditions {
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
  bool operator==(const EndpointConditions&) const = default;
};
// One endpoint of a slice; its addresses all mean the same pod.
struct SliceEndpoint {
  std::vector<std::string> addresses;
  EndpointConditions conditions;
  std::string hostname;
  std::optional<ObjectReference> target_ref;
  std::string node_name;
  bool operator==(const SliceEndpoint&) const = default;
};
// What stands behind the Service named by the label kubernetes.io/service-name.
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
