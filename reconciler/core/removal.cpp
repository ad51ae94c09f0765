#include "reconciler/core/removal.hpp"

#include <utility>

#include "reconciler/core/identity.hpp"
#include "reconciler/diff/merge.hpp"
#include "reconciler/diff/ownership.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

// Kubernetes' own default; decoding fills it in, objects made by us may lack it.
constexpr std::int64_t kDefaultGraceSeconds = 30;

// What never reached a node has nothing to stop.
void remove_pod(Plan& plan, const Object& object, const PlanContext& context,
                const std::string& reason) {
  auto pod = object.as<Pod>();
  if (pod.spec.node_name.empty()) return plan.remove(object.key(), reason);
  const std::int64_t grace =
      pod.spec.termination_grace_period_seconds.value_or(kDefaultGraceSeconds);
  pod.metadata.deletion_timestamp = stamp(context.now) + std::chrono::seconds(grace);
  pod.metadata.deletion_grace_period_seconds = grace;
  plan.put(make_object(std::move(pod), object.provenance()), reason);
}

// Protected ones lose their owner and stay.
void remove_namespace(Plan& plan, const Object& object, const PlanContext& context,
                      const std::string& reason) {
  if (is_protected_namespace(object.meta().name)) {
    return plan.put(object.with_provenance({}), reason + "; the namespace itself stays");
  }
  auto space = object.as<Namespace>();
  space.metadata.deletion_timestamp = stamp(context.now);
  space.status.phase = "Terminating";
  plan.put(make_object(std::move(space), object.provenance()), reason);
}

}  // namespace

bool is_orphaned(const ObjectMeta& meta, const StateView& view) {
  const OwnerReference* owner = find_controller(meta);
  if (owner == nullptr) return false;
  const Kind* kind = find_kind(owner->api_version, owner->kind);
  if (kind == nullptr) return true;
  const auto found = view.find({kind, kind->namespaced ? meta.namespace_name : "", owner->name});
  return !found || found->meta().uid != owner->uid;
}

void plan_removal(Plan& plan, const Object& object, const PlanContext& context,
                  const std::string& reason) {
  if (object.meta().deletion_timestamp) return;
  if (object.is<Pod>()) return remove_pod(plan, object, context, reason);
  if (object.is<Namespace>()) return remove_namespace(plan, object, context, reason);
  if (!object.is<Kustomization>() || !object.as<Kustomization>().spec.prune) {
    return plan.remove(object.key(), reason);
  }
  const Time now = stamp(context.now);
  plan.put(with_meta(object, [&](ObjectMeta& meta) { meta.deletion_timestamp = now; }), reason);
}

}  // namespace moored
