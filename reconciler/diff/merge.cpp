#include "reconciler/diff/merge.hpp"

#include <memory>
#include <utility>

#include "schema/codec/codec.hpp"
#include "schema/model/core.hpp"
#include "schema/model/drift_mode.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

// The row named status of a kind whose status is a struct, or nullptr.
const Field* find_status_row(const Kind& kind) {
  for (const Field& row : kind.schema().fields) {
    if (row.name == "status" && row.type != nullptr && row.type->shape == Shape::object) {
      return &row;
    }
  }
  return nullptr;
}

// Takes the status over by way of its value tree: the only way that needs no code for each kind.
Status copy_status(const Kind& kind, const void* from, void* to) {
  const Field* row = find_status_row(kind);
  if (row == nullptr) return {};
  const TypeSchema& schema = row->type->object();
  const Value status = encode_struct(schema, row->member(const_cast<void*>(from)));
  return decode_struct(schema, status, row->member(to));
}

// Finalizers and owners are ours as well: a manifest that names them was refused before.
void copy_identity(const ObjectMeta& from, ObjectMeta& to) {
  to.uid = from.uid;
  to.resource_version = from.resource_version;
  to.generation = from.generation;
  to.creation_timestamp = from.creation_timestamp;
  to.deletion_timestamp = from.deletion_timestamp;
  to.deletion_grace_period_seconds = from.deletion_grace_period_seconds;
  to.owner_references = from.owner_references;
  to.finalizers = from.finalizers;
  for (const auto& [name, text] : from.annotations) {
    if (is_own_annotation(name)) to.annotations[name] = text;
  }
}

// An allocated address stays with the Service until its manifest names another one.
Object keep_cluster_ip(Object merged, const Object& recorded) {
  const auto& before = recorded.as<Service>().spec;
  auto service = merged.as<Service>();
  if (!service.spec.cluster_ip.empty() || before.cluster_ip == "None") return merged;
  if (service.spec.type == "ExternalName") return merged;
  service.spec.cluster_ip = before.cluster_ip;
  service.spec.cluster_ips = before.cluster_ips;
  return make_object(std::move(service), merged.provenance());
}

// A pod stays on the node that it was bound to.
Object keep_node(Object merged, const Object& recorded) {
  auto pod = merged.as<Pod>();
  if (!pod.spec.node_name.empty()) return merged;
  pod.spec.node_name = recorded.as<Pod>().spec.node_name;
  return make_object(std::move(pod), merged.provenance());
}

}  // namespace

// What a manifest may say to us under our own prefix is the manifest's, and goes when it goes.
bool is_own_annotation(std::string_view name) {
  if (name == kDriftAnnotation) return false;
  return name == kRevisionAnnotation || name.substr(0, kOwnAnnotationPrefix.size()) ==
                                            kOwnAnnotationPrefix;
}

Object with_meta(const Object& object, const std::function<void(ObjectMeta&)>& change) {
  auto body = object.kind().copy(object.body());
  change(object.kind().meta(body.get()));
  return Object(object.kind(), std::move(body), object.provenance());
}

Result<Object> make_merged(const Object& declared, const Object& recorded) {
  const Kind& kind = declared.kind();
  auto body = kind.copy(declared.body());
  copy_identity(recorded.meta(), kind.meta(body.get()));
  MOORED_CHECK(copy_status(kind, recorded.body(), body.get()));
  Object merged(kind, std::move(body), declared.provenance());
  if (merged.is<Service>()) return keep_cluster_ip(std::move(merged), recorded);
  if (merged.is<Pod>()) return keep_node(std::move(merged), recorded);
  return merged;
}

}  // namespace moored
