#include <map>

#include "schema/model/pod_resources.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

// An absent condition is not true.
bool is_true(const Pod& pod, std::string_view type) {
  const auto* condition = find_condition(pod.status.conditions, type);
  return condition != nullptr && condition->status == "True";
}

// What the walk over the containers finds out, all of it shown in one row.
struct Summary {
  std::string status;
  int ready = 0;
  std::int64_t restarts = 0;
  std::optional<Time> last_restart;
  bool initializing = false;
};

// The latest end of all containers is told beside the sum.
void count_restarts(const ContainerStatus& container, Summary& summary) {
  summary.restarts += container.restart_count;
  const auto& last = container.last_state.terminated;
  if (!last || !last->finished_at) return;
  if (!summary.last_restart || *summary.last_restart < *last->finished_at) {
    summary.last_restart = last->finished_at;
  }
}

// A reason goes before a signal, a signal before a code.
std::string exit_text(const ContainerStateTerminated& end) {
  if (!end.reason.empty()) return end.reason;
  return end.signal != 0 ? "Signal:" + std::to_string(end.signal)
                         : "ExitCode:" + std::to_string(end.exit_code);
}

// How far the init containers are, or why they do not get on.
std::string init_text(const ContainerStatus& init, std::size_t index, std::size_t total) {
  if (init.state.terminated) return "Init:" + exit_text(*init.state.terminated);
  if (init.state.waiting && !init.state.waiting->reason.empty() &&
      init.state.waiting->reason != "PodInitializing") {
    return "Init:" + init.state.waiting->reason;
  }
  return "Init:" + std::to_string(index) + "/" + std::to_string(total);
}

// Init containers in order; the first that is not done decides.
void walk_init(const Pod& pod, const std::map<std::string, bool>& sidecars, Summary& summary) {
  const auto& list = pod.status.init_container_statuses;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& init = list[i];
    const auto found = sidecars.find(init.name);
    const bool sidecar = found != sidecars.end() && found->second;
    if (init.state.terminated && init.state.terminated->exit_code == 0) continue;
    if (sidecar && init.started == true) {
      if (init.ready) ++summary.ready;
      continue;
    }
    summary.status = init_text(init, i, pod.spec.init_containers.size());
    summary.initializing = true;
    return;
  }
}

// From the last container to the first, so that the first one's state is what stays.
void walk_containers(const Pod& pod, Summary& summary) {
  bool running = false;
  const auto& list = pod.status.container_statuses;
  for (auto container = list.rbegin(); container != list.rend(); ++container) {
    const auto& state = container->state;
    if (state.waiting && !state.waiting->reason.empty()) {
      summary.status = state.waiting->reason;
    } else if (state.terminated) {
      summary.status = exit_text(*state.terminated);
    } else if (container->ready && state.running) {
      running = true;
      ++summary.ready;
    }
  }
  if (summary.status == "Completed" && running) {
    summary.status = is_true(pod, "Ready") ? "Running" : "NotReady";
  }
}

// What the pod itself says, before its containers are looked at.
std::string base_status(const Pod& pod) {
  const auto* scheduled = find_condition(pod.status.conditions, "PodScheduled");
  if (scheduled != nullptr && scheduled->reason == "SchedulingGated") return scheduled->reason;
  return pod.status.reason.empty() ? pod.status.phase : pod.status.reason;
}

// Statuses carry names only; what a container is stands in the spec.
std::map<std::string, bool> sidecars_of(const Pod& pod) {
  std::map<std::string, bool> out;
  for (const auto& init : pod.spec.init_containers) out[init.name] = is_sidecar(init);
  return out;
}

Summary summarize(const Pod& pod) {
  Summary summary;
  summary.status = base_status(pod);
  const auto sidecars = sidecars_of(pod);
  walk_init(pod, sidecars, summary);
  const bool past_init = !summary.initializing || is_true(pod, "Initialized");
  if (past_init) walk_containers(pod, summary);
  for (const auto& init : pod.status.init_container_statuses) {
    const auto found = sidecars.find(init.name);
    const bool sidecar = found != sidecars.end() && found->second;
    if (!past_init || sidecar) count_restarts(init, summary);
  }
  if (past_init) {
    for (const auto& container : pod.status.container_statuses) {
      count_restarts(container, summary);
    }
  }
  const auto& phase = pod.status.phase;
  if (!pod.metadata.deletion_timestamp) return summary;
  if (pod.status.reason == "NodeLost") {
    summary.status = "Unknown";
  } else if (phase != "Succeeded" && phase != "Failed") {
    summary.status = "Terminating";
  }
  return summary;
}

// kubectl prints "3 (10s ago)".
std::string restarts_text(const Summary& summary, Time now) {
  auto out = std::to_string(summary.restarts);
  if (summary.restarts > 0 && summary.last_restart) {
    out += " (" + age_text(summary.last_restart, now) + " ago)";
  }
  return out;
}

// Sidecars count as containers that keep running.
std::vector<Cell> pod_cells(const Object& object, Time now) {
  const auto& pod = object.as<Pod>();
  const auto summary = summarize(pod);
  const auto sidecars = std::count_if(pod.spec.init_containers.begin(),
                                      pod.spec.init_containers.end(), &is_sidecar);
  const auto total = pod.spec.containers.size() + static_cast<std::size_t>(sidecars);
  return {name_cell(object),
          Cell::of(std::to_string(summary.ready) + "/" + std::to_string(total)),
          Cell::of(summary.status),
          Cell::of(restarts_text(summary, now)),
          age_cell(object, now),
          or_none(pod.status.pod_ips.empty() ? std::string() : pod.status.pod_ips.front().ip),
          or_none(pod.spec.node_name),
          Cell::of(std::string(kNoneText)),
          Cell::of(std::string(kNoneText))};
}

constexpr Column kColumns[] = {
    kNameColumn,
    text_column("Ready", "Containers that are ready, of all that keep running."),
    text_column("Status", "Where the pod is, in one word."),
    text_column("Restarts", "Attempts after the first, and when the last one ended."),
    kAgeColumn,
    wide_column("IP", "Address of the pod."),
    wide_column("Node", "Node that runs the pod."),
    wide_column("Nominated Node", "Node that makes room for the pod."),
    wide_column("Readiness Gates", "Further conditions of readiness."),
};

}  // namespace

std::string pod_status_text(const Object& pod) { return summarize(pod.as<Pod>()).status; }

const TableFormat kPodTable{kColumns, &pod_cells};

}  // namespace moored
