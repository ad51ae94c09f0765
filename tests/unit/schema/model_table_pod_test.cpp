// The Status, Ready and Restarts columns of pods, rule by rule.
#include <catch2/catch.hpp>

#include <functional>

#include "schema/model/tables.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

Time at(std::int64_t s) { return Time(std::chrono::seconds(s)); }

ContainerState running() {
  ContainerState out;
  out.running.emplace().started_at = at(100);
  return out;
}
ContainerState waiting(std::string reason) {
  ContainerState out;
  out.waiting.emplace().reason = std::move(reason);
  return out;
}
ContainerState ended(int code, std::string reason = {}, int signal = 0) {
  ContainerState out;
  out.terminated.emplace().exit_code = code;
  out.terminated->reason = std::move(reason);
  out.terminated->signal = signal;
  return out;
}

ContainerStatus status(ContainerState state, bool ready = false) {
  ContainerStatus out;
  out.name = "c";
  out.state = std::move(state);
  out.ready = ready;
  return out;
}

void condition(Pod& pod, std::string type, std::string value, std::string reason = {}) {
  Condition out;
  out.type = std::move(type);
  out.status = std::move(value);
  out.reason = std::move(reason);
  pod.status.conditions.push_back(std::move(out));
}

// A pod in a phase with that many containers and init containers.
Pod pod(std::string phase, std::size_t containers = 1, std::size_t init = 0) {
  Pod out;
  out.metadata.name = "p";
  out.metadata.creation_timestamp = at(0);
  out.status.phase = std::move(phase);
  out.spec.containers.resize(containers);
  out.spec.init_containers.resize(init);
  for (std::size_t i = 0; i < init; ++i) {
    out.spec.init_containers[i].name = "i" + std::to_string(i);
  }
  return out;
}

void init_status(Pod& target, std::size_t index, ContainerState state) {
  auto& list = target.status.init_container_statuses;
  if (list.size() <= index) list.resize(index + 1);
  list[index].name = "i" + std::to_string(index);
  list[index].state = std::move(state);
}

void make_sidecar(Pod& target, std::size_t index, bool started, bool ready) {
  target.spec.init_containers[index].restart_policy = "Always";
  init_status(target, index, running());
  target.status.init_container_statuses[index].started = started;
  target.status.init_container_statuses[index].ready = ready;
}

struct Case {
  const char* name;
  std::function<Pod()> make;
  const char* status;
  const char* ready;
};

std::vector<Case> phase_cases() {
  return {
      {"the phase alone", [] { return pod("Pending"); }, "Pending", "0/1"},
      {"the reason goes before the phase",
       [] {
         auto p = pod("Failed");
         p.status.reason = "Evicted";
         return p;
       },
       "Evicted", "0/1"},
      {"scheduling is gated",
       [] {
         auto p = pod("Pending");
         condition(p, "PodScheduled", "False", "SchedulingGated");
         return p;
       },
       "SchedulingGated", "0/1"},
      {"unschedulable stays Pending",
       [] {
         auto p = pod("Pending");
         condition(p, "PodScheduled", "False", "Unschedulable");
         return p;
       },
       "Pending", "0/1"},
      {"being deleted",
       [] {
         auto p = pod("Running");
         p.status.container_statuses = {status(running(), true)};
         p.metadata.deletion_timestamp = at(5);
         return p;
       },
       "Terminating", "1/1"},
      {"being deleted after it ended",
       [] {
         auto p = pod("Succeeded");
         p.status.container_statuses = {status(ended(0, "Completed"))};
         p.metadata.deletion_timestamp = at(5);
         return p;
       },
       "Completed", "0/1"},
      {"being deleted on a lost node",
       [] {
         auto p = pod("Running");
         p.status.reason = "NodeLost";
         p.metadata.deletion_timestamp = at(5);
         return p;
       },
       "Unknown", "0/1"},
  };
}

std::vector<Case> container_cases() {
  return {
      {"running and ready",
       [] {
         auto p = pod("Running", 2);
         p.status.container_statuses = {status(running(), true), status(running(), true)};
         return p;
       },
       "Running", "2/2"},
      {"a waiting reason wins over the phase",
       [] {
         auto p = pod("Running", 2);
         p.status.container_statuses = {status(running(), true),
                                        status(waiting("CrashLoopBackOff"))};
         return p;
       },
       "CrashLoopBackOff", "1/2"},
      {"the first container's reason stays",
       [] {
         auto p = pod("Pending", 2);
         p.status.container_statuses = {status(waiting("ImagePullBackOff")),
                                        status(waiting("ContainerCreating"))};
         return p;
       },
       "ImagePullBackOff", "0/2"},
      {"waiting without a reason says nothing",
       [] {
         auto p = pod("Pending");
         p.status.container_statuses = {status(waiting(""))};
         return p;
       },
       "Pending", "0/1"},
      {"ended with a reason",
       [] {
         auto p = pod("Failed");
         p.status.container_statuses = {status(ended(137, "OOMKilled"))};
         return p;
       },
       "OOMKilled", "0/1"},
      {"ended by a signal",
       [] {
         auto p = pod("Failed");
         p.status.container_statuses = {status(ended(137, "", 9))};
         return p;
       },
       "Signal:9", "0/1"},
      {"ended with a code",
       [] {
         auto p = pod("Failed");
         p.status.container_statuses = {status(ended(3))};
         return p;
       },
       "ExitCode:3", "0/1"},
      {"one has completed while another runs and the pod is ready",
       [] {
         auto p = pod("Running", 2);
         p.status.container_statuses = {status(ended(0, "Completed")), status(running(), true)};
         condition(p, "Ready", "True");
         return p;
       },
       "Running", "1/2"},
      {"one has completed while another runs and the pod is not ready",
       [] {
         auto p = pod("Running", 2);
         p.status.container_statuses = {status(ended(0, "Completed")), status(running(), true)};
         return p;
       },
       "NotReady", "1/2"},
  };
}

std::vector<Case> init_cases() {
  return {
      {"the first init container runs",
       [] {
         auto p = pod("Pending", 1, 2);
         init_status(p, 0, running());
         return p;
       },
       "Init:0/2", "0/1"},
      {"the second init container runs",
       [] {
         auto p = pod("Pending", 1, 2);
         init_status(p, 0, ended(0, "Completed"));
         init_status(p, 1, running());
         p.status.container_statuses = {status(waiting("PodInitializing"))};
         return p;
       },
       "Init:1/2", "0/1"},
      {"an init container waits to be started",
       [] {
         auto p = pod("Pending", 1, 1);
         init_status(p, 0, waiting("PodInitializing"));
         return p;
       },
       "Init:0/1", "0/1"},
      {"an init container has a reason to wait",
       [] {
         auto p = pod("Pending", 1, 1);
         init_status(p, 0, waiting("ErrImagePull"));
         return p;
       },
       "Init:ErrImagePull", "0/1"},
      {"an init container failed with a reason",
       [] {
         auto p = pod("Failed", 1, 1);
         init_status(p, 0, ended(1, "Error"));
         return p;
       },
       "Init:Error", "0/1"},
      {"an init container failed with a signal",
       [] {
         auto p = pod("Failed", 1, 1);
         init_status(p, 0, ended(137, "", 9));
         return p;
       },
       "Init:Signal:9", "0/1"},
      {"an init container failed with a code",
       [] {
         auto p = pod("Failed", 1, 1);
         init_status(p, 0, ended(2));
         return p;
       },
       "Init:ExitCode:2", "0/1"},
      {"all init containers have ended",
       [] {
         auto p = pod("Running", 1, 1);
         init_status(p, 0, ended(0, "Completed"));
         p.status.container_statuses = {status(running(), true)};
         return p;
       },
       "Running", "1/1"},
      {"a sidecar that has started counts and does not hold up",
       [] {
         auto p = pod("Running", 1, 1);
         make_sidecar(p, 0, true, true);
         p.status.container_statuses = {status(running(), true)};
         return p;
       },
       "Running", "2/2"},
      {"a sidecar that has started and is not ready",
       [] {
         auto p = pod("Running", 1, 1);
         make_sidecar(p, 0, true, false);
         p.status.container_statuses = {status(running(), true)};
         return p;
       },
       "Running", "1/2"},
      {"a sidecar that has not started holds up",
       [] {
         auto p = pod("Pending", 1, 2);
         make_sidecar(p, 0, false, false);
         return p;
       },
       "Init:0/2", "0/2"},
      {"an initialized pod is shown by its containers although an init container runs again",
       [] {
         auto p = pod("Running", 1, 1);
         init_status(p, 0, running());
         condition(p, "Initialized", "True");
         p.status.container_statuses = {status(waiting("CrashLoopBackOff"))};
         return p;
       },
       "CrashLoopBackOff", "0/1"},
  };
}

TEST_CASE("the status of a pod follows the rules of kubectl") {
  auto cases = phase_cases();
  for (auto& more : {container_cases(), init_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  for (const auto& row : cases) {
    INFO(row.name);
    const auto object = make_object(row.make());
    const auto cells = kPodTable.cells(object, at(200));
    CHECK(cells[2].text == row.status);
    CHECK(pod_status_text(object) == row.status);
    CHECK(cells[1].text == row.ready);
  }
}

std::string restarts(const Pod& p) { return kPodTable.cells(make_object(p), at(1000))[3].text; }

ContainerStatus restarted(int count, std::int64_t finished) {
  auto out = status(running(), true);
  out.restart_count = count;
  if (finished > 0) {
    out.last_state = ended(1, "Error");
    out.last_state.terminated->finished_at = at(finished);
  }
  return out;
}

TEST_CASE("restarts are summed and the latest end is told") {
  auto p = pod("Running", 2);
  p.status.container_statuses = {restarted(0, 0), restarted(0, 0)};
  CHECK(restarts(p) == "0");
  p.status.container_statuses = {restarted(2, 940), restarted(1, 990)};
  CHECK(restarts(p) == "3 (10s ago)");
  p.status.container_statuses = {restarted(2, 0), restarted(0, 0)};
  CHECK(restarts(p) == "2");
}

TEST_CASE("restarts of sidecars count, those of finished init containers do not") {
  auto p = pod("Running", 1, 2);
  init_status(p, 0, ended(0, "Completed"));
  p.status.init_container_statuses[0].restart_count = 5;
  make_sidecar(p, 1, true, true);
  p.status.init_container_statuses[1].restart_count = 1;
  p.status.container_statuses = {restarted(1, 0)};
  CHECK(restarts(p) == "2");
  // While initializing, all init containers count and the others do not.
  init_status(p, 0, running());
  CHECK(restarts(p) == "6");
}

TEST_CASE("address and node are shown when known") {
  auto p = pod("Pending");
  auto cells = kPodTable.cells(make_object(p), at(60));
  CHECK(cells[4].text == "60s");
  CHECK(cells[5].text == "<none>");
  CHECK(cells[6].text == "<none>");
  p.status.pod_ips = {{"10.209.0.4"}, {"fd00::4"}};
  p.spec.node_name = "n1";
  cells = kPodTable.cells(make_object(p), at(60));
  CHECK(cells[5].text == "10.209.0.4");
  CHECK(cells[6].text == "n1");
  CHECK(cells[7].text == "<none>");
  CHECK(cells[8].text == "<none>");
}

}  // namespace
}  // namespace moored
