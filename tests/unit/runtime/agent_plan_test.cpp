// The agent's plans for one pod: starts, restarts, stops, as tables and as properties.
#include <algorithm>

#include <catch2/catch.hpp>

#include "runtime/agent/container_stop.hpp"
#include "runtime/agent/pod_status.hpp"
#include "schema/base/random.hpp"
#include "tests/unit/runtime/agent_drive.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
using std::chrono::seconds;

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

TEST_CASE("a start that failed with its shim waits only when it fails again", "[agent][plan]") {
  Drive drive;
  auto plan = drive.plan(kStart);
  drive.finish(succeed(plan.actions[0], kStart), kStart);
  const auto fail_start = [&](Now now) {
    Outcome outcome;
    outcome.action = drive.plan(now).actions.at(0);
    REQUIRE(outcome.action.type == Do::start);
    outcome.error = fail(Code::unavailable, "the shim is gone").take();
    outcome.error->reason = "CreateContainerError";
    return outcome;
  };
  const auto outcome = fail_start(kStart);
  SECTION("told before the loss") {
    drive.finish(outcome, kStart);
    absorb_loss(drive.pod, drive.memory, kStart);
  }
  SECTION("told after the loss") {
    absorb_loss(drive.pod, drive.memory, kStart);
    drive.finish(outcome, kStart);
  }
  for (const auto type : {Do::reset, Do::prepare}) {
    plan = drive.plan(kStart);
    REQUIRE(plan.actions.at(0).type == type);
    drive.finish(succeed(plan.actions[0], kStart), kStart);
  }
  drive.finish(fail_start(kStart), kStart);  // at once, and in vain
  absorb_loss(drive.pod, drive.memory, kStart);
  for (const auto type : {Do::reset, Do::prepare}) {
    plan = drive.plan(kStart);
    REQUIRE(plan.actions.at(0).type == type);
    drive.finish(succeed(plan.actions[0], kStart), kStart);
  }
  CHECK(drive.plan(kStart).actions.empty());
  CHECK(drive.plan(later(19)).actions.empty());
  CHECK(drive.plan(later(20)).actions.at(0).type == Do::start);
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
