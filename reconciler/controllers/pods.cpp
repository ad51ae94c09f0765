#include "reconciler/controllers/pods.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <utility>

#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/diff/merge.hpp"

namespace moored {
namespace {

// Five letters, as Kubernetes has them; a name must still be a host name.
constexpr std::size_t kSuffixLength = 5;
constexpr std::size_t kMaxNameLength = 63;
constexpr std::string_view kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";

// Waiting reasons with which a container does not start by waiting longer.
constexpr std::array<std::string_view, 8> kFailing{
    "CrashLoopBackOff",     "CreateContainerConfigError", "CreateContainerError",
    "ErrImageNeverPull",    "ErrImagePull",               "ImagePullBackOff",
    "InvalidImageName",     "RunContainerError"};

// The first container that waits for a reason of the list, with its message.
std::optional<std::string> find_failing(const std::vector<ContainerStatus>& statuses) {
  for (const ContainerStatus& status : statuses) {
    if (!status.state.waiting) continue;
    const auto& waiting = *status.state.waiting;
    if (std::find(kFailing.begin(), kFailing.end(), waiting.reason) == kFailing.end()) continue;
    std::string text = waiting.reason + " in container " + status.name;
    if (!waiting.message.empty()) text += ": " + waiting.message;
    return text;
  }
  return std::nullopt;
}

// What the annotation says a pod is worth; text that is no number counts as nothing.
std::int64_t deletion_cost(const Pod& pod) {
  const auto found = pod.metadata.annotations.find(std::string(kDeletionCost));
  std::int64_t cost = 0;
  if (found == pod.metadata.annotations.end()) return cost;
  const std::string& text = found->second;
  std::from_chars(text.data(), text.data() + text.size(), cost);
  return cost;
}

// Running is worth most, then what nobody has heard of, then what has not begun.
int phase_rank(const Pod& pod) {
  if (pod.status.phase == "Running") return 2;
  return pod.status.phase == "Unknown" ? 1 : 0;
}

// Of the container that restarted most.
std::int32_t restarts(const Pod& pod) {
  std::int32_t most = 0;
  for (const ContainerStatus& status : pod.status.container_statuses) {
    most = std::max(most, status.restart_count);
  }
  return most;
}

// When the Ready condition moved last; the end of time when it never did.
Time ready_since(const Pod& pod) {
  const Condition* ready = find_condition(pod.status.conditions, "Ready");
  if (ready == nullptr || !ready->last_transition_time) return Time::max();
  return *ready->last_transition_time;
}

}  // namespace

bool is_finished(const Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

bool is_active(const Pod& pod) { return !is_finished(pod) && !pod.metadata.deletion_timestamp; }

bool is_ready(const Pod& pod) { return is_true(pod.status.conditions, "Ready"); }

bool is_available(const Pod& pod, std::int32_t min_ready_seconds, Time now) {
  if (!is_ready(pod)) return false;
  if (min_ready_seconds == 0) return true;
  const Time since = ready_since(pod);
  return since != Time::max() && since + std::chrono::seconds(min_ready_seconds) <= now;
}

std::optional<Duration> find_wait(const Pod& pod, std::int32_t min_ready_seconds, Time now) {
  if (!is_ready(pod) || is_available(pod, min_ready_seconds, now)) return std::nullopt;
  // A clock that was set back must not make anyone wait for longer than the minimum.
  const Time since = std::min(ready_since(pod), now);
  return since + std::chrono::seconds(min_ready_seconds) - now;
}

std::optional<std::string> find_failure(const Pod& pod) {
  // The pod as a whole has failed: evicted, past its deadline, not admitted.
  if (pod.status.phase == "Failed") {
    return pod.status.reason.empty() ? "Failed" : pod.status.reason + ": " + pod.status.message;
  }
  if (auto failing = find_failing(pod.status.init_container_statuses)) return failing;
  return find_failing(pod.status.container_statuses);
}

Object make_pod(const Object& owner, const PodTemplateSpec& pod_template, const std::string& name,
                const PlanContext& context) {
  Pod pod;
  pod.metadata.name = name;
  pod.metadata.generate_name = owner.meta().name + '-';
  pod.metadata.namespace_name = owner.meta().namespace_name;
  pod.metadata.labels = pod_template.metadata.labels;
  pod.metadata.annotations = pod_template.metadata.annotations;
  pod.metadata.finalizers = pod_template.metadata.finalizers;
  // The provenance goes along, so that a pod knows the commit that asked for it.
  pod.metadata.owner_references.push_back(controller_reference(owner));
  pod.spec = pod_template.spec;
  return make_recorded(make_object(std::move(pod), owner.provenance()), context);
}

std::string make_pod_name(const Object& owner, std::size_t n, const PlanContext& context) {
  const std::string base =
      owner.meta().name.substr(0, kMaxNameLength - kSuffixLength - 1) + '-';
  for (std::size_t attempt = 0;; ++attempt) {
    const std::string salt = std::to_string(n) + '.' + std::to_string(attempt);
    std::string name = base + derive_suffix(context, owner.key(), salt, kSuffixLength);
    if (!context.view.find(key_of<Pod>(owner.meta().namespace_name, name))) return name;
  }
}

bool is_cheaper(const Object& left, const Object& right) {
  const auto rank = [](const Object& object) {
    const Pod& pod = object.as<Pod>();
    // Later means cheaper for times, more means cheaper for restarts: both are counted backwards.
    return std::make_tuple(!pod.spec.node_name.empty(), phase_rank(pod), is_ready(pod),
                           deletion_cost(pod),
                           is_ready(pod) ? -ready_since(pod).time_since_epoch().count() : 0,
                           -restarts(pod),
                           -pod.metadata.creation_timestamp.value_or(Time{})
                                .time_since_epoch().count(),
                           pod.metadata.name);
  };
  return rank(left) < rank(right);
}

PodSet collect_pods(const Object& owner, const LabelSelector& selector, const StateView& view) {
  PodSet set;
  for (const Object& object : view.list(kind_of<Pod>(), owner.meta().namespace_name)) {
    const Pod& pod = object.as<Pod>();
    const OwnerReference* controller = find_controller(pod.metadata);
    // The uid decides, never the name: a new owner of the same name starts with nothing.
    const bool match = matches(selector, pod.metadata.labels);
    if (controller != nullptr && controller->uid != owner.meta().uid) continue;
    if (controller == nullptr) {
      if (match && is_active(pod)) set.to_adopt.push_back(object);
    } else if (!match) {
      set.to_release.push_back(object);
    } else if (is_active(pod)) {
      set.active.push_back(object);
    } else if (!pod.metadata.deletion_timestamp) {
      set.finished.push_back(object);
    }
  }
  return set;
}

void plan_ownership(Plan& plan, const Object& owner, PodSet& pods) {
  // Adoption comes before counting, so that a pod that is there already is not made again.
  for (const Object& object : pods.to_adopt) {
    Object adopted = with_meta(object, [&](ObjectMeta& meta) {
      meta.owner_references.push_back(controller_reference(owner));
    });
    plan.put(adopted, "adopted by " + owner.key().text());
    pods.active.push_back(std::move(adopted));
  }
  for (const Object& object : pods.to_release) {
    plan.put(with_meta(object,
                       [&](ObjectMeta& meta) {
                         auto& owners = meta.owner_references;
                         owners.erase(std::remove_if(owners.begin(), owners.end(),
                                                     [&](const OwnerReference& reference) {
                                                       return reference.uid == owner.meta().uid;
                                                     }),
                                      owners.end());
                       }),
             "released by " + owner.key().text() + ": labels do not match any more");
  }
}

}  // namespace moored
