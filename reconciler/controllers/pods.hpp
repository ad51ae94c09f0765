// What controllers ask of pods, and how they make them. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reconciler/core/controller.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/pod.hpp"

namespace moored {

// Succeeded or Failed: it will not run again.
bool is_finished(const Pod& pod);
// Neither finished nor being deleted: it counts as a replica.
bool is_active(const Pod& pod);
// The Ready condition is True.
bool is_ready(const Pod& pod);
// Ready for the minimum time without a break.
bool is_available(const Pod& pod, std::int32_t min_ready_seconds, Time now);
// When a ready pod becomes available; nothing: it is not ready, or it is available already.
std::optional<Duration> find_wait(const Pod& pod, std::int32_t min_ready_seconds, Time now);
// Why a pod is kept from running, in words for a person: "ErrImagePull: …". Nothing: nothing is.
std::optional<std::string> find_failure(const Pod& pod);

// A new pod of a template, owned by the given object, named after it with a suffix.
Object make_pod(const Object& owner, const PodTemplateSpec& pod_template, const std::string& name,
                const PlanContext& context);
// A name for the n-th pod made in one plan that no recorded pod has.
std::string make_pod_name(const Object& owner, std::size_t n, const PlanContext& context);
// True when the first pod is to be deleted before the second: the one whose loss costs less.
bool is_cheaper(const Object& left, const Object& right);

// The pods of one workload, told apart.
struct PodSet {
  std::vector<Object> active;
  std::vector<Object> finished;   // Succeeded or Failed, not being deleted
  std::vector<Object> to_adopt;   // match, and nobody controls them
  std::vector<Object> to_release; // ours, and match no longer
};
// Sorts the pods of the owner's namespace by whether the owner controls, may adopt or must release
// them.
PodSet collect_pods(const Object& owner, const LabelSelector& selector, const StateView& view);

// Adds adoptions and releases to the plan; the adopted active ones join the set.
void plan_ownership(Plan& plan, const Object& owner, PodSet& pods);

}  // namespace moored
