#include "reconciler/controllers/replicas.hpp"

#include <algorithm>
#include <utility>

#include "reconciler/controllers/pods.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"

namespace moored {
namespace {

// Pods made or deleted by one plan; the rest follows in the next, so that no plan is unbounded.
constexpr std::size_t kMaxBurst = 500;
// A pod that failed sooner than this after its creation is replaced only then: no busy loop.
constexpr std::chrono::seconds kMinPodLife{10};

// Names differ by their number in the plan; the uid follows from the name.
void make_missing(Plan& plan, const Object& owner, const ReplicasWanted& wanted,
                  std::size_t missing, const PlanContext& context) {
  for (std::size_t n = 0; n < std::min(missing, kMaxBurst); ++n) {
    const std::string name = make_pod_name(owner, n, context);
    plan.put(make_pod(owner, wanted.pod_template, name, context),
             "one of " + std::to_string(wanted.replicas) + " replicas");
    plan.events.push_back({reference_to(owner), false, "SuccessfulCreate",
                           "Created pod: " + name, wanted.component});
  }
}

// The ones whose loss costs least go first.
void delete_surplus(Plan& plan, const Object& owner, const ReplicasWanted& wanted,
                    std::vector<Object> active, std::size_t surplus, const PlanContext& context) {
  std::sort(active.begin(), active.end(), is_cheaper);
  active.resize(std::min({surplus, kMaxBurst, active.size()}));
  for (const Object& pod : active) {
    plan_removal(plan, pod, context, "scaled down to " + std::to_string(wanted.replicas));
    plan.events.push_back({reference_to(owner), false, "SuccessfulDelete",
                           "Deleted pod: " + pod.meta().name, wanted.component});
  }
}

// Finished pods make room, the short-lived ones only after a while; returns those that stay.
std::size_t clear_finished(Plan& plan, const Object& owner, const std::vector<Object>& finished,
                           const PlanContext& context) {
  std::size_t kept = 0;
  const Time now = stamp(context.now);
  for (const Object& pod : finished) {
    const Time due = pod.meta().creation_timestamp.value_or(Time{}) + kMinPodLife;
    if (due <= now) {
      plan_removal(plan, pod, context, "finished, replaced");
    } else {
      ++kept;
      plan.requeues.push_back({owner.key(), due - now});
    }
  }
  return kept;
}

// What fullyLabeledReplicas counts: an adopted pod may carry fewer labels.
bool has_template_labels(const Pod& pod, const PodTemplateSpec& pod_template) {
  return matches(pod_template.metadata.labels, pod.metadata.labels);
}

// Counted before the plan takes effect; the next look counts what it did.
ReplicaCounts count(Plan& plan, const Object& owner, const std::vector<Object>& active,
                    const ReplicasWanted& wanted, Time now) {
  ReplicaCounts counts;
  std::optional<Duration> soonest;
  for (const Object& object : active) {
    const Pod& pod = object.as<Pod>();
    ++counts.replicas;
    counts.fully_labeled += has_template_labels(pod, wanted.pod_template) ? 1 : 0;
    counts.ready += is_ready(pod) ? 1 : 0;
    counts.available += is_available(pod, wanted.min_ready_seconds, now) ? 1 : 0;
    const auto wait = find_wait(pod, wanted.min_ready_seconds, now);
    if (wait) soonest = std::min(soonest.value_or(*wait), *wait);
  }
  if (soonest) plan.requeues.push_back({owner.key(), *soonest});
  return counts;
}

}  // namespace

ReplicaCounts plan_replicas(Plan& plan, const Object& owner, const ReplicasWanted& wanted,
                            const PlanContext& context) {
  PodSet pods = collect_pods(owner, wanted.selector, context.view);
  plan_ownership(plan, owner, pods);
  const std::size_t waiting = clear_finished(plan, owner, pods.finished, context);
  const auto replicas = static_cast<std::size_t>(std::max(wanted.replicas, 0));
  const std::size_t there = pods.active.size() + waiting;
  if (there < replicas) make_missing(plan, owner, wanted, replicas - there, context);
  if (pods.active.size() > replicas) {
    delete_surplus(plan, owner, wanted, pods.active, pods.active.size() - replicas, context);
  }
  return count(plan, owner, pods.active, wanted, context.now.wall);
}

ReplicaSetStatus make_replica_status(ReplicaSetStatus recorded, const ReplicaCounts& counts,
                                     std::int64_t generation) {
  recorded.replicas = counts.replicas;
  recorded.fully_labeled_replicas = counts.fully_labeled;
  recorded.ready_replicas = counts.ready;
  recorded.available_replicas = counts.available;
  recorded.observed_generation = generation;
  return recorded;
}

std::vector<ObjectKey> find_pod_owners(const Object& pod, const Kind& kind, const StateView& view,
                                       LabelSelector (*selector_of)(const Object& owner)) {
  const ObjectMeta& meta = pod.meta();
  if (const OwnerReference* owner = find_controller(meta)) {
    if (owner->kind != kind.kind || owner->api_version != kind.api_version()) return {};
    return {{&kind, meta.namespace_name, owner->name}};
  }
  std::vector<ObjectKey> keys;
  for (const Object& owner : view.list(kind, meta.namespace_name)) {
    if (matches(selector_of(owner), meta.labels)) keys.push_back(owner.key());
  }
  return keys;
}

}  // namespace moored
