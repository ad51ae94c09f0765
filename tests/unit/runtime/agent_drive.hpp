// A pod and the agent's memory of it, driven by hand through the pure plans.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "runtime/agent/container_exit.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"

namespace moored::test {

using namespace moored::agent;
using Do = Action::Type;
using Verdict = ProbeMemory::Verdict;

inline const Now kStart{*parse_time("2026-01-02T03:04:05Z"), MonoTime(std::chrono::hours(1))};

inline Now later(std::int64_t by) { return {kStart.wall + std::chrono::seconds(by), kStart.mono + std::chrono::seconds(by)}; }

inline PlanOptions make_options() {
  PlanOptions options;
  options.host_ip = "192.0.2.1";
  return options;
}

inline Container make_container(const std::string& name) {
  Container container;
  container.name = name;
  container.image = "busybox:1";
  return container;
}

inline Probe make_probe(int period, int success, int failure, int delay = 0) {
  Probe probe;
  probe.exec = ExecAction{{"check"}};
  probe.period_seconds = period;
  probe.success_threshold = success;
  probe.failure_threshold = failure;
  probe.initial_delay_seconds = delay;
  return probe;
}

inline Outcome succeed(const Action& action, Now now) {
  Outcome outcome;
  outcome.action = action;
  outcome.address = "10.209.0.2";
  outcome.container_id = std::string(63, 'c') + std::to_string(action.attempt % 10);
  outcome.image = "busybox:1";
  if (action.type == Do::start) {
    ContainerReport report;
    report.name = action.container;
    report.attempt = action.attempt;
    report.phase = ContainerPhase::running;
    report.started_at = now.wall;
    outcome.report = report;
  }
  if (runs_beside(action.type)) outcome.probe = ProbeResult{ProbeResult::Outcome::success, "", 0};
  return outcome;
}

inline ContainerReport make_end(const std::string& name, int attempt, int code) {
  ContainerReport report;
  report.name = name;
  report.attempt = attempt;
  report.phase = ContainerPhase::exited;
  report.exit_code = code;
  report.container_id = std::string(63, 'c') + std::to_string(attempt % 10);
  return report;
}

// A pod and its memory, driven by hand.
struct Drive {
  Pod pod = make_pod("web");
  PodMemory memory;
  PlanOptions options = make_options();
  std::vector<Note> notes;

  PodPlan plan(Now now) {
    auto made = plan_pod({pod, false, false}, memory, now, options);
    memory = made.memory;
    pod.status = made.status;  // a store that records everything at once
    notes.insert(notes.end(), made.notes.begin(), made.notes.end());
    return made;
  }
  void finish(const Outcome& outcome, Now now) {
    if (!runs_beside(outcome.action.type)) memory.busy = false;
    const auto news = absorb({pod, false, false}, memory, outcome, now, options);
    notes.insert(notes.end(), news.begin(), news.end());
  }
  // Plans and succeeds until nothing is left to do at this time.
  void settle(Now now) {
    bool quiet = false;
    for (int i = 0; i < 50; ++i) {
      const auto made = plan(now);
      // The status of the last plan is recorded by now, which may allow one more thing.
      if (made.actions.empty() && quiet) return;
      quiet = made.actions.empty();
      for (const auto& action : made.actions) finish(succeed(action, now), now);
    }
    FAIL("the pod never settles");
  }
  ContainerMemory& main() { return memory.containers["main"]; }
};

}  // namespace moored::test
