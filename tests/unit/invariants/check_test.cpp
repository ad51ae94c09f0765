// The checker finds what is planted, and nothing on a clean machine.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/invariants/check.hpp"

using namespace moored::invariants;

namespace {

const std::string kOne = "11111111-1111-4111-8111-111111111111";
const std::string kTwo = "22222222-2222-4222-8222-222222222222";
const std::string kLost = "99999999-9999-4999-8999-999999999999";

RecordedPod make_pod(const std::string& uid, const std::string& name, const std::string& address) {
  RecordedPod pod;
  pod.uid = uid;
  pod.name = "shop/" + name;
  pod.phase = "Running";
  pod.address = address;
  pod.owner_uid = "set";
  return pod;
}

// Two running pods of one set, all of whose things are there.
struct World {
  Recorded recorded;
  Machine machine;

  World() {
    recorded.pods = {make_pod(kOne, "web-1", "10.209.0.2"), make_pod(kTwo, "web-2", "10.209.0.3")};
    recorded.replicas["set"] = 2;
    recorded.set_names["set"] = "shop/web";
    recorded.rule_blocks = {{"chain svc_web", "rule"}, {"map services", "elements"}};
    int pid = 100;
    for (const auto& pod : recorded.pods) {
      machine.processes.push_back({++pid, "moored-shim", pod.uid, true});
      machine.processes.push_back({++pid, "/bin/app", pod.uid, false});
      machine.pod_places["cgroup /sys/fs/cgroup/x/pods/pod" + pod.uid] = pod.uid;
      machine.pod_places["directory /run/moored/pods/" + pod.uid] = pod.uid;
      machine.mounts["/run/moored/net/" + pod.uid] = pod.uid;
      machine.sandboxes.insert(pod.uid);
      machine.pins.insert(pod.uid);
      machine.allocations[pod.uid] = {pod.address, "ma1b2c3" + pod.uid.substr(0, 8)};
      machine.links.insert("ma1b2c3" + pod.uid.substr(0, 8));
      machine.link_routes[pod.address] = "ma1b2c3" + pod.uid.substr(0, 8);
    }
    machine.mounts["/run/moored"] = "";
    machine.node_rules = true;
    machine.claimed = true;
    machine.rule_blocks = recorded.rule_blocks;
  }
  std::string findings() const {
    std::string out;
    for (const auto& line : check(recorded, machine)) out += (out.empty() ? "" : "\n") + line;
    return out;
  }
};

}  // namespace

TEST_CASE("a clean machine has no findings", "[invariants]") {
  CHECK(World().findings().empty());
  CHECK(check({}, {}).empty());
  CHECK(check_gone({}).empty());
}

TEST_CASE("every planted leak is named", "[invariants]") {
  struct Row {
    void (*plant)(World&);
    std::string finding;
  };
  const std::string one = "shop/web-1 (" + kOne + ")";
  const Row rows[] = {
      {[](World& w) { w.machine.processes.push_back({7, "/bin/lost", kLost, false}); },
       "orphan: process 7 (/bin/lost) of no pod"},
      {[](World& w) { w.machine.processes.push_back({7, "moored-shim", kOne, true}); },
       "double: 2 shims of " + one},
      {[](World& w) { w.machine.pod_places["cgroup /sys/fs/cgroup/x/pods/pod9"] = kLost; },
       "orphan: cgroup /sys/fs/cgroup/x/pods/pod9 of no pod"},
      {[](World& w) { w.machine.pod_places["directory /run/moored/volumes/9"] = kLost; },
       "orphan: directory /run/moored/volumes/9 of no pod"},
      {[](World& w) { w.machine.mounts["/run/moored/net/9"] = kLost; },
       "orphan: mount /run/moored/net/9 of no pod"},
      {[](World& w) { w.machine.doubled_mounts.push_back("/run/moored"); },
       "double: mounts on /run/moored"},
      {[](World& w) { w.machine.links.insert("ma1b2c300000000"); },
       "orphan: link ma1b2c300000000 of no pod"},
      {[](World& w) { w.machine.link_routes["10.209.0.9"] = "ma1b2c300000000"; },
       "orphan: route to 10.209.0.9 by ma1b2c300000000 of no pod"},
      {[](World& w) { w.machine.allocations[kLost] = {"10.209.0.9", "ma1b2c399999999"}; },
       "orphan: address 10.209.0.9 of no pod"},
      {[](World& w) { w.machine.rule_blocks["chain svc_old"] = "rule"; },
       "orphan: rules chain svc_old"},
      {[](World& w) { w.machine.rule_blocks["chain svc_web"] = "other"; },
       "differs: rules chain svc_web"},
      {[](World& w) { w.machine.rule_blocks.erase("map services"); },
       "missing: rules map services"},
      {[](World& w) { w.machine.node_rules = false; },
       "missing: the table that guards the pods"},
      {[](World& w) { w.machine.temporary_files.push_back("/var/lib/moored/.x.tmp"); },
       "leak: temporary file /var/lib/moored/.x.tmp"},
      {[](World& w) { w.machine.dangling_links.push_back("/var/lib/moored/images/l/abc"); },
       "leak: /var/lib/moored/images/l/abc leads nowhere"},
      {[](World& w) { w.machine.sandboxes.erase(kOne); },
       "missing: " + one + " is Running without a sandbox"},
      {[](World& w) { w.machine.processes.erase(w.machine.processes.begin()); },
       "missing: " + one + " is Running without a shim"},
      {[](World& w) { w.machine.links.erase("ma1b2c311111111"); },
       "missing: link ma1b2c311111111 of " + one},
      {[](World& w) { w.machine.link_routes.erase("10.209.0.2"); },
       "missing: route to 10.209.0.2 of " + one},
      {[](World& w) { w.machine.pins.erase(kOne); }, "missing: network namespace of " + one},
      {[](World& w) { w.recorded.replicas["set"] = 1; },
       "double: ReplicaSet shop/web has 2 pods instead of 1"},
      {[](World& w) { w.recorded.pods[0].address = "10.209.0.7"; },
       "differs: " + one + " is recorded with 10.209.0.7 and was given 10.209.0.2"},
  };
  for (const auto& row : rows) {
    INFO(row.finding);
    World world;
    row.plant(world);
    CHECK(world.findings() == row.finding);
  }
}

TEST_CASE("a removed pod whose things are all left is named for each of them", "[invariants]") {
  World world;
  world.recorded.pods.erase(world.recorded.pods.begin());
  const auto findings = check(world.recorded, world.machine);
  CHECK(findings.size() == 7);
  for (const auto& line : findings) CHECK(line.rfind("orphan: ", 0) == 0);
}

TEST_CASE("two pods with one address are told, pods that are over do not count", "[invariants]") {
  World world;
  world.recorded.pods[1].address = "10.209.0.2";
  world.machine.allocations[kTwo].address = "10.209.0.2";
  world.machine.link_routes.erase("10.209.0.3");
  CHECK(world.findings().rfind("double: 10.209.0.2 belongs to shop/web-2", 0) == 0);
  World over;
  over.recorded.replicas["set"] = 1;
  over.recorded.pods[0].phase = "Failed";
  CHECK(over.findings().empty());
  World deleting;
  deleting.recorded.replicas["set"] = 1;
  deleting.recorded.pods[0].deleting = true;
  CHECK(deleting.findings().empty());
}

TEST_CASE("whatever is left after taking down is named", "[invariants]") {
  CHECK(check_gone({{"table moored_a1b2c3", "cgroup /sys/fs/cgroup/pids/moored-a1b2c3"}}) ==
        std::vector<std::string>{"left: cgroup /sys/fs/cgroup/pids/moored-a1b2c3",
                                 "left: table moored_a1b2c3"});
}
