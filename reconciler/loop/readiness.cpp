#include "reconciler/loop/readiness.hpp"

#include <algorithm>
#include <array>

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

using State = Readiness::State;

// Reasons of waiting containers that somebody has to do something about.
constexpr std::array<std::string_view, 9> kStuckReasons = {
    "ImagePullBackOff",  "ErrImagePull",         "ErrImageNeverPull",
    "InvalidImageName",  "CrashLoopBackOff",     "CreateContainerConfigError",
    "RunContainerError", "CreateContainerError", "ImageInspectError"};

Readiness progressing(std::string reason, std::string message) {
  return {State::progressing, std::move(reason), std::move(message)};
}

std::string count_text(std::int32_t have, std::int32_t want, std::string_view what) {
  return std::to_string(have) + " of " + std::to_string(want) + " " + std::string(what);
}

const ContainerStateWaiting* find_stuck(const std::vector<ContainerStatus>& containers) {
  for (const ContainerStatus& container : containers) {
    const auto& waiting = container.state.waiting;
    if (waiting && std::find(kStuckReasons.begin(), kStuckReasons.end(), waiting->reason) !=
                       kStuckReasons.end()) {
      return &*waiting;
    }
  }
  return nullptr;
}

Readiness pod_readiness(const Pod& pod) {
  const PodStatus& status = pod.status;
  if (status.phase == "Succeeded") return {};
  if (status.phase == "Failed") {
    return {State::failed, status.reason.empty() ? "PodFailed" : status.reason, status.message};
  }
  for (const auto* list : {&status.init_container_statuses, &status.container_statuses}) {
    if (const auto* stuck = find_stuck(*list)) {
      return {State::failed, stuck->reason, stuck->message};
    }
  }
  const Condition* ready = find_condition(status.conditions, "Ready");
  if (ready != nullptr && ready->status == "True") return {};
  const Condition* bound = find_condition(status.conditions, "PodScheduled");
  if (bound != nullptr && bound->status == "False") {
    return progressing(bound->reason, bound->message);
  }
  return progressing(ready != nullptr && !ready->reason.empty() ? ready->reason : "PodNotReady",
                     ready != nullptr ? ready->message : "");
}

std::vector<Object> pods_of(const Object& replica_set, const StateView& view) {
  auto pods = view.list_owned(kind_of<Pod>(), replica_set.meta().uid);
  std::erase_if(pods, [](const Object& pod) { return pod.meta().deletion_timestamp.has_value(); });
  return pods;
}

// The first pod that cannot go on by itself.
Readiness stuck_pod(const std::vector<Object>& pods, Readiness otherwise) {
  for (const Object& pod : pods) {
    Readiness found = pod_readiness(pod.as<Pod>());
    if (found.state == State::failed) {
      found.message = pod.key().text() + ": " + found.message;
      return found;
    }
  }
  return otherwise;
}

// The replica set of a Deployment's present template: the newest one that it keeps pods in.
std::optional<Object> newest_set(const Object& deployment, const StateView& view) {
  std::optional<Object> newest;
  std::int64_t highest = -1;
  for (const Object& set : view.list_owned(kind_of<ReplicaSet>(), deployment.meta().uid)) {
    const auto& annotations = set.meta().annotations;
    const auto revision = annotations.find("deployment.kubernetes.io/revision");
    const std::int64_t number =
        revision == annotations.end() ? 0 : std::strtoll(revision->second.c_str(), nullptr, 10);
    if (number > highest) {
      highest = number;
      newest = set;
    }
  }
  return newest;
}

Readiness deployment_readiness(const Object& object, const StateView& view) {
  const auto& deployment = object.as<Deployment>();
  const DeploymentStatus& status = deployment.status;
  const std::int32_t wanted = deployment.spec.replicas.value_or(1);
  const Condition* progress = find_condition(status.conditions, "Progressing");
  if (progress != nullptr && progress->status == "False") {
    return {State::failed, progress->reason, progress->message};
  }
  Readiness missing;
  if (status.observed_generation < deployment.metadata.generation) {
    missing = progressing("Progressing", "the newest spec was not looked at yet");
  } else if (status.updated_replicas < wanted) {
    missing = progressing("Progressing", count_text(status.updated_replicas, wanted, "updated"));
  } else if (status.replicas > status.updated_replicas) {
    missing = progressing("Progressing", "old pods are still to be stopped");
  } else if (status.available_replicas < wanted) {
    missing = progressing("Progressing", count_text(status.available_replicas, wanted, "available"));
  } else {
    return {};
  }
  const auto set = newest_set(object, view);
  return set ? stuck_pod(pods_of(*set, view), std::move(missing)) : missing;
}

Readiness replica_set_readiness(const Object& object, const StateView& view) {
  const auto& set = object.as<ReplicaSet>();
  const std::int32_t wanted = set.spec.replicas.value_or(1);
  const bool seen = set.status.observed_generation >= set.metadata.generation;
  if (seen && set.status.available_replicas >= wanted && set.status.replicas <= wanted) return {};
  return stuck_pod(pods_of(object, view),
                   progressing("Progressing", count_text(set.status.available_replicas, wanted,
                                                         "available")));
}

Readiness by_ready_condition(const std::vector<Condition>& conditions) {
  const Condition* ready = find_condition(conditions, "Ready");
  if (ready == nullptr) return progressing("Progressing", "nothing was reported yet");
  if (ready->status == "True") return {};
  const Condition* stalled = find_condition(conditions, "Stalled");
  const bool stuck = ready->status == "False" ||
                     (stalled != nullptr && stalled->status == "True");
  return {stuck ? State::failed : State::progressing, ready->reason, ready->message};
}

PodProgress progress_of(const std::vector<Object>& pods, std::int32_t wanted) {
  PodProgress out;
  std::int32_t scheduled = 0;
  std::int32_t started = 0;
  for (const Object& object : pods) {
    const Pod& pod = object.as<Pod>();
    if (!pod.spec.node_name.empty()) ++scheduled;
    const auto& containers = pod.status.container_statuses;
    if (std::any_of(containers.begin(), containers.end(), [](const ContainerStatus& container) {
          return container.state.running.has_value() || container.state.terminated.has_value();
        })) {
      ++started;
    }
  }
  out.scheduled = scheduled >= wanted;
  out.started = started >= wanted;
  return out;
}

}  // namespace

Readiness readiness_of(const Object& object, const StateView& view) {
  if (object.is<Deployment>()) return deployment_readiness(object, view);
  if (object.is<ReplicaSet>()) return replica_set_readiness(object, view);
  if (object.is<Pod>()) return pod_readiness(object.as<Pod>());
  if (object.is<GitRepository>()) {
    return by_ready_condition(object.as<GitRepository>().status.conditions);
  }
  if (object.is<Kustomization>()) {
    return by_ready_condition(object.as<Kustomization>().status.conditions);
  }
  if (object.is<Namespace>() && object.as<Namespace>().status.phase == "Terminating") {
    return progressing("Terminating", "the namespace is being emptied");
  }
  return {};
}

PodProgress pod_progress(const Object& object, const StateView& view) {
  if (object.is<Pod>()) return progress_of({object}, 1);
  if (object.is<ReplicaSet>()) {
    return progress_of(pods_of(object, view), object.as<ReplicaSet>().spec.replicas.value_or(1));
  }
  if (!object.is<Deployment>()) return {};
  const auto& deployment = object.as<Deployment>();
  if (deployment.status.observed_generation < deployment.metadata.generation) return {false, false};
  const auto set = newest_set(object, view);
  const std::int32_t wanted = deployment.spec.replicas.value_or(1);
  if (!set) return {wanted == 0, wanted == 0};
  return progress_of(pods_of(*set, view), wanted);
}

}  // namespace moored
