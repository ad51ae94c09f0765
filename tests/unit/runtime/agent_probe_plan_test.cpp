// When probes run, what their results mean, and how they are asked for.
#include <algorithm>

#include <catch2/catch.hpp>

#include "runtime/agent/probe_plan.hpp"
#include "runtime/agent/probe_request.hpp"
#include "tests/unit/runtime/agent_drive.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
using std::chrono::seconds;

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
