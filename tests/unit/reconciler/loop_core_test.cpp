// The loop with the real core: from a commit to pods, a receipt and a status.
#include <catch2/catch.hpp>

#include "reconciler/loop/loop.hpp"
#include "reconciler/loop/reports.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/cluster.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

const std::string kSha = "4f1c00000000000000000000000000000000aaaa";
const std::string kRevision = "main@sha1:" + kSha;

// A loop with the real controllers, a configured unit and a node.
struct Machine {
  Machine() : store(open_store(fast())), loop(make_loop()) {
    GitRepository source;
    source.metadata.name = "default";
    source.metadata.namespace_name = "moored-system";
    source.spec.url = "/srv/git";
    Kustomization unit;
    unit.metadata.name = "default";
    unit.metadata.namespace_name = "moored-system";
    unit.spec.path = "./";
    unit.spec.prune = true;
    unit.spec.source_ref.kind = "GitRepository";
    unit.spec.source_ref.name = "default";
    const auto view = store->view();
    const PlanContext context{*view, at(0), store->store_id(), "node"};
    record(*store, plan_start({make_object(source), make_object(unit)}, context));
    Node node;
    node.metadata.name = "node";
    node.status.allocatable["cpu"] = *Quantity::parse("4");
    node.status.allocatable["memory"] = *Quantity::parse("8Gi");
    node.status.allocatable["pods"] = *Quantity::parse("500");
    node.status.capacity = node.status.allocatable;
    Condition ready;
    ready.type = "Ready";
    ready.status = "True";
    node.status.conditions.push_back(ready);
    inbox.post(NodeObserved{key_of<Node>({}, "node"), encode_json(make_object(node))},
               test_cause());
  }
  StoreOptions fast() {
    StoreOptions options = store_options(directory);
    options.durable = false;
    return options;
  }
  std::unique_ptr<Loop> make_loop() {
    LoopOptions options;
    options.node_name = "node";
    options.relook.reset();
    options.compact.reset();
    return std::make_unique<Loop>(*store, inbox, make_controllers(), &reduce, random, options);
  }
  void commit(std::vector<Object> objects, const std::string& revision, Now now) {
    SourceObserved seen;
    seen.source = key_of<GitRepository>("moored-system", "default");
    seen.revision = revision;
    seen.commit = {kSha, "Ada <ada@example.org>", "First", now.wall};
    seen.seen_at = now.wall;
    seen.fetched_at = now.wall;
    TreeLoaded tree;
    tree.source = seen.source;
    tree.unit = key_of<Kustomization>("moored-system", "default");
    tree.revision = revision;
    tree.commit = seen.commit;
    tree.complete = true;
    tree.objects = std::move(objects);
    tree.rendered_at = now.wall;
    tree.validated_at = now.wall;
    const Cause cause{Cause::Actor::commit, "Ada <ada@example.org>", revision};
    inbox.post(seen, cause);
    inbox.post(tree, cause);
  }
  // Steps until nothing is due at this time; false: it never comes to rest.
  bool settle(Now now) {
    for (int steps = 0; steps < 200; ++steps) {
      const auto due = loop->step(now);
      if (!due || *due > now.mono) return true;
    }
    return false;
  }
  // The node agent's part: every bound pod runs and is ready.
  void run_pods(Now now) {
    for (const Object& object : store->view()->list(kind_of<Pod>())) {
      const Pod& pod = object.as<Pod>();
      if (pod.spec.node_name.empty() || pod.status.phase == "Running") continue;
      PodObserved fact;
      fact.pod = object.key();
      fact.uid = pod.metadata.uid;
      fact.status = pod.status;
      fact.status.phase = "Running";
      for (const char* type : {"Initialized", "Ready", "ContainersReady"}) {
        Condition condition;
        condition.type = type;
        condition.status = "True";
        condition.last_transition_time = now.wall;
        fact.status.conditions.push_back(condition);
      }
      ContainerStatus container;
      container.name = "main";
      container.ready = true;
      container.state.running = ContainerStateRunning{now.wall};
      fact.status.container_statuses.push_back(container);
      fact.started_at = now.wall;
      inbox.post(fact, {Cause::Actor::kernel, "node", "observed"});
    }
  }

  TestDirectory directory;
  Inbox inbox;
  SeededRandom random{1};
  std::unique_ptr<Store> store;
  std::unique_ptr<Loop> loop;
};

Object declared(const Deployment& deployment) {
  auto complete = deployment;
  complete.spec.strategy.type = "RollingUpdate";
  complete.spec.pod_template.spec.restart_policy = "Always";
  return make_object(complete,
                     {"moored-system/default", "moored-system/default", kRevision, "web.yaml", 1});
}

TEST_CASE("a commit becomes ready pods, a receipt and a status, and then all is quiet") {
  Machine machine;
  REQUIRE(machine.settle(at(0)));
  machine.commit({declared(make_deployment("web", 3))}, kRevision, at(1));
  REQUIRE(machine.settle(at(1)));
  REQUIRE(machine.store->view()->list(kind_of<Pod>()).size() == 3);
  machine.run_pods(at(3));
  REQUIRE(machine.settle(at(3)));
  REQUIRE(machine.settle(at(10)));

  const StoreReports reports(*machine.store);
  const auto status = reports.read_status();
  INFO(write_json(*status));
  REQUIRE(status->find("ready")->scalar == "true");
  REQUIRE(status->find("revision")->scalar == kRevision);
  const auto receipt = reports.read_receipt("4f1c");
  INFO(write_json(*receipt));
  REQUIRE(receipt->find("outcome")->scalar == "ready");
  REQUIRE(receipt->find("commit")->find("subject")->scalar == "First");
  std::vector<std::string> steps;
  for (const Value& step : receipt->find("steps")->items)
    steps.push_back(step.find("name")->scalar);
  // In the order of the work, although some of them have the same time.
  REQUIRE(steps == std::vector<std::string>{"seen", "fetched", "rendered", "validated", "planned",
                                            "committed", "scheduled", "started", "ready"});

  const auto version = machine.store->view()->resource_version();
  REQUIRE(machine.settle(at(20)));
  REQUIRE(machine.store->view()->resource_version() == version);
  machine.commit({declared(make_deployment("web", 3))}, kRevision, at(30));
  REQUIRE(machine.settle(at(30)));
  REQUIRE(machine.store->view()->resource_version() == version);
  REQUIRE(machine.store->verify_audit().has_value());
}

TEST_CASE("a restart in the middle of a roll-out ends where an unbroken one does") {
  const auto ended = [](bool broken) {
    Machine machine;
    machine.commit({declared(make_deployment("web", 2))}, kRevision, at(1));
    if (broken) {
      machine.loop->step(at(1));
      machine.loop.reset();
      machine.store.reset();
      machine.store = open_store(machine.fast());
      machine.loop = machine.make_loop();
    }
    REQUIRE(machine.settle(at(1)));
    machine.run_pods(at(3));
    REQUIRE(machine.settle(at(3)));
    const auto web = machine.store->view()->find(key_of<Deployment>("default", "web"));
    REQUIRE(web.has_value());
    const auto& result = web->as<Deployment>().status;
    return std::pair(result.available_replicas, machine.store->view()->list(kind_of<Pod>()).size());
  };
  REQUIRE(ended(false) == std::pair<std::int32_t, std::size_t>(2, 2));
  REQUIRE(ended(true) == ended(false));
}

}  // namespace
}  // namespace moored::test
