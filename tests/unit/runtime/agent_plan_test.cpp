// The pure core of the agent: plans, probes, back-off and status, as tables and as properties.
#include <algorithm>

#include <catch2/catch.hpp>

#include "runtime/agent/container_exit.hpp"
#include "runtime/agent/container_stop.hpp"
#include "runtime/agent/drift_ledger.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/probe_plan.hpp"
#include "runtime/agent/probe_request.hpp"
#include "schema/base/random.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
using std::chrono::seconds;

namespace {

using Do = Action::Type;
using Verdict = ProbeMemory::Verdict;

const Now kStart{*parse_time("2026-01-02T03:04:05Z"), MonoTime(std::chrono::hours(1))};

Now later(std::int64_t by) { return {kStart.wall + seconds(by), kStart.mono + seconds(by)}; }

PlanOptions make_options() {
  PlanOptions options;
  options.host_ip = "192.0.2.1";
  return options;
}

Container make_container(const std::string& name) {
  Container container;
  container.name = name;
  container.image = "busybox:1";
  return container;
}

Probe make_probe(int period, int success, int failure, int delay = 0) {
  Probe probe;
  probe.exec = ExecAction{{"check"}};
  probe.period_seconds = period;
  probe.success_threshold = success;
  probe.failure_threshold = failure;
  probe.initial_delay_seconds = delay;
  return probe;
}

Outcome succeed(const Action& action, Now now) {
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

ContainerReport make_end(const std::string& name, int attempt, int code) {
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

}  // namespace

TEST_CASE("plans go from nothing to a running pod, one step at a time", "[agent][plan]") {
  Drive drive;
  auto plan = drive.plan(kStart);
  REQUIRE(plan.actions.size() == 1);
  CHECK(plan.actions[0].type == Do::prepare);
  CHECK(plan.status.phase == "Pending");
  CHECK(drive.plan(kStart).actions.empty());  // it is under way

  drive.finish(succeed(plan.actions[0], kStart), kStart);
  plan = drive.plan(kStart);
  REQUIRE(plan.actions.size() == 1);
  CHECK(plan.actions[0].type == Do::start);
  CHECK(plan.actions[0].attempt == 0);
  drive.finish(succeed(plan.actions[0], kStart), kStart);
  plan = drive.plan(kStart);
  CHECK(plan.actions.empty());
  CHECK(plan.status.phase == "Running");
  CHECK_FALSE(plan.wake);
}

TEST_CASE("a plan on a settled pod is empty, whatever came before", "[agent][plan][property]") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed);
    Drive drive;
    const char* policies[] = {"Always", "OnFailure", "Never"};
    drive.pod.spec.restart_policy = policies[random.below(3)];
    if (random.below(2) != 0) drive.pod.spec.init_containers.push_back(make_container("init"));
    if (random.below(2) != 0) {
      Container sidecar = make_container("sidecar");
      sidecar.restart_policy = "Always";
      drive.pod.spec.init_containers.push_back(sidecar);
    }
    if (random.below(2) != 0) drive.pod.spec.containers.push_back(make_container("second"));
    if (random.below(2) != 0) {
      drive.pod.spec.containers[0].readiness_probe = make_probe(5, 1, 3);
    }
    std::int64_t second = 0;
    std::string last_phase;
    for (int step = 0; step < 60; ++step) {
      const Now now = later(second);
      drive.settle(now);
      // Nothing more is to be done at the same moment, and the status does not change either.
      const PodStatus before = drive.memory.status;
      const auto again = drive.plan(now);
      CHECK(again.actions.empty());
      CHECK(again.status == before);
      // A final phase stays.
      if (is_final_phase(last_phase)) CHECK(again.status.phase == last_phase);
      last_phase = again.status.phase;
      for (auto& [name, of] : drive.memory.containers) {
        if (of.stage != ContainerStage::running || random.below(3) != 0) continue;
        const int code = random.below(2) != 0 ? 1 : 0;
        absorb_exit(drive.pod, drive.memory, make_end(name, of.attempt, code), now);
        // The same end told twice changes nothing.
        const auto attempt = of.attempt;
        CHECK_FALSE(absorb_exit(drive.pod, drive.memory, make_end(name, attempt, 5), now));
      }
      if (random.below(20) == 0) absorb_loss(drive.pod, drive.memory, now);
      second += static_cast<std::int64_t>(random.below(40));
    }
    // However it got here, a deletion ends it.
    drive.pod.metadata.deletion_timestamp = later(second).wall;
    bool gone = false;
    for (int i = 0; i < 200 && !gone; ++i) {
      const Now now = later(second + i);
      const auto plan = drive.plan(now);
      gone = plan.gone;
      for (const auto& action : plan.actions) {
        drive.finish(succeed(action, now), now);
        auto& of = drive.memory.containers[action.container];
        const bool ends = action.type == Do::kill || action.type == Do::signal;
        const auto end = make_end(action.container, of.attempt, 0);
        if (ends) absorb_exit(drive.pod, drive.memory, end, now);
      }
    }
    CHECK(gone);
  }
}

TEST_CASE("attempt numbers grow by one and never repeat", "[agent][plan][property]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed);
    Drive drive;
    std::vector<int> started;
    std::int64_t second = 0;
    for (int step = 0; step < 80; ++step) {
      const Now now = later(second);
      for (int i = 0; i < 10; ++i) {
        const auto plan = drive.plan(now);
        if (plan.actions.empty()) break;
        for (const auto& action : plan.actions) {
          Outcome outcome = succeed(action, now);
          const bool start = action.type == Do::start;
          if (start && random.below(4) == 0) {
            outcome.error = fail(Code::unavailable, "no").take();
            outcome.error->reason = "RunContainerError";
          } else if (start) {
            started.push_back(action.attempt);
          }
          drive.finish(outcome, now);
        }
      }
      if (drive.main().stage == ContainerStage::running && random.below(2) != 0) {
        absorb_exit(drive.pod, drive.memory, make_end("main", drive.main().attempt, 1), now);
      }
      second += static_cast<std::int64_t>(random.below(200));
    }
    REQUIRE(started.size() > 3);
    for (std::size_t i = 0; i < started.size(); ++i) CHECK(started[i] == static_cast<int>(i));
    CHECK(drive.pod.status.container_statuses[0].restart_count == started.back());
  }
}

TEST_CASE("when the next restart comes", "[agent][plan]") {
  struct Row {
    const char* what;
    int delay;          // remembered, in seconds
    int touched;        // seconds before the end of the container
    int now;            // seconds after it
    int until;          // seconds after it; -1: at once
    int next;           // delay to remember
  };
  const Row rows[] = {
      {"first end", 0, 0, 0, -1, 10},
      {"second end", 10, 5, 0, 10, 10},
      {"just before", 10, 5, 9, 10, 10},
      {"waited", 10, 5, 10, -1, 20},
      {"doubles up to the cap", 160, 5, 160, -1, 300},
      {"stays at the cap", 300, 5, 300, -1, 300},
      {"ran for ten minutes", 300, 600, 0, 300, 300},
      {"ran longer than that", 300, 601, 0, -1, 10},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    ContainerMemory memory;
    memory.exited_mono = kStart.mono;
    memory.back_off = seconds(row.delay);
    memory.back_off_touched = kStart.mono - seconds(row.touched);
    const auto found = plan_back_off(memory, kStart.mono + seconds(row.now), make_options());
    CHECK(found.delay == seconds(row.next));
    CHECK(found.until.has_value() == (row.until >= 0));
    if (found.until) CHECK(*found.until == kStart.mono + seconds(row.until));
  }
}

TEST_CASE("which ends are followed by a new start", "[agent][plan]") {
  struct Row {
    const char* policy;
    int code;
    bool again;
  };
  const Row rows[] = {{"Always", 0, true},    {"Always", 1, true}, {"OnFailure", 0, false},
                      {"OnFailure", 1, true}, {"Never", 0, false}, {"Never", 1, false}};
  for (const auto& row : rows) {
    ContainerStateTerminated exit;
    exit.exit_code = row.code;
    CHECK(should_restart(row.policy, exit) == row.again);
  }
  PodSpec spec;
  Container sidecar = make_container("s");
  sidecar.restart_policy = "Always";
  for (const char* policy : {"Always", "OnFailure", "Never"}) {
    spec.restart_policy = policy;
    CHECK(get_restart_policy(spec, sidecar, true) == "Always");
    CHECK(get_restart_policy(spec, make_container("c"), false) == policy);
  }
  spec.restart_policy = "Always";
  CHECK(get_restart_policy(spec, make_container("i"), true) == "OnFailure");
}

TEST_CASE("results count after as many in a row as asked for", "[agent][probes]") {
  struct Row {
    const char* what;
    ProbeKind kind;
    int success;
    int failure;
    std::string results;  // s, f, u
    Verdict verdict;
    bool kill;
  };
  const Row rows[] = {
      {"readiness, first success", ProbeKind::readiness, 1, 3, "s", Verdict::success, false},
      {"readiness, two of three", ProbeKind::readiness, 3, 3, "ss", Verdict::failure, false},
      {"readiness, broken row", ProbeKind::readiness, 3, 3, "ssfss", Verdict::failure, false},
      {"readiness, three", ProbeKind::readiness, 3, 3, "sss", Verdict::success, false},
      {"readiness, and lost", ProbeKind::readiness, 1, 2, "sff", Verdict::failure, false},
      {"readiness, one failure", ProbeKind::readiness, 1, 2, "sf", Verdict::success, false},
      {"unknown does not count", ProbeKind::readiness, 1, 2, "sfuf", Verdict::failure, false},
      {"liveness, not yet", ProbeKind::liveness, 1, 3, "ff", Verdict::success, false},
      {"liveness, interrupted", ProbeKind::liveness, 1, 3, "ffsff", Verdict::success, false},
      {"liveness, dead", ProbeKind::liveness, 1, 3, "fff", Verdict::failure, true},
      {"startup, unknown", ProbeKind::startup, 1, 3, "ff", Verdict::unknown, false},
      {"startup, started", ProbeKind::startup, 1, 3, "ffs", Verdict::success, false},
      {"startup, given up", ProbeKind::startup, 1, 3, "fff", Verdict::failure, true},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    ContainerMemory memory;
    reset_probes(memory);
    const Probe probe = make_probe(10, row.success, row.failure);
    bool kill = false;
    for (const char letter : row.results) {
      using Result = ProbeResult::Outcome;
      const auto result = letter == 's' ? Result::success
                          : letter == 'f' ? Result::failure
                                          : Result::unknown;
      kill = absorb_probe(probe, row.kind, result, get_probe_memory(memory, row.kind));
    }
    CHECK(get_probe_memory(memory, row.kind).verdict == row.verdict);
    CHECK(kill == row.kill);
    CHECK(get_probe_memory(memory, row.kind).on_hold == row.kill);
  }
}

TEST_CASE("probe ticks keep to their grid", "[agent][probes]") {
  const Probe probe = make_probe(10, 1, 3, 4);
  const MonoTime first = get_first_tick(probe, kStart.mono);
  CHECK(first == kStart.mono + seconds(4));
  struct Row {
    int now;   // seconds after the first tick
    int next;
  };
  for (const Row row : {Row{0, 10}, Row{9, 10}, Row{10, 20}, Row{35, 40}, Row{-5, 10}}) {
    CHECK(get_next_tick(probe, first, first + seconds(row.now)) == first + seconds(row.next));
  }
}

TEST_CASE("which probes run when", "[agent][probes]") {
  Container container = make_container("main");
  container.startup_probe = make_probe(1, 1, 3);
  container.liveness_probe = make_probe(1, 1, 3);
  container.readiness_probe = make_probe(1, 1, 3);
  ContainerMemory memory;
  reset_probes(memory);
  const auto active = [&] {
    std::string kinds;
    for (const auto kind : {ProbeKind::startup, ProbeKind::liveness, ProbeKind::readiness}) {
      if (is_probe_active(container, memory, kind)) kinds += get_probe_word(kind)[0];
    }
    return kinds;
  };
  CHECK(active().empty());
  memory.stage = ContainerStage::running;
  CHECK(active() == "S");
  memory.post_start = HookStage::running;
  CHECK(active().empty());
  memory.post_start = HookStage::done;
  memory.startup.verdict = Verdict::success;
  CHECK(active() == "LR");
  memory.stop = StopMemory{};
  CHECK(active() == "R");
  CHECK(is_started(container, memory));
  CHECK_FALSE(is_ready(container, memory));
  memory.readiness.verdict = Verdict::success;
  CHECK(is_ready(container, memory));
  memory.stage = ContainerStage::idle;
  CHECK_FALSE(is_ready(container, memory));
}

TEST_CASE("steps of a stop", "[agent][plan]") {
  ContainerMemory memory;
  memory.stage = ContainerStage::running;
  memory.attempt = 3;
  const Container container = make_container("main");
  std::vector<Action> actions;
  std::optional<MonoTime> wake;
  const auto note = begin_stop(memory, "main", kStart.mono, seconds(10), "Stopping container main");
  REQUIRE(note);
  CHECK(note->reason == "Killing");
  CHECK_FALSE(begin_stop(memory, "main", kStart.mono, seconds(10), "again"));
  advance_stop(container, memory, kStart.mono, actions, wake);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].type == Do::signal);
  CHECK(actions[0].attempt == 3);
  CHECK(*wake == kStart.mono + seconds(10));
  CHECK(memory.killed_by_us);
  actions.clear();
  advance_stop(container, memory, kStart.mono + seconds(9), actions, wake);
  CHECK(actions.empty());
  advance_stop(container, memory, kStart.mono + seconds(10), actions, wake);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].type == Do::kill);
  actions.clear();
  advance_stop(container, memory, kStart.mono + seconds(11), actions, wake);
  CHECK(actions.empty());
  advance_stop(container, memory, kStart.mono + seconds(15), actions, wake);
  CHECK(actions.size() == 1);  // it still lives: again
}

TEST_CASE("an end that is told before its start is kept for it", "[agent][plan]") {
  Drive drive;
  auto plan = drive.plan(kStart);
  drive.finish(succeed(plan.actions[0], kStart), kStart);
  plan = drive.plan(kStart);
  CHECK_FALSE(absorb_exit(drive.pod, drive.memory, make_end("main", 0, 3), kStart));
  CHECK(drive.main().stage == ContainerStage::starting);
  drive.finish(succeed(plan.actions[0], kStart), kStart);
  CHECK(drive.main().stage == ContainerStage::idle);
  REQUIRE(drive.main().exit);
  CHECK(drive.main().exit->exit_code == 3);
}

TEST_CASE("outcomes of an earlier attempt change nothing", "[agent][plan]") {
  Drive drive;
  drive.pod.spec.containers[0].liveness_probe = make_probe(1, 1, 1);
  drive.settle(kStart);
  absorb_exit(drive.pod, drive.memory, make_end("main", 0, 1), kStart);
  drive.settle(kStart);
  CHECK(drive.main().attempt == 1);
  Outcome stale;
  stale.action.type = Do::probe;
  stale.action.probe = ProbeKind::liveness;
  stale.action.container = "main";
  stale.action.attempt = 0;
  stale.probe = ProbeResult{ProbeResult::Outcome::failure, "down", 1};
  drive.finish(stale, kStart);
  CHECK_FALSE(drive.main().stop);
  CHECK(drive.main().liveness.verdict == Verdict::success);
}

TEST_CASE("conditions move only when they change", "[agent][status]") {
  Drive drive;
  drive.settle(kStart);
  const auto at = [&](const char* type) {
    return *find_condition(drive.pod.status.conditions, type)->last_transition_time;
  };
  CHECK(at("Ready") == kStart.wall);
  drive.settle(later(100));
  CHECK(at("Ready") == kStart.wall);
  absorb_exit(drive.pod, drive.memory, make_end("main", 0, 1), later(200));
  drive.plan(later(200));
  CHECK(at("Ready") == later(200).wall);
  CHECK(at("PodScheduled") == kStart.wall);
}

TEST_CASE("an old end that was never collected does not turn restarts back", "[agent][adopt]") {
  Drive drive;
  drive.settle(kStart);
  ContainerStatus status;
  status.name = "main";
  status.restart_count = 1;
  status.container_id = "moored://" + std::string(64, 'b');
  status.state.terminated = ContainerStateTerminated{};
  status.state.terminated->exit_code = 3;
  status.state.terminated->container_id = status.container_id;
  status.state.terminated->finished_at = kStart.wall;
  drive.pod.status.container_statuses = {status};
  SandboxReport left;
  left.shim_alive = true;
  left.containers = {make_end("main", 0, 1)};
  left.containers.front().phase = ContainerPhase::exited;
  const PodMemory memory = recall(drive.pod, &left, later(1));
  const ContainerMemory& main = memory.containers.at("main");
  CHECK(main.attempt == 1);
  REQUIRE(main.exit.has_value());
  CHECK(main.exit->exit_code == 3);
  CHECK(main.uncollected == std::vector<int>{0});
}

TEST_CASE("conditions of others are kept", "[agent][status]") {
  Drive drive;
  Condition scheduled;
  scheduled.type = "PodScheduled";
  scheduled.status = "True";
  scheduled.last_transition_time = kStart.wall - seconds(50);
  Condition disruption;
  disruption.type = "DisruptionTarget";
  disruption.status = "True";
  disruption.reason = "EvictionByEvictionAPI";
  drive.pod.status.conditions = {scheduled, disruption};
  drive.memory = recall(drive.pod, nullptr, kStart);
  drive.settle(kStart);
  const auto* kept = find_condition(drive.pod.status.conditions, "PodScheduled");
  CHECK(kept->last_transition_time == kStart.wall - seconds(50));
  CHECK(find_condition(drive.pod.status.conditions, "DisruptionTarget") != nullptr);
}

TEST_CASE("words of unready containers", "[agent][status]") {
  Drive drive;
  drive.pod.spec.containers.push_back(make_container("second"));
  drive.pod.spec.containers[0].readiness_probe = make_probe(10, 1, 3, 100);
  drive.pod.spec.containers[1].readiness_probe = make_probe(10, 1, 3, 100);
  drive.settle(kStart);
  const auto* ready = find_condition(drive.pod.status.conditions, "Ready");
  CHECK(ready->status == "False");
  CHECK(ready->reason == "ContainersNotReady");
  CHECK(ready->message == "containers with unready status: [main second]");
}

TEST_CASE("when the sandbox may forget an end", "[agent][status]") {
  Pod pod = make_pod("web");
  const auto put = [&](int count, bool terminated, bool waiting, bool last) {
    ContainerStatus status;
    status.name = "main";
    status.restart_count = count;
    if (terminated) status.state.terminated.emplace();
    if (waiting) status.state.waiting.emplace();
    if (last) status.last_state.terminated.emplace();
    pod.status.container_statuses = {status};
  };
  CHECK_FALSE(is_exit_recorded(pod, "main", 0));
  put(0, true, false, false);
  CHECK(is_exit_recorded(pod, "main", 0));
  CHECK_FALSE(is_exit_recorded(pod, "main", 1));
  put(1, false, false, true);  // running again: the earlier end is in lastState
  CHECK(is_exit_recorded(pod, "main", 0));
  CHECK_FALSE(is_exit_recorded(pod, "main", 1));
  put(1, false, true, true);   // backing off
  CHECK(is_exit_recorded(pod, "main", 1));
}

TEST_CASE("records of ends", "[agent][status]") {
  ContainerReport report;
  report.container_id = "abc";
  report.started_at = kStart.wall;
  struct Row {
    int code;
    bool oom;
    const char* start_error;
    const char* reason;
    int expected;
  };
  const Row rows[] = {{0, false, "", "Completed", 0},
                      {7, false, "", "Error", 7},
                      {137, true, "", "OOMKilled", 137},
                      {0, false, "execve: no such file", "StartError", 128}};
  for (const auto& row : rows) {
    report.exit_code = row.code;
    report.oom_killed = row.oom;
    report.start_error = row.start_error;
    const auto exit = make_exit(report, later(5).wall);
    CHECK(exit.reason == row.reason);
    CHECK(exit.exit_code == row.expected);
    CHECK(exit.container_id == "moored://abc");
    CHECK(exit.finished_at == later(5).wall);
    CHECK(exit.started_at.has_value() == (*row.start_error == '\0'));
  }
  CHECK(make_lost_exit("abc", {}, kStart.wall).reason == "ContainerStatusUnknown");
  CHECK(strip_container_id("moored://abc") == "abc");
  CHECK(strip_container_id("abc") == "abc");
  CHECK(write_container_id("").empty());
}

TEST_CASE("cgroup values that differ", "[agent][drift]") {
  CgroupLimits desired;
  desired.cpu_request_milli = 500;
  desired.memory_limit_bytes = 1000;
  struct Row {
    const char* what;
    CgroupLimits observed;
    std::vector<std::string> fields;
  };
  CgroupLimits more = desired;
  more.memory_limit_bytes = 2000;
  CgroupLimits none = desired;
  none.memory_limit_bytes.reset();
  none.cpu_limit_milli = 100;
  CgroupLimits rounded = desired;
  rounded.cpu_request_milli = 510;
  CgroupLimits starved = desired;
  starved.cpu_request_milli = 2;
  const Row rows[] = {{"the same", desired, {}},
                      {"another limit", more, {"cgroup.memory.max[web]"}},
                      {"no limit, and a new one", none,
                       {"cgroup.memory.max[web]", "cgroup.cpu.max[web]"}},
                      {"a rounded weight", rounded, {}},
                      {"no shares", starved, {"cgroup.cpu.shares[web]"}}};
  for (const auto& row : rows) {
    INFO(row.what);
    std::vector<std::string> fields;
    for (const auto& record : compare_limits("web", desired, row.observed)) {
      fields.push_back(record.field);
    }
    CHECK(fields == row.fields);
  }
  CHECK(compare_limits("", desired, more).at(0).field == "cgroup.memory.max");
}

TEST_CASE("probe and hook requests", "[agent][probes]") {
  Container container = make_container("main");
  container.ports.push_back({"web", 8080, 0, "", "TCP"});
  EnvVar variable;
  variable.name = "FILE";
  variable.value = "/tmp/x";
  container.env = {variable};

  Probe exec;
  exec.exec = ExecAction{{"cat", "$(FILE)", "$(NONE)"}};
  exec.timeout_seconds = 0;
  const auto made = make_probe_request(container, exec, "10.0.0.1");
  REQUIRE(made);
  CHECK(made->command == std::vector<std::string>{"cat", "/tmp/x", "$(NONE)"});
  CHECK(made->timeout == seconds(1));

  Probe tcp;
  tcp.tcp_socket = TcpSocketAction{IntOrString::of(std::string("web")), ""};
  CHECK(make_probe_request(container, tcp, "10.0.0.1")->port == 8080);
  tcp.tcp_socket->port = IntOrString::of(std::string("none"));
  CHECK(make_probe_request(container, tcp, "10.0.0.1").error().code == Code::invalid);
  tcp.tcp_socket->port = IntOrString::of(0);
  CHECK_FALSE(make_probe_request(container, tcp, "10.0.0.1"));

  Probe grpc;
  grpc.grpc = GrpcAction{9000, "live"};
  const auto health = make_probe_request(container, grpc, "10.0.0.1");
  CHECK(health->type == ProbeRequest::Type::grpc);
  CHECK(health->service == "live");
  CHECK(health->host == "10.0.0.1");

  CHECK_FALSE(make_probe_request(container, Probe{}, "10.0.0.1"));
  LifecycleHandler hook;
  hook.http_get = HttpGetAction{"", IntOrString::of(80), "", "HTTPS", {}};
  const auto request = make_hook_request(container, hook, "10.0.0.1", seconds(7));
  CHECK(request->https);
  CHECK(request->path == "/");
  CHECK(request->timeout == seconds(7));
  CHECK(make_hook_request(container, hook, "10.0.0.1", {})->timeout == kPostStartLimit);
}

TEST_CASE("the ledger closes what it opened", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  ContainerReport report = make_end("main", 0, 137);
  report.signal = 9;
  CHECK(is_killed_from_outside(report, {}));
  ContainerMemory ours;
  ours.killed_by_us = true;
  CHECK_FALSE(is_killed_from_outside(report, ours));

  const auto open = ledger.open_process(pod, report, true, kStart.wall);
  CHECK(ledger.get_open_count() == 1);
  CHECK(ledger.close_container("uid-web", "other", kStart.wall).empty());
  const auto closed = ledger.close_container("uid-web", "main", later(3).wall);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].id == open.id);
  CHECK(closed[0].correction == "restarted");
  CHECK(closed[0].corrected_at == later(3).wall);
  CHECK(ledger.close_container("uid-web", "main", later(4).wall).empty());

  ledger.open_process(pod, report, true, kStart.wall);
  CHECK(ledger.forget("uid-other", kStart.wall).empty());
  CHECK(ledger.get_open_count() == 1);
  const auto gone = ledger.forget("uid-web", later(5).wall);
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].corrected_at);
  CHECK(ledger.get_open_count() == 0);
}

DriftRecord make_found(const std::string& field, const std::string& observed,
                       const std::string& correction = {}) {
  DriftRecord record;
  record.field = field;
  record.desired = "wanted";
  record.observed = observed;
  record.correction = correction;
  return record;
}

TEST_CASE("a difference that lasts is told when it begins and when it is over", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  const auto scope = DriftScope::sandbox;
  auto news = ledger.settle(pod, scope, {make_found("mount[main]:/a", "gone")}, kStart.wall);
  REQUIRE(news.size() == 1);
  const auto id = news[0].id;
  CHECK_FALSE(news[0].corrected_at);
  CHECK(news[0].object == pod.key());
  // Seen again, even in another form, it is the same difference.
  CHECK(ledger.settle(pod, scope, {make_found("mount[main]:/a", "worse")}, later(1).wall).empty());
  // A look of another kind says nothing about it.
  CHECK(ledger.settle(pod, DriftScope::limits, {}, later(2).wall).empty());
  // Nor does a look at another pod.
  const Object other = make_object(make_pod("other"));
  CHECK(ledger.settle(other, scope, {}, later(2).wall).empty());
  news = ledger.settle(pod, scope, {}, later(3).wall);
  REQUIRE(news.size() == 1);
  CHECK(news[0].id == id);
  CHECK(news[0].observed == "gone");
  CHECK(news[0].corrected_at == later(3).wall);
  CHECK(ledger.get_open_count() == 0);
}

TEST_CASE("a difference that is put right at once is one record", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  const auto found = make_found("cgroup.pids.max", "1", "written again");
  const auto news = ledger.settle(pod, DriftScope::limits, {found}, kStart.wall);
  REQUIRE(news.size() == 1);
  CHECK(news[0].correction == "written again");
  CHECK(news[0].corrected_at == kStart.wall);
  CHECK(ledger.get_open_count() == 0);
  // One that could not be put right before closes what it opened.
  const auto open = ledger.settle(pod, DriftScope::limits, {make_found("a", "1")}, kStart.wall);
  const auto closed =
      ledger.settle(pod, DriftScope::limits, {make_found("a", "1", "done")}, later(9).wall);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].id == open.at(0).id);
  CHECK(closed[0].correction == "done");
}

TEST_CASE("two routes that are missing are two differences", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  auto one = make_found("route", "missing");
  auto two = make_found("route", "missing");
  two.desired = "another";
  const auto news = ledger.settle(pod, DriftScope::network, {one, two}, kStart.wall);
  REQUIRE(news.size() == 2);
  CHECK(news[0].id != news[1].id);
}

TEST_CASE("what waits for a restart is closed by the restart only", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  ledger.settle(pod, DriftScope::sandbox, {make_found("root[main]:/x", "3 bytes")}, kStart.wall);
  ledger.await_restart("uid-web", "root[main]:/x", "main");
  CHECK(ledger.settle(pod, DriftScope::sandbox, {}, later(1).wall).empty());
  CHECK(ledger.close_container("uid-web", "main", later(2).wall).size() == 1);
}

TEST_CASE("open differences are known to a later daemon", "[agent][drift]") {
  DriftLedger ledger;
  const Object pod = make_object(make_pod("web"));
  ledger.settle(pod, DriftScope::sandbox, {make_found("mount[main]:/a \"b\"", "rw\n")},
                kStart.wall);
  ledger.settle(make_object(make_node({}, nullptr, kStart.wall)), DriftScope::network,
                {make_found("rule", "missing")}, kStart.wall);
  auto read = DriftLedger::parse(ledger.text());
  REQUIRE(read);
  CHECK(read->text() == ledger.text());
  CHECK(read->list_uids() == std::vector<std::string>{"uid-web"});
  CHECK(read->settle(pod, DriftScope::sandbox, {make_found("mount[main]:/a \"b\"", "rw\n")},
                     later(1).wall)
            .empty());
  const auto closed = read->settle(pod, DriftScope::sandbox, {}, later(2).wall);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].onset == kStart.wall);
  CHECK(closed[0].object == pod.key());
  CHECK_FALSE(DriftLedger::parse("{"));
  CHECK_FALSE(DriftLedger::parse("[{\"field\":\"a\"}]"));
  CHECK(DriftLedger::parse("[]")->get_open_count() == 0);
}

TEST_CASE("the Node of this machine", "[agent][node]") {
  NodeFacts facts;
  facts.name = "node-1";
  facts.address = "192.0.2.1";
  facts.cpu = {4000};
  facts.memory = {8LL << 30};
  facts.max_pods = 110;
  facts.architecture = "amd64";
  facts.pod_cidr = "10.209.0.0/16";
  const Node node = make_node(facts, nullptr, kStart.wall);
  CHECK(node.metadata.labels.at("kubernetes.io/hostname") == "node-1");
  CHECK(node.metadata.labels.at("kubernetes.io/os") == "linux");
  CHECK(node.metadata.labels.at("kubernetes.io/arch") == "amd64");
  CHECK(node.status.capacity.at("cpu").text() == "4");
  CHECK(node.status.allocatable.at("memory").bytes().value == 8LL << 30);
  CHECK(node.status.capacity.at("pods").value() == 110);
  CHECK(find_condition(node.status.conditions, "Ready")->status == "True");
  CHECK(find_condition(node.status.conditions, "MemoryPressure")->status == "False");
  CHECK(node.status.addresses.at(0).address == "192.0.2.1");
  CHECK(node.spec.pod_cidrs == std::vector<std::string>{"10.209.0.0/16"});

  Node before = node;
  before.metadata.labels["disk"] = "ssd";
  before.metadata.uid = "u";
  const Node after = make_node(facts, &before, later(100).wall);
  CHECK(after.metadata.labels.at("disk") == "ssd");
  CHECK(after == before);  // nothing changed, so nothing is written

  const NodeFacts real = read_node_facts("here", "/");
  CHECK(real.cpu.value >= 1000);
  CHECK(real.memory.value > 0);
  CHECK(real.storage.value > 0);
  CHECK_FALSE(real.kernel_version.empty());
  CHECK_FALSE(real.boot_id.empty());
}

TEST_CASE("threads run every job, and jobs of one lane do not wait for the other", "[agent]") {
  std::atomic<int> done{0};
  {
    ThreadExecutor executor(1, 1);
    std::atomic<bool> release{false};
    executor.submit(Executor::Lane::probe, [&] {
      while (!release) std::this_thread::yield();
      ++done;
    });
    for (int i = 0; i < 100; ++i) executor.submit(Executor::Lane::work, [&] { ++done; });
    while (done < 100) std::this_thread::yield();  // the probe still waits
    release = true;
    while (done < 101) std::this_thread::yield();
  }
  CHECK(done == 101);
}
