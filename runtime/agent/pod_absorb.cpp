// Taking news into a pod's memory: ends of actions, ends of containers, lost shims. Pure.
#include <algorithm>
#include <utility>

#include "runtime/agent/container_exit.hpp"
#include "runtime/agent/container_stop.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "runtime/agent/probe_plan.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/ports/image_store.hpp"

namespace moored::agent {
namespace {

constexpr Duration kConfigRetry = std::chrono::seconds(10);
constexpr Duration kPrepareBase = std::chrono::milliseconds(500);
constexpr Duration kPrepareCap = std::chrono::minutes(2);

// The newest attempt has ended: what was its exit becomes the earlier one.
void put_exit(ContainerMemory& memory, ContainerStateTerminated exit, MonoTime at) {
  if (memory.exit) memory.earlier = std::move(memory.exit);
  memory.exit = std::move(exit);
  memory.exited_mono = at;
  memory.stage = ContainerStage::idle;
  memory.stop.reset();
  memory.post_start = HookStage::none;
  memory.post_start_due.reset();
  memory.started_at.reset();
  reset_probes(memory);
}

// A start that failed with its shim is made again as soon as there is a new one; only one that
// keeps failing has to wait.
void forgive_loss(ContainerMemory& memory, Now now) {
  if (!memory.problem || memory.problem->failures > 1) return;
  const std::string& reason = memory.problem->reason;
  const bool with_shim = reason == "CreateContainerError" || reason == "RunContainerError";
  if (with_shim) memory.problem->retry_at = now.mono;
}

// Everything that one outcome touches.
class Absorber {
 public:
  Absorber(const PodDesired& desired, PodMemory& memory, const Outcome& outcome, Now now,
           const PlanOptions& options)
      : pod_(desired.pod), memory_(memory), outcome_(outcome), now_(now), options_(options) {}

  // Each kind of action has its own way to end.
  std::vector<Note> take() {
    notes_ = outcome_.notes;
    using Type = Action::Type;
    switch (outcome_.action.type) {
      case Type::prepare: take_prepare(); break;
      case Type::start: take_start(); break;
      case Type::kill: take_kill(); break;
      case Type::collect: take_collect(); break;
      case Type::signal: take_signal(); break;
      case Type::reset:
      case Type::release:
      case Type::remove: take_removal(); break;
      case Type::post_start: take_post_start(); break;
      case Type::pre_stop: take_pre_stop(); break;
      case Type::probe: take_probe(); break;
    }
    return std::move(notes_);
  }

 private:
  // Collects a piece of news.
  void note(bool warning, const std::string& reason, const std::string& message,
            const std::string& container = {}) {
    notes_.push_back({warning, reason, message, container});
  }

  // Remembers a failure, each one waiting twice as long as the one before.
  static void put_problem(std::optional<StartProblem>& problem, const std::string& reason,
                          const std::string& message, Now now, Duration base, Duration cap) {
    const bool again = problem && problem->delay > Duration{};
    const Duration delay = again ? std::min(2 * problem->delay, cap) : base;
    const int failures = problem ? problem->failures + 1 : 1;
    problem = StartProblem{reason, message, now.mono, now.mono + delay, delay, false, failures};
  }

  // Network, volumes and shim: all there, or tried again as a whole.
  void take_prepare() {
    if (!outcome_.error) {
      memory_.sandbox = SandboxStage::ready;
      memory_.sandboxes_made += 1;
      memory_.address = outcome_.address;
      memory_.problem.reset();
      return;
    }
    const Error& error = *outcome_.error;
    const bool mount = error.reason == "FailedMount";
    const bool first = !memory_.problem || memory_.problem->message != error.message;
    put_problem(memory_.problem, error.reason, error.message, now_, kPrepareBase, kPrepareCap);
    if (error.reason == "SysctlForbidden") {
      memory_.failed_reason = error.reason;
      memory_.failed_message = error.message;
      note(true, "SysctlForbidden", error.message);
    } else if (mount) {
      note(true, "FailedMount", error.message);
    } else if (first || memory_.problem->delay > std::chrono::seconds(5)) {
      note(true, "FailedCreatePodSandBox", "Failed to create pod sandbox: " + error.message);
    }
  }

  // Everything of the pod is away from this machine, or tried again.
  void take_removal() {
    if (outcome_.error) {
      const bool first = !memory_.problem;
      put_problem(memory_.problem, "FailedKillPod", outcome_.error->message, now_, kPrepareBase,
                  kPrepareCap);
      if (first) note(true, "FailedKillPod", "error killing pod: " + outcome_.error->message);
      return;
    }
    memory_.problem.reset();
    memory_.sandbox = SandboxStage::absent;
    for (auto& [name, of] : memory_.containers) of.uncollected.clear();
    memory_.removed = outcome_.action.type == Action::Type::remove;
  }

  // The container that the action was about.
  ContainerMemory& of() { return memory_.containers[outcome_.action.container]; }

  // True when the outcome speaks of an attempt that is not the newest any more.
  bool is_stale() {
    return of().attempt != outcome_.action.attempt || of().stage != ContainerStage::running;
  }

  // A process runs now, or this attempt came to nothing.
  void take_start() {
    ContainerMemory& container = of();
    container.stage = ContainerStage::idle;
    const bool settled = std::exchange(container.settled_early, false);
    if (outcome_.error && outcome_.error->reason == kPullingReason) {
      take_pulling(container, settled);
      return;
    }
    pulling_noted_ = std::exchange(container.pulling_noted, false);
    if (outcome_.error) {
      take_start_error(container);
      return;
    }
    const std::string& name = outcome_.action.container;
    container.problem.reset();
    if (container.exit) container.earlier = std::move(container.exit);
    container.exit.reset();
    container.stage = ContainerStage::running;
    container.attempt = outcome_.action.attempt;
    container.container_id = outcome_.container_id;
    container.image = outcome_.image;
    container.image_id = outcome_.image_id;
    container.stop_signal = outcome_.stop_signal;
    container.started_at = now_.wall;
    if (outcome_.report && outcome_.report->started_at) {
      container.started_at = outcome_.report->started_at;
    }
    container.started_mono = now_.mono;
    container.killed_by_us = false;
    container.stop.reset();
    reset_probes(container);
    if (const Container* declared = find_container(pod_.spec, name)) {
      container.spec_image = declared->image;
      const bool hook = declared->lifecycle && declared->lifecycle->post_start;
      container.post_start = hook ? HookStage::wanted : HookStage::done;
      note(false, "Pulled", describe_pull(declared->image), name);
    }
    note(false, "Created", "Created container " + name, name);
    note(false, "Started", "Started container " + name, name);
    const bool ended = outcome_.report && outcome_.report->phase == ContainerPhase::exited;
    if (ended && !container.early_exit) container.early_exit = outcome_.report;
    if (container.early_exit) {
      const ContainerReport report = *container.early_exit;
      container.early_exit.reset();
      absorb_exit(pod_, memory_, report, now_);
    }
  }

  // The image is on its way; the agent is told when it is there or will not come.
  void take_pulling(ContainerMemory& container, bool settled) {
    container.pulling = !settled;
    if (std::exchange(container.pulling_noted, true)) return;
    const std::string& name = outcome_.action.container;
    const Container* declared = find_container(pod_.spec, name);
    if (declared == nullptr) return;
    note_missing_secrets();
    note(false, "Pulling", "Pulling image \"" + declared->image + "\"", name);
  }

  // Kubernetes goes on without: the registry may not want any.
  void note_missing_secrets() {
    std::string names;
    for (const auto& name : outcome_.missing_pull_secrets) {
      names += (names.empty() ? "" : ", ") + name;
    }
    if (names.empty()) return;
    note(true, "FailedToRetrieveImagePullSecret",
         "Unable to retrieve some image pull secrets (" + names +
             "); attempting to pull the image may not succeed.");
  }

  // Kubernetes' words for how an image came.
  std::string describe_pull(const std::string& image) const {
    if (!outcome_.fetched) {
      return "Container image \"" + image + "\" already present on machine";
    }
    const auto& fetched = *outcome_.fetched;
    return "Successfully pulled image \"" + image + "\" in " + word_duration(fetched.took) + " (" +
           word_duration(fetched.waited) + " including waiting). Image size: " +
           std::to_string(fetched.size_bytes) + " bytes.";
  }

  // 1.234s or 56ms, as Go writes durations.
  static std::string word_duration(Duration duration) {
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
    if (milliseconds < 1000) return std::to_string(milliseconds) + "ms";
    const auto rest = std::to_string(1000 + milliseconds % 1000).substr(1);
    return std::to_string(milliseconds / 1000) + "." + rest + "s";
  }

  // StartError used the attempt up; anything else is tried again under the same number.
  void take_start_error(ContainerMemory& container) {
    const Error& error = *outcome_.error;
    const std::string& name = outcome_.action.container;
    container.early_exit.reset();
    if (error.reason == "StartError") {
      ContainerReport report;
      report.container_id = outcome_.container_id;
      report.start_error = error.message;
      container.problem.reset();
      container.attempt = outcome_.action.attempt;
      container.container_id = outcome_.container_id;
      container.uncollected.push_back(container.attempt);
      if (const Container* declared = find_container(pod_.spec, name)) {
        container.spec_image = declared->image;
      }
      put_exit(container, make_exit(report, now_.wall), now_.mono);
      note(true, "Failed", "Error: " + error.message, name);
      return;
    }
    const bool config = error.reason == "CreateContainerConfigError" ||
                        error.reason == "ErrImageNeverPull" || error.reason == "InvalidImageName";
    const bool known = container.problem && container.problem->message == error.message;
    const Duration cap = config ? kConfigRetry : options_.back_off_cap;
    const Duration base = config ? kConfigRetry : options_.back_off_base;
    put_problem(container.problem, error.reason, error.message, now_, base, cap);
    if (memory_.sandbox == SandboxStage::lost) forgive_loss(container, now_);
    note_start_problem(error, name, known);
  }

  // Kubernetes' words for each reason.
  void note_start_problem(const Error& error, const std::string& name, bool known) {
    const Container* declared = find_container(pod_.spec, name);
    const std::string image = declared != nullptr ? declared->image : "";
    if (error.reason == "ErrImagePull") {
      if (!pulling_noted_) note(false, "Pulling", "Pulling image \"" + image + "\"", name);
      note(true, "Failed", "Failed to pull image \"" + image + "\": " + error.message, name);
      note(true, "Failed", "Error: ErrImagePull", name);
    } else if (error.reason == "ErrImageNeverPull") {
      if (!known) note(true, "ErrImageNeverPull", error.message, name);
      note(true, "Failed", "Error: ErrImageNeverPull", name);
    } else if (error.reason == "InvalidImageName") {
      note(true, "InspectFailed", error.message, name);
      note(true, "Failed", "Error: InvalidImageName", name);
    } else {
      note(true, "Failed", "Error: " + error.message, name);
    }
  }

  // A program that was not told to stop has no chance to stop well: it is told again.
  void take_signal() {
    if (!outcome_.error || outcome_.error->code == Code::not_found || is_stale()) return;
    if (of().stop) of().stop->signal_again = now_.mono + kSignalAgain;
  }

  // A container that the sandbox does not know cannot be killed: it is lost.
  void take_kill() {
    if (!outcome_.error || outcome_.error->code != Code::not_found || is_stale()) return;
    put_exit(of(), make_lost_exit(of().container_id, of().started_at, now_.wall), now_.mono);
  }

  // The sandbox has let go of the attempt, or will when the pod goes.
  void take_collect() {
    auto& waiting = of().uncollected;
    waiting.erase(std::remove(waiting.begin(), waiting.end(), outcome_.action.attempt),
                  waiting.end());
  }

  // What a failed hook said: the error of the call, or the output of the program.
  std::optional<std::string> find_hook_failure() const {
    if (outcome_.error) return outcome_.error->message;
    if (!outcome_.probe) return std::nullopt;
    if (outcome_.probe->outcome == ProbeResult::Outcome::success) return std::nullopt;
    return outcome_.probe->output;
  }

  // The container counts as started from here on, unless the hook failed.
  void take_post_start() {
    if (is_stale()) return;
    of().post_start = HookStage::done;
    const auto failure = find_hook_failure();
    if (!failure) return;
    const std::string& name = outcome_.action.container;
    note(true, "FailedPostStartHook", "PostStartHook failed: " + *failure, name);
    stop_container("FailedPostStartHook", std::nullopt);
  }

  // However the hook ended, the stop goes on.
  void take_pre_stop() {
    if (is_stale() || !of().stop) return;
    of().stop->pre_stop = HookStage::done;
    if (const auto failure = find_hook_failure()) {
      note(true, "FailedPreStopHook", "PreStopHook failed: " + *failure,
           outcome_.action.container);
    }
  }

  // One result; the thresholds decide whether it changes anything.
  void take_probe() {
    const ProbeKind kind = outcome_.action.probe;
    const Container* declared = find_container(pod_.spec, outcome_.action.container);
    if (declared == nullptr || !get_probe(*declared, kind) || is_stale()) return;
    ProbeMemory& memory = get_probe_memory(of(), kind);
    const Probe& probe = *get_probe(*declared, kind);
    memory.in_flight = false;
    if (memory.next) memory.next = get_next_tick(probe, *memory.next, now_.mono);
    const std::string word = get_probe_word(kind);
    if (outcome_.error) {
      note(true, "Unhealthy", word + " probe errored: " + outcome_.error->message,
           declared->name);
    }
    if (!outcome_.probe) return;
    const ProbeResult& result = *outcome_.probe;
    if (result.outcome == ProbeResult::Outcome::failure) {
      note(true, "Unhealthy", word + " probe failed: " + result.output, declared->name);
    }
    if (!absorb_probe(probe, kind, result.outcome, memory)) return;
    const std::string lower = kind == ProbeKind::startup ? "startup" : "liveness";
    stop_container(
        "Container " + declared->name + " failed " + lower + " probe, will be restarted",
        probe.termination_grace_period_seconds);
  }

  // Stops this one container; the restart policy decides what follows.
  void stop_container(const std::string& message, std::optional<std::int64_t> grace_seconds) {
    const auto seconds =
        grace_seconds.value_or(pod_.spec.termination_grace_period_seconds.value_or(30));
    auto news = begin_stop(of(), outcome_.action.container, now_.mono,
                           std::chrono::seconds(seconds), message);
    if (news) notes_.push_back(std::move(*news));
  }

  const Pod& pod_;
  PodMemory& memory_;
  const Outcome& outcome_;
  Now now_;
  const PlanOptions& options_;
  bool pulling_noted_ = false;  // a Pulling event was sent before this outcome
  std::vector<Note> notes_;
};

}  // namespace

std::vector<Note> absorb(const PodDesired& desired, PodMemory& memory, const Outcome& outcome,
                         Now now, const PlanOptions& options) {
  return Absorber(desired, memory, outcome, now, options).take();
}

bool absorb_exit(const Pod& pod, PodMemory& memory, const ContainerReport& report, Now now) {
  if (find_container(pod.spec, report.name) == nullptr) return false;
  ContainerMemory& of = memory.containers[report.name];
  if (of.stage == ContainerStage::starting && report.attempt == of.attempt + 1) {
    of.early_exit = report;
    return false;
  }
  if (of.stage != ContainerStage::running || report.attempt != of.attempt) return false;
  of.uncollected.push_back(report.attempt);
  put_exit(of, make_exit(report, now.wall), now.mono);
  return true;
}

void absorb_loss(const Pod& pod, PodMemory& memory, Now now) {
  const bool reruns_init = pod.spec.restart_policy != "Never";
  if (memory.sandbox == SandboxStage::ready) memory.sandbox = SandboxStage::lost;
  for (auto& [name, of] : memory.containers) {
    of.uncollected.clear();
    forgive_loss(of, now);
    if (of.stage != ContainerStage::running) continue;
    put_exit(of, make_lost_exit(of.container_id, of.started_at, now.wall), now.mono);
  }
  if (!reruns_init) return;
  memory.initialized = false;
  for (const auto& container : pod.spec.init_containers) {
    ContainerMemory& of = memory.containers[container.name];
    if (is_sidecar(container) || !of.exit || of.exit->exit_code != 0) continue;
    of.earlier = std::move(of.exit);
    of.exit.reset();
  }
}

}  // namespace moored::agent
