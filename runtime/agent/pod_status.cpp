#include "runtime/agent/pod_status.hpp"

#include <algorithm>

#include "runtime/agent/pod_plan.hpp"
#include "runtime/agent/probe_plan.hpp"
#include "runtime/agent/resources.hpp"

namespace moored::agent {
namespace {

// A container that nothing is remembered of has never been started.
const ContainerMemory& look_up(const PodMemory& memory, const std::string& name) {
  static const ContainerMemory kNone;
  const auto found = memory.containers.find(name);
  return found == memory.containers.end() ? kNone : found->second;
}

// Ended with an error.
bool failed(const std::optional<ContainerStateTerminated>& exit) {
  return exit && exit->exit_code != 0;
}

// Has run and does not run now.
bool ended(const ContainerMemory& memory) {
  return memory.stage == ContainerStage::idle && memory.exit;
}

// A plain init container that failed and will not be tried again.
bool has_init_failed(const Pod& pod, const PodMemory& memory) {
  if (pod.spec.restart_policy != "Never" || memory.initialized) return false;
  return std::any_of(pod.spec.init_containers.begin(), pod.spec.init_containers.end(),
                     [&](const Container& container) {
                       const auto& of = look_up(memory, container.name);
                       return !is_sidecar(container) && ended(of) && failed(of.exit);
                     });
}

// Every app container ended, and none starts again.
bool are_apps_over(const Pod& pod, const PodMemory& memory) {
  if (!memory.initialized || pod.spec.containers.empty()) return false;
  return std::all_of(pod.spec.containers.begin(), pod.spec.containers.end(),
                     [&](const Container& container) {
                       const auto& of = look_up(memory, container.name);
                       return ended(of) && !should_restart(pod.spec.restart_policy, *of.exit);
                     });
}

// Source: the pod lifecycle of Kubernetes. Succeeded and Failed are never left, and never come
// while a process still runs.
std::string find_phase(const PodDesired& desired, const PodMemory& memory) {
  const Pod& pod = desired.pod;
  if (is_final_phase(memory.status.phase)) return memory.status.phase;
  bool all_ran = memory.initialized;
  bool any_failed = !memory.failed_reason.empty() || has_init_failed(pod, memory);
  bool all_ended = true;
  for (const auto& container : pod.spec.containers) {
    const auto& of = look_up(memory, container.name);
    const bool hooking = of.post_start == HookStage::wanted || of.post_start == HookStage::running;
    all_ran = all_ran && of.attempt >= 0 && !(hooking && of.attempt == 0);
    any_failed = any_failed || failed(of.exit);
    all_ended = all_ended && ended(of);
  }
  const bool stopped = memory.stop_since && all_ran && all_ended;
  if (!is_any_running(memory) && (is_over(pod, memory) || stopped)) {
    return any_failed ? "Failed" : "Succeeded";
  }
  return all_ran ? "Running" : "Pending";
}

// Of a container without a process: waiting for something, or ended.
ContainerState make_state(const Pod& pod, const ContainerMemory& memory,
                          const std::string& policy, bool stopping, const std::string& waiting,
                          Now now, const PlanOptions& options, const std::string& name) {
  ContainerState state;
  if (memory.problem) {
    state.waiting = ContainerStateWaiting{memory.problem->reason, memory.problem->message};
    return state;
  }
  if (!memory.exit) {
    state.waiting = ContainerStateWaiting{waiting, {}};
    return state;
  }
  if (!stopping && should_restart(policy, *memory.exit)) {
    const BackOff wait = plan_back_off(memory, now.mono, options);
    if (wait.until) {
      state.waiting = ContainerStateWaiting{
          "CrashLoopBackOff", "back-off " + format_duration(wait.waiting) +
                                  " restarting failed container=" + name +
                                  " pod=" + word_pod(pod.metadata)};
      return state;
    }
  }
  state.terminated = *memory.exit;
  return state;
}

// The status of a name, or nullptr.
const ContainerStatus* find_status(const std::vector<ContainerStatus>& statuses,
                                   const std::string& name) {
  for (const auto& status : statuses) {
    if (status.name == name) return &status;
  }
  return nullptr;
}

// What all container statuses of one pod share.
struct StatusContext {
  const PodDesired& desired;
  const PodMemory& memory;
  Now now;
  const PlanOptions& options;
};

// One container as kubectl shows it.
ContainerStatus make_container_status(const StatusContext& context, const Container& container,
                                      bool init) {
  const Pod& pod = context.desired.pod;
  const ContainerMemory& memory = look_up(context.memory, container.name);
  const auto& before = init ? context.memory.status.init_container_statuses
                            : context.memory.status.container_statuses;
  const auto* last = find_status(before, container.name);
  // While a start is under way the old words stay, so that nothing flaps; only of a container
  // that ran until now the end is told.
  const bool starting = memory.stage == ContainerStage::starting;
  if (starting && last != nullptr && !last->state.running) return *last;

  ContainerStatus status;
  status.name = container.name;
  status.image = memory.image.empty() ? container.image : memory.image;
  status.image_id = memory.image_id;
  if (!memory.container_id.empty()) status.container_id = "moored://" + memory.container_id;
  status.restart_count = std::max(memory.attempt, 0);
  status.started = is_started(container, memory);
  const bool plain_init = init && !is_sidecar(container);
  // An init container counts as ready once it has done its part.
  status.ready = plain_init ? memory.exit && memory.exit->exit_code == 0 && ended(memory)
                            : is_ready(container, memory);
  const bool waits_for_init = !pod.spec.init_containers.empty() && !context.memory.initialized;
  const bool hooking =
      memory.post_start == HookStage::wanted || memory.post_start == HookStage::running;
  const std::string waiting = waits_for_init ? "PodInitializing" : "ContainerCreating";
  if (memory.stage == ContainerStage::running && !hooking) {
    status.state.running = ContainerStateRunning{memory.started_at};
  } else if (memory.stage == ContainerStage::running) {
    status.state.waiting = ContainerStateWaiting{waiting, {}};
  } else {
    const bool stopping = starting || context.memory.stop_since || is_over(pod, context.memory);
    status.state = make_state(pod, memory, get_restart_policy(pod.spec, container, init), stopping,
                              waiting, context.now, context.options, container.name);
  }
  if (status.state.terminated) {
    status.last_state.terminated = memory.earlier;
  } else {
    status.last_state.terminated = memory.exit ? memory.exit : memory.earlier;
  }
  return status;
}

// Names of containers for which a property does not hold, as "[a b]".
std::string list_unready(const std::vector<Container>& containers,
                         const std::vector<ContainerStatus>& statuses, bool sidecars_only) {
  std::string names;
  for (const auto& container : containers) {
    if (sidecars_only && !is_sidecar(container)) continue;
    const auto* status = find_status(statuses, container.name);
    if (status != nullptr && status->ready) continue;
    names += (names.empty() ? "" : " ") + container.name;
  }
  return names;
}

// Sets one condition; its time moves only with its status.
void put_condition(PodStatus& status, Time now, const std::string& type, bool holds,
                   const std::string& reason = {}, const std::string& message = {}) {
  Condition condition;
  condition.type = type;
  condition.status = holds ? "True" : "False";
  condition.reason = reason;
  condition.message = message;
  set_condition(status.conditions, std::move(condition), now);
}

// The conditions that are the agent's to set, in Kubernetes' words.
void put_conditions(const StatusContext& context, PodStatus& status) {
  const PodSpec& spec = context.desired.pod.spec;
  const Time now = context.now.wall;
  if (find_condition(status.conditions, "PodScheduled") == nullptr) {
    put_condition(status, now, "PodScheduled", true);
  }
  put_condition(status, now, "PodReadyToStartContainers",
                context.memory.sandbox == SandboxStage::ready);
  const bool succeeded = status.phase == "Succeeded";
  const std::string over = succeeded ? "PodCompleted" : status.phase == "Failed" ? "PodFailed" : "";
  if (context.memory.initialized || spec.init_containers.empty()) {
    put_condition(status, now, "Initialized", true, succeeded ? over : "");
  } else {
    std::string names;
    for (const auto& container : spec.init_containers) {
      const auto& of = look_up(context.memory, container.name);
      const bool done = is_sidecar(container) ? is_started(container, of)
                                              : ended(of) && !failed(of.exit);
      if (!done) names += (names.empty() ? "" : " ") + container.name;
    }
    put_condition(status, now, "Initialized", false, "ContainersNotInitialized",
                  "containers with incomplete status: [" + names + "]");
  }
  for (const char* type : {"ContainersReady", "Ready"}) {
    if (!over.empty()) {
      put_condition(status, now, type, false, over);
      continue;
    }
    std::string names = list_unready(spec.init_containers, status.init_container_statuses, true);
    const std::string apps = list_unready(spec.containers, status.container_statuses, false);
    if (!names.empty() && !apps.empty()) names += " ";
    names += apps;
    put_condition(status, now, type, names.empty(), names.empty() ? "" : "ContainersNotReady",
                  names.empty() ? "" : "containers with unready status: [" + names + "]");
  }
}

}  // namespace

bool should_restart(const std::string& policy, const ContainerStateTerminated& exit) {
  if (policy == "Never") return false;
  return policy != "OnFailure" || exit.exit_code != 0;
}

std::string get_restart_policy(const PodSpec& spec, const Container& container, bool init) {
  if (init && is_sidecar(container)) return "Always";
  if (init && spec.restart_policy == "Always") return "OnFailure";
  return spec.restart_policy.empty() ? "Always" : spec.restart_policy;
}

bool is_final_phase(const std::string& phase) { return phase == "Succeeded" || phase == "Failed"; }

bool is_over(const Pod& pod, const PodMemory& memory) {
  if (is_final_phase(memory.status.phase) || !memory.failed_reason.empty()) return true;
  return has_init_failed(pod, memory) || are_apps_over(pod, memory);
}

bool is_any_running(const PodMemory& memory) {
  return std::any_of(memory.containers.begin(), memory.containers.end(), [](const auto& entry) {
    return entry.second.stage != ContainerStage::idle;
  });
}

std::string word_pod(const ObjectMeta& meta) {
  return meta.name + "_" + meta.namespace_name + "(" + meta.uid + ")";
}

bool is_exit_recorded(const Pod& pod, const std::string& container, int attempt) {
  for (const auto* list : {&pod.status.container_statuses, &pod.status.init_container_statuses}) {
    const auto* status = find_status(*list, container);
    if (status == nullptr) continue;
    if (status->restart_count != attempt) return status->restart_count > attempt;
    return status->state.terminated || (status->state.waiting && status->last_state.terminated);
  }
  return false;
}

PodStatus make_status(const PodDesired& desired, const PodMemory& memory, Now now,
                      const PlanOptions& options) {
  const Pod& pod = desired.pod;
  const StatusContext context{desired, memory, now, options};
  PodStatus status;
  status.phase = find_phase(desired, memory);
  status.conditions = memory.status.conditions;
  // Conditions that others write go through unchanged.
  for (const auto& condition : pod.status.conditions) {
    if (find_condition(status.conditions, condition.type) == nullptr) {
      status.conditions.push_back(condition);
    }
  }
  if (status.phase == "Failed") {
    status.reason = memory.failed_reason;
    status.message = memory.failed_message;
  }
  status.host_ip = options.host_ip;
  status.pod_ip = pod.spec.host_network ? options.host_ip : memory.address;
  if (!status.host_ip.empty()) status.host_ips = {{status.host_ip}};
  if (!status.pod_ip.empty()) status.pod_ips = {{status.pod_ip}};
  status.start_time = memory.start_time;
  status.qos_class = get_qos_class(pod.spec);
  status.observed_generation = pod.metadata.generation;
  for (const auto& container : pod.spec.init_containers) {
    status.init_container_statuses.push_back(make_container_status(context, container, true));
  }
  for (const auto& container : pod.spec.containers) {
    status.container_statuses.push_back(make_container_status(context, container, false));
  }
  put_conditions(context, status);
  return status;
}

}  // namespace moored::agent
