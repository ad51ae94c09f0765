// When a probe runs, and when its results count. Pure.
#pragma once

#include "runtime/agent/pod_memory.hpp"

namespace moored::agent {

// The declared probe of a kind, or nothing.
const std::optional<Probe>& get_probe(const Container& container, ProbeKind kind);
ProbeMemory& get_probe_memory(ContainerMemory& memory, ProbeKind kind);
// "Startup", "Liveness", "Readiness", as events word it.
const char* get_probe_word(ProbeKind kind);

// Values of all three probes for a new attempt: readiness fails, liveness succeeds, startup is
// unknown until the first result counts.
void reset_probes(ContainerMemory& memory);

// True when this kind may run now: startup before it has succeeded, the others after.
bool is_probe_active(const Container& container, const ContainerMemory& memory, ProbeKind kind);

// When an active probe runs next. The first run is after initialDelay from the container's start;
// a late tick is skipped, not made up for.
MonoTime get_first_tick(const Probe& probe, MonoTime started);
MonoTime get_next_tick(const Probe& probe, MonoTime last, MonoTime now);

// Takes one result. True when the verdict turned to failure and the container must be killed
// (startup and liveness).
bool absorb_probe(const Probe& probe, ProbeKind kind, ProbeResult::Outcome result,
                  ProbeMemory& memory);

// Whether a running container is started and ready as its probes say.
bool is_started(const Container& container, const ContainerMemory& memory);
bool is_ready(const Container& container, const ContainerMemory& memory);

}  // namespace moored::agent
