#include "runtime/agent/pod_plan.hpp"

#include <algorithm>

#include "runtime/agent/container_stop.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/probe_plan.hpp"
#include "runtime/agent/resources.hpp"

namespace moored::agent {
namespace {

// An exit that the store does not confirm is let go after this long when the pod is leaving: a disk
// that fails now and then must not cost an exit code, one that stays broken must not hold a pod.
constexpr Duration kRecordWait = std::chrono::seconds(60);
constexpr std::int64_t kDefaultGraceSeconds = 30;
constexpr const char* kDeadlineMessage =
    "Pod was active on the node longer than the specified deadline";

// The grace period that the manifest asks for.
Duration get_spec_grace(const Pod& pod) {
  return std::chrono::seconds(
      pod.spec.termination_grace_period_seconds.value_or(kDefaultGraceSeconds));
}

// Makes one plan: works on a copy of the memory and collects what is to be done.
class Planner {
 public:
  Planner(const PodDesired& desired, const PodMemory& memory, Now now, const PlanOptions& options)
      : desired_(desired), pod_(desired.pod), memory_(memory), now_(now), options_(options) {}

  // The one pass: prepare the memory, decide, and compute the status that follows.
  PodPlan make() {
    begin();
    if (!memory_.busy) decide();
    PodPlan plan;
    plan.gone = is_leaving() && memory_.removed;
    plan.status = make_status(desired_, memory_, now_, options_);
    memory_.status = plan.status;
    const bool work = std::any_of(actions_.begin(), actions_.end(),
                                  [](const Action& a) { return !runs_beside(a.type); });
    memory_.busy = memory_.busy || work;
    plan.memory = std::move(memory_);
    plan.actions = std::move(actions_);
    plan.notes = std::move(notes_);
    plan.wake = wake_;
    return plan;
  }

 private:
  using ActionType = Action::Type;

  // Deleted, vanished or never asked for: all end with nothing left.
  bool is_leaving() const {
    return desired_.vanished || desired_.foreign || pod_.metadata.deletion_timestamp.has_value();
  }

  // What holds in every state.
  void begin() {
    for (const auto* list : {&pod_.spec.init_containers, &pod_.spec.containers}) {
      for (const auto& container : *list) memory_.containers[container.name];
    }
    if (!memory_.start_time) {
      memory_.start_time = now_.wall;
      memory_.start_mono = now_.mono;
    }
    check_deadline();
    if (is_leaving()) set_stop_grace();
  }

  // activeDeadlineSeconds counts from the first sight of the pod on this node.
  void check_deadline() {
    if (!pod_.spec.active_deadline_seconds || is_final_phase(memory_.status.phase)) return;
    const MonoTime due =
        memory_.start_mono + std::chrono::seconds(*pod_.spec.active_deadline_seconds);
    if (now_.mono < due) {
      wake_at(wake_, due);
    } else if (memory_.failed_reason.empty()) {
      memory_.failed_reason = "DeadlineExceeded";
      memory_.failed_message = kDeadlineMessage;
      notes_.push_back({false, "DeadlineExceeded", kDeadlineMessage, {}});
    }
  }

  // A second request may shorten the grace period, never lengthen it.
  void set_stop_grace() {
    Duration grace = get_spec_grace(pod_);
    if (desired_.foreign) grace = Duration{};
    if (pod_.metadata.deletion_grace_period_seconds) {
      grace = std::chrono::seconds(*pod_.metadata.deletion_grace_period_seconds);
    }
    if (!memory_.stop_since) {
      memory_.stop_since = now_.mono;
      memory_.stop_grace = grace;
    }
    memory_.stop_grace = std::min(memory_.stop_grace, grace);
  }

  // The one question: is the pod ending, over, not there yet, or at work?
  void decide() {
    if (memory_.sandbox == SandboxStage::lost) {
      if (is_retry_due()) act(ActionType::reset);
      return;
    }
    if (is_leaving()) {
      leave();
    } else if (is_over(pod_, memory_)) {
      wind_up();
    } else if (memory_.sandbox == SandboxStage::absent) {
      if (is_retry_due()) act(ActionType::prepare);
    } else {
      run_containers();
    }
    collect();
  }

  // Whether a failed preparation or removal may be tried again.
  bool is_retry_due() {
    if (!memory_.problem || now_.mono >= memory_.problem->retry_at) return true;
    wake_at(wake_, memory_.problem->retry_at);
    return false;
  }

  // Adds an action.
  void act(ActionType type, const std::string& container = {}, int attempt = 0) {
    Action action;
    action.type = type;
    action.container = container;
    action.attempt = attempt;
    actions_.push_back(action);
  }

  // ---- the end of a pod ----

  // Stops everything, then removes it once the store knows how it ended.
  void leave() {
    if (!stop_all(*memory_.stop_since, memory_.stop_grace)) return;
    if (memory_.removed) return;
    if (!desired_.vanished && !desired_.foreign && !are_exits_recorded()) return;
    if (is_retry_due()) act(ActionType::remove);
  }

  // The pod's work is done: sidecars stop, then everything but its logs is given back.
  void wind_up() {
    if (is_any_running(memory_) && !memory_.stop_since) {
      memory_.stop_since = now_.mono;
      memory_.stop_grace = get_spec_grace(pod_);
    }
    if (memory_.stop_since && !stop_all(*memory_.stop_since, memory_.stop_grace)) return;
    if (memory_.sandbox == SandboxStage::absent || !are_exits_recorded()) return;
    if (is_retry_due()) act(ActionType::release);
  }

  // Stops apps and init containers side by side, then sidecars one by one from the last to the
  // first. True when nothing runs any more.
  bool stop_all(MonoTime since, Duration grace) {
    bool apps_stopped = true;
    for (const auto& container : pod_.spec.containers) {
      apps_stopped = stop_one(container, since, grace) && apps_stopped;
    }
    for (const auto& container : pod_.spec.init_containers) {
      if (is_sidecar(container)) continue;
      apps_stopped = stop_one(container, since, grace) && apps_stopped;
    }
    if (!apps_stopped && grace > Duration{}) {
      watch_sidecars();
      return false;
    }
    bool all_stopped = apps_stopped;
    const auto& inits = pod_.spec.init_containers;
    for (auto it = inits.rbegin(); it != inits.rend(); ++it) {
      if (!is_sidecar(*it)) continue;
      all_stopped = stop_one(*it, since, grace) && all_stopped;
      if (!all_stopped && grace > Duration{}) return false;
    }
    return all_stopped;
  }

  // True when the container has no process. A start that is under way is waited for.
  bool stop_one(const Container& container, MonoTime since, Duration grace) {
    ContainerMemory& of = memory_.containers[container.name];
    if (of.stage == ContainerStage::idle) return true;
    if (of.stage == ContainerStage::starting) return false;
    note(begin_stop(of, container.name, since, grace, "Stopping container " + container.name));
    advance_stop(container, of, now_.mono, actions_, wake_);
    plan_probes(container, of);
    return false;
  }

  // Sidecars that wait for their turn keep their readiness probes.
  void watch_sidecars() {
    for (const auto& container : pod_.spec.init_containers) {
      ContainerMemory& of = memory_.containers[container.name];
      if (is_sidecar(container) && of.stage == ContainerStage::running) plan_probes(container, of);
    }
  }

  // Removing the sandbox loses exit codes, so the store has to have them first.
  bool are_exits_recorded() {
    bool all = true;
    for (const auto& [name, of] : memory_.containers) {
      if (!of.exit || is_exit_recorded(pod_, name, of.attempt)) continue;
      const MonoTime due = of.exited_mono + kRecordWait;
      if (now_.mono >= due) continue;
      wake_at(wake_, due);
      all = false;
    }
    return all;
  }

  // Attempts whose end is recorded may be forgotten by the sandbox.
  void collect() {
    if (memory_.sandbox != SandboxStage::ready || is_leaving()) return;
    for (auto& [name, of] : memory_.containers) {
      for (const int attempt : of.uncollected) {
        if (is_exit_recorded(pod_, name, attempt)) act(ActionType::collect, name, attempt);
      }
    }
  }

  // ---- a pod at work ----

  // Init containers one by one, sidecars as they come, then all the others at once.
  void run_containers() {
    bool ready_for_next = true;
    for (const auto& container : pod_.spec.init_containers) {
      ContainerMemory& of = memory_.containers[container.name];
      if (is_sidecar(container)) {
        run_container(container, of, true);
        ready_for_next = is_started(container, of);
      } else if (!memory_.initialized) {
        const bool done = of.stage == ContainerStage::idle && of.exit && of.exit->exit_code == 0;
        if (!done) run_container(container, of, true);
        ready_for_next = done;
      }
      if (!ready_for_next && !memory_.initialized) return;
    }
    memory_.initialized = true;
    for (const auto& container : pod_.spec.containers) {
      run_container(container, memory_.containers[container.name], false);
    }
  }

  // A container is either started or looked after.
  void run_container(const Container& container, ContainerMemory& of, bool init) {
    if (of.stage == ContainerStage::starting) return;
    if (of.stage == ContainerStage::running) {
      tend(container, of);
    } else {
      start(container, of, init);
    }
  }

  // Looks after a running container: hooks, a stop that is under way, probes.
  void tend(const Container& container, ContainerMemory& of) {
    plan_post_start(container, of);
    if (!of.stop && !of.spec_image.empty() && of.spec_image != container.image) {
      note(begin_stop(of, container.name, now_.mono, get_spec_grace(pod_),
                      "Container " + container.name + " definition changed, will be restarted"));
    }
    advance_stop(container, of, now_.mono, actions_, wake_);
    plan_probes(container, of);
  }

  // Starts the hook once; a sleep is only a time to wait for.
  void plan_post_start(const Container& container, ContainerMemory& of) {
    if (of.post_start == HookStage::wanted) {
      of.post_start = HookStage::running;
      const auto& hook = container.lifecycle->post_start;
      if (hook->sleep) {
        of.post_start_due = now_.mono + std::chrono::seconds(hook->sleep->seconds);
      } else {
        act(ActionType::post_start, container.name, of.attempt);
      }
    }
    if (of.post_start != HookStage::running || !of.post_start_due) return;
    if (now_.mono >= *of.post_start_due) {
      of.post_start = HookStage::done;
      of.post_start_due.reset();
    } else {
      wake_at(wake_, *of.post_start_due);
    }
  }

  // Adds the probes that are due and wakes for the others.
  void plan_probes(const Container& container, ContainerMemory& of) {
    for (const auto kind : {ProbeKind::startup, ProbeKind::liveness, ProbeKind::readiness}) {
      ProbeMemory& probe = get_probe_memory(of, kind);
      if (!is_probe_active(container, of, kind)) continue;
      if (probe.in_flight || probe.on_hold) continue;
      const Probe& declared = *get_probe(container, kind);
      if (!probe.next) probe.next = std::max(get_first_tick(declared, of.started_mono), now_.mono);
      if (now_.mono < *probe.next) {
        wake_at(wake_, *probe.next);
        continue;
      }
      probe.in_flight = true;
      act(ActionType::probe, container.name, of.attempt);
      actions_.back().probe = kind;
      actions_.back().timeout = std::chrono::seconds(std::max(declared.timeout_seconds, 1));
    }
  }

  // Starts the next attempt when policy and back-off allow it.
  void start(const Container& container, ContainerMemory& of, bool init) {
    if (of.pulling) return;  // the end of the pull clears it
    if (of.problem) {
      if (!is_problem_over(container, of)) return;
    } else if (of.exit) {
      const bool changed = !of.spec_image.empty() && of.spec_image != container.image;
      const std::string policy = get_restart_policy(pod_.spec, container, init);
      if (!should_restart(policy, *of.exit) && !changed) return;
      const BackOff wait = plan_back_off(of, now_.mono, options_);
      if (wait.until) {
        wake_at(wake_, *wait.until);
        note_back_off(container, of);
        return;
      }
      of.back_off = wait.delay;
      of.back_off_touched = now_.mono;
    }
    of.stage = ContainerStage::starting;
    act(ActionType::start, container.name, of.attempt + 1);
  }

  // One event for each time that a restart has to wait.
  void note_back_off(const Container& container, ContainerMemory& of) {
    if (of.back_off_noted == of.attempt) return;
    of.back_off_noted = of.attempt;
    notes_.push_back({true, "BackOff",
                      "Back-off restarting failed container " + container.name + " in pod " +
                          word_pod(pod_.metadata),
                      container.name});
  }

  // True when the failed start may be tried again. Meanwhile an image problem turns to a back-off.
  bool is_problem_over(const Container& container, ContainerMemory& of) {
    StartProblem& problem = *of.problem;
    if (now_.mono >= problem.retry_at) return true;
    wake_at(wake_, problem.retry_at);
    if (problem.reason != "ErrImagePull") return false;
    constexpr Duration kShown = std::chrono::seconds(2);
    if (now_.mono < problem.since + kShown) {
      wake_at(wake_, problem.since + kShown);
      return false;
    }
    problem.reason = "ImagePullBackOff";
    const std::string words = "Back-off pulling image \"" + container.image + "\"";
    problem.message = words + ": ErrImagePull: " + problem.message;
    notes_.push_back({false, "BackOff", words, container.name});
    notes_.push_back({true, "Failed", "Error: ImagePullBackOff", container.name});
    return false;
  }

  // Collects a piece of news, if there is one.
  void note(std::optional<Note> news) {
    if (news) notes_.push_back(std::move(*news));
  }

  const PodDesired& desired_;
  const Pod& pod_;
  PodMemory memory_;
  Now now_;
  const PlanOptions& options_;
  std::vector<Action> actions_;
  std::vector<Note> notes_;
  std::optional<MonoTime> wake_;
};

}  // namespace

BackOff plan_back_off(const ContainerMemory& memory, MonoTime now, const PlanOptions& options) {
  const bool fresh = memory.back_off == Duration{} ||
                     memory.exited_mono - memory.back_off_touched > 2 * options.back_off_cap;
  if (fresh) return {options.back_off_base, std::nullopt, {}};
  const MonoTime until = memory.exited_mono + memory.back_off;
  if (now < until) return {memory.back_off, until, memory.back_off};
  return {std::min(2 * memory.back_off, options.back_off_cap), std::nullopt, {}};
}

PodPlan plan_pod(const PodDesired& desired, const PodMemory& memory, Now now,
                 const PlanOptions& options) {
  return Planner(desired, memory, now, options).make();
}

}  // namespace moored::agent
