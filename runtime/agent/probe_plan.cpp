#include "runtime/agent/probe_plan.hpp"

#include <algorithm>

namespace moored::agent {

using Verdict = ProbeMemory::Verdict;

const std::optional<Probe>& get_probe(const Container& container, ProbeKind kind) {
  if (kind == ProbeKind::startup) return container.startup_probe;
  if (kind == ProbeKind::liveness) return container.liveness_probe;
  return container.readiness_probe;
}

ProbeMemory& get_probe_memory(ContainerMemory& memory, ProbeKind kind) {
  if (kind == ProbeKind::startup) return memory.startup;
  if (kind == ProbeKind::liveness) return memory.liveness;
  return memory.readiness;
}

const char* get_probe_word(ProbeKind kind) {
  if (kind == ProbeKind::startup) return "Startup";
  if (kind == ProbeKind::liveness) return "Liveness";
  return "Readiness";
}

void reset_probes(ContainerMemory& memory) {
  memory.startup = {};
  memory.liveness = {};
  memory.readiness = {};
  memory.liveness.verdict = Verdict::success;
  memory.readiness.verdict = Verdict::failure;
}

bool is_probe_active(const Container& container, const ContainerMemory& memory, ProbeKind kind) {
  if (!get_probe(container, kind)) return false;
  if (memory.stage != ContainerStage::running) return false;
  if (memory.post_start == HookStage::wanted || memory.post_start == HookStage::running) {
    return false;
  }
  // A container that is being stopped keeps only its readiness probe.
  if (memory.stop && kind != ProbeKind::readiness) return false;
  const bool started = !container.startup_probe || memory.startup.verdict == Verdict::success;
  return kind == ProbeKind::startup ? !started : started;
}

MonoTime get_first_tick(const Probe& probe, MonoTime started) {
  return started + std::chrono::seconds(std::max(probe.initial_delay_seconds, 0));
}

MonoTime get_next_tick(const Probe& probe, MonoTime last, MonoTime now) {
  const Duration period = std::chrono::seconds(std::max(probe.period_seconds, 1));
  const auto missed = now > last ? (now - last) / period : 0;
  return last + period * (missed + 1);
}

bool absorb_probe(const Probe& probe, ProbeKind kind, ProbeResult::Outcome result,
                  ProbeMemory& memory) {
  if (result == ProbeResult::Outcome::unknown) return false;
  const Verdict now = result == ProbeResult::Outcome::success ? Verdict::success : Verdict::failure;
  memory.run = memory.last == now ? memory.run + 1 : 1;
  memory.last = now;
  const int threshold = now == Verdict::success ? probe.success_threshold : probe.failure_threshold;
  if (memory.run < std::max(threshold, 1)) return false;
  memory.verdict = now;
  if (kind == ProbeKind::readiness || now == Verdict::success) return false;
  memory.on_hold = true;
  memory.run = 0;
  return true;
}

bool is_started(const Container& container, const ContainerMemory& memory) {
  if (memory.stage != ContainerStage::running) return false;
  if (memory.post_start == HookStage::wanted || memory.post_start == HookStage::running) {
    return false;
  }
  return !container.startup_probe || memory.startup.verdict == Verdict::success;
}

bool is_ready(const Container& container, const ContainerMemory& memory) {
  if (!is_started(container, memory)) return false;
  return !container.readiness_probe || memory.readiness.verdict == Verdict::success;
}

}  // namespace moored::agent
