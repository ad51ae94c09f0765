#include "net/api/lease.hpp"

#include "schema/host/sha256.hpp"
#include "schema/model/cluster.hpp"

namespace moored::net::api {
namespace {

// A uid in UUID form that is the same for the same node at every reading.
std::string lease_uid(const std::string& node_uid) {
  auto hex = sha256_hex("lease of " + node_uid).substr(0, 32);
  hex[12] = '8';  // a version that leaves the other bits to the application
  hex[16] = 'a';
  for (const std::size_t place : {8U, 13U, 18U, 23U})
    hex.insert(place, 1, '-');
  return hex;
}

Object lease_of(const Object& node, Time now) {
  const auto& meta = node.meta();
  Lease lease;
  lease.metadata.name = meta.name;
  lease.metadata.namespace_name = kLeaseNamespace;
  lease.metadata.uid = lease_uid(meta.uid);
  lease.metadata.resource_version = meta.resource_version;
  lease.metadata.creation_timestamp = meta.creation_timestamp;
  OwnerReference owner = controller_reference(node);
  owner.controller = false;
  owner.block_owner_deletion = false;
  lease.metadata.owner_references.push_back(std::move(owner));
  lease.spec.holder_identity = meta.name;
  lease.spec.lease_duration_seconds = kLeaseSeconds;
  lease.spec.acquire_time = meta.creation_timestamp;  // nobody else ever held it
  lease.spec.renew_time = now;
  return make_object(std::move(lease));
}

}  // namespace

std::vector<Object> node_leases(const StateView& view, Time now) {
  std::vector<Object> leases;
  for (const auto& node : view.list(kind_of<Node>()))
    leases.push_back(lease_of(node, now));
  return leases;
}

}  // namespace moored::net::api
