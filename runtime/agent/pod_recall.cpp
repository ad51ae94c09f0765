// The first sight of a pod after a start of the daemon: recorded status meets what is left. Pure.
#include <algorithm>

#include "runtime/agent/container_exit.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/probe_plan.hpp"

namespace moored::agent {
namespace {

// The delay that a status with CrashLoopBackOff speaks of, so that a restart of the daemon does
// not shorten it.
Duration parse_back_off(const ContainerStatus& status) {
  constexpr std::string_view kStart = "back-off ";
  if (!status.state.waiting || status.state.waiting->reason != "CrashLoopBackOff") return {};
  const std::string& message = status.state.waiting->message;
  if (message.rfind(kStart, 0) != 0) return {};
  const auto end = message.find(' ', kStart.size());
  return parse_duration(message.substr(kStart.size(), end - kStart.size())).value_or(Duration{});
}

// When something happened, on the clock of this boot; never in the future.
MonoTime to_mono(Time wall, Now now) {
  return now.mono - std::max(now.wall - wall, Duration{});
}

// What the recorded status alone says.
ContainerMemory recall_status(const ContainerStatus& status, Now now) {
  ContainerMemory of;
  reset_probes(of);
  if (status.container_id.empty()) return of;
  of.attempt = status.restart_count;
  of.container_id = strip_container_id(status.container_id);
  of.image = status.image;
  of.image_id = status.image_id;
  if (status.state.terminated) {
    of.exit = status.state.terminated;
    of.earlier = status.last_state.terminated;
  } else if (status.state.waiting && status.last_state.terminated) {
    of.exit = status.last_state.terminated;
  } else {
    of.earlier = status.last_state.terminated;
  }
  if (of.exit) of.exited_mono = to_mono(of.exit->finished_at.value_or(now.wall), now);
  of.back_off = parse_back_off(status);
  of.back_off_touched = of.exited_mono;
  if (of.back_off > Duration{}) of.back_off_noted = of.attempt;
  return of;
}

// Spreads the first probes after a daemon start over one period, the same way each time.
MonoTime spread_tick(const Probe& probe, const std::string& seed, MonoTime now) {
  const Duration period = std::chrono::seconds(std::max(probe.period_seconds, 1));
  const auto hash = static_cast<std::int64_t>(std::hash<std::string>{}(seed) % 1000U);
  return now + period * hash / 1000;
}

// It runs: nothing of it is started again, and readiness goes on as it was.
void recall_running(const Pod& pod, const Container& container, const ContainerStatus* status,
                    const ContainerReport& report, ContainerMemory& of, Now now) {
  if (of.attempt != report.attempt && of.exit) {
    of.earlier = std::move(of.exit);
  }
  of.exit.reset();
  of.stage = ContainerStage::running;
  of.attempt = report.attempt;
  of.container_id = report.container_id;
  of.started_at = report.started_at;
  of.started_mono = to_mono(report.started_at.value_or(now.wall), now);
  of.post_start = HookStage::done;
  of.spec_image = container.image;
  const bool was_it = status != nullptr && status->restart_count == report.attempt;
  const bool ready = was_it && status->ready;
  const bool started = was_it && status->started.value_or(false);
  using Verdict = ProbeMemory::Verdict;
  if (ready) of.readiness.verdict = Verdict::success;
  if (started) of.startup.verdict = Verdict::success;
  for (const auto kind : {ProbeKind::startup, ProbeKind::liveness, ProbeKind::readiness}) {
    const auto& probe = get_probe(container, kind);
    if (!probe || !was_it) continue;
    const std::string seed = pod.metadata.uid + container.name + get_probe_word(kind);
    const MonoTime first = get_first_tick(*probe, of.started_mono);
    get_probe_memory(of, kind).next = std::max(first, spread_tick(*probe, seed, now.mono));
  }
}

// lost: the shim is dead, so that a death by SIGKILL says nothing about the program.
void recall_exited(const ContainerReport& report, bool lost, ContainerMemory& of, Now now) {
  of.uncollected.push_back(report.attempt);
  const bool known = of.exit && strip_container_id(of.exit->container_id) == report.container_id;
  if (known) return;
  auto exit = make_exit(report, now.wall);
  if (lost && exit.exit_code == 137 && !report.oom_killed) {
    exit = make_lost_exit(report.container_id, report.started_at, *exit.finished_at);
  }
  if (of.exit) of.earlier = std::move(of.exit);
  of.attempt = report.attempt;
  of.container_id = report.container_id;
  of.exited_mono = to_mono(*exit.finished_at, now);
  of.exit = std::move(exit);
}

// Recorded as running, and nothing of it is there.
void recall_lost(const ContainerStatus& status, ContainerMemory& of, Now now) {
  std::optional<Time> started;
  if (status.state.running) started = status.state.running->started_at;
  of.exit = make_lost_exit(of.container_id, started, now.wall);
  of.exited_mono = now.mono;
}

// The recorded status of a container, or nullptr.
const ContainerStatus* find_status(const Pod& pod, const std::string& name) {
  for (const auto* list : {&pod.status.init_container_statuses, &pod.status.container_statuses}) {
    for (const auto& status : *list) {
      if (status.name == name) return &status;
    }
  }
  return nullptr;
}

// Ends of attempts before the newest one, which the sandbox still holds. Their being collected
// failed, or was not reached; that of the newest may have been, once it was recorded.
void recall_leftovers(const SandboxReport& found, const std::string& name, int newest,
                      ContainerMemory& of) {
  for (const auto& report : found.containers) {
    const bool older = report.name == name && report.attempt < newest;
    if (older && report.phase == ContainerPhase::exited) of.uncollected.push_back(report.attempt);
  }
}

// The newest attempt on the machine decides; without one the recorded status does.
ContainerMemory recall_container(const Pod& pod, const Container& container,
                                 const SandboxReport* found, Now now) {
  const ContainerStatus* status = find_status(pod, container.name);
  ContainerMemory of = recall_status(status != nullptr ? *status : ContainerStatus{}, now);
  const ContainerReport* newest = nullptr;
  if (found != nullptr) {
    for (const auto& report : found->containers) {
      if (report.name != container.name) continue;
      if (newest == nullptr || report.attempt > newest->attempt) newest = &report;
    }
  }
  const bool outdated = newest != nullptr && newest->phase == ContainerPhase::exited &&
                        newest->attempt < of.attempt;
  if (outdated) newest = nullptr;  // what is recorded is newer than all that is left
  if (found != nullptr) {
    recall_leftovers(*found, container.name, newest != nullptr ? newest->attempt : of.attempt, of);
  }
  const bool alive = found != nullptr && found->shim_alive;
  if (newest == nullptr || (newest->phase == ContainerPhase::running && !alive)) {
    if (newest != nullptr && of.attempt < newest->attempt) {
      of.attempt = newest->attempt;
      of.container_id = newest->container_id;
      if (of.exit) of.earlier = std::move(of.exit);
      of.exit.reset();
    }
    const bool ran = of.attempt >= 0 && !of.exit;
    if (ran) recall_lost(status != nullptr ? *status : ContainerStatus{}, of, now);
    return of;
  }
  if (newest->phase == ContainerPhase::running) {
    recall_running(pod, container, status, *newest, of, now);
  } else if (newest->phase == ContainerPhase::exited) {
    recall_exited(*newest, !alive, of, now);
  } else if (of.attempt >= newest->attempt) {
    of.attempt = newest->attempt - 1;  // made, never started: the same attempt is tried again
  }
  return of;
}

}  // namespace

PodMemory recall(const Pod& pod, const SandboxReport* found, Now now) {
  PodMemory memory;
  memory.status = pod.status;
  memory.start_time = pod.status.start_time;
  memory.start_mono = to_mono(pod.status.start_time.value_or(now.wall), now);
  memory.address = pod.status.pod_ip;
  if (found != nullptr) {
    memory.sandbox = found->shim_alive ? SandboxStage::ready : SandboxStage::lost;
    memory.sandboxes_made = 1;
  }
  if (pod.status.phase == "Failed") {
    memory.failed_reason = pod.status.reason;
    memory.failed_message = pod.status.message;
  }
  for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers}) {
    for (const auto& container : *list) {
      memory.containers[container.name] = recall_container(pod, container, found, now);
    }
  }
  const bool any_app = std::any_of(
      pod.spec.containers.begin(), pod.spec.containers.end(),
      [&](const Container& c) { return memory.containers[c.name].attempt >= 0; });
  const Condition* initialized = find_condition(pod.status.conditions, "Initialized");
  memory.initialized = any_app || (initialized != nullptr && initialized->status == "True" &&
                                   !pod.status.container_statuses.empty());
  if (!is_final_phase(pod.status.phase) && memory.sandbox != SandboxStage::ready) {
    absorb_loss(pod, memory, now);
  }
  return memory;
}

}  // namespace moored::agent
