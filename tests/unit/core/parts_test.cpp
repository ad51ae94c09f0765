// The small parts of the core: plans, conditions, the ways out of the store.
#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/core/conditions.hpp"
#include "reconciler/core/plan.hpp"
#include "reconciler/core/removal.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/replication_controller.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;

Object map_of(const std::string& name) {
  ConfigMap map;
  map.metadata.name = name;
  map.metadata.namespace_name = "default";
  return make_object(map);
}

// ---- plans ------------------------------------------------------------------------------------

TEST_CASE("A plan is empty until something is to be recorded") {
  Plan plan;
  CHECK(plan.empty());
  plan.requeues.push_back({map_of("a").key(), std::chrono::seconds(1)});
  CHECK(plan.empty());  // asking to be called again records nothing
  plan.put(map_of("a"), "why");
  CHECK_FALSE(plan.empty());
}

TEST_CASE("Each part alone makes a plan that is not empty") {
  Plan events;
  events.events.push_back({});
  CHECK_FALSE(events.empty());
  Plan receipt;
  receipt.receipt.push_back({});
  CHECK_FALSE(receipt.empty());
  Plan drift;
  drift.drift.push_back({});
  CHECK_FALSE(drift.empty());
  Plan operators;
  operators.operators.push_back({});
  CHECK_FALSE(operators.empty());
}

TEST_CASE("Writes carry their type, key and reason") {
  Plan plan;
  plan.put(map_of("a"), "put");
  plan.status(map_of("b"), "status");
  plan.remove(map_of("c").key(), "remove");
  REQUIRE(plan.writes.size() == 3);
  CHECK(plan.writes[0].type == Write::Type::put);
  CHECK(plan.writes[0].key.text() == "ConfigMap/default/a");
  CHECK(plan.writes[1].type == Write::Type::status);
  CHECK(plan.writes[1].reason == "status");
  CHECK(plan.writes[2].type == Write::Type::remove);
  CHECK_FALSE(plan.writes[2].object);
}

TEST_CASE("Taking another plan appends all of it, in order") {
  Plan one;
  one.put(map_of("a"), "");
  Plan two;
  two.put(map_of("b"), "");
  two.events.push_back({});
  two.receipt.push_back({});
  two.drift.push_back({});
  two.operators.push_back({});
  two.requeues.push_back({});
  one.take(std::move(two));
  REQUIRE(one.writes.size() == 2);
  CHECK(one.writes[1].key.name == "b");
  CHECK(one.events.size() == 1);
  CHECK(one.receipt.size() == 1);
  CHECK(one.drift.size() == 1);
  CHECK(one.operators.size() == 1);
  CHECK(one.requeues.size() == 1);
}

// ---- conditions -------------------------------------------------------------------------------

TEST_CASE("Conditions are made, asked and dropped by type") {
  std::vector<Condition> conditions{make_condition("Ready", "True", "Fine", "all well", 7),
                                    make_condition("Stalled", "False", "", "")};
  CHECK(conditions[0].observed_generation == 7);
  CHECK(is_true(conditions, "Ready"));
  CHECK_FALSE(is_true(conditions, "Stalled"));
  CHECK_FALSE(is_true(conditions, "Absent"));
  drop_condition(conditions, "Ready");
  drop_condition(conditions, "Absent");
  REQUIRE(conditions.size() == 1);
  CHECK(conditions[0].type == "Stalled");
}

TEST_CASE("An error without a reason has the word of its code") {
  CHECK(reason_of({Code::invalid, "x", "UnknownField", {}, ""}) == "UnknownField");
  CHECK(reason_of({Code::not_found, "x", "", {}, ""}) == "NotFound");
  CHECK(reason_of({Code::conflict, "x", "", {}, ""}) == "Conflict");
}

TEST_CASE("Errors are listed one on a line, with place, fix and reason") {
  const std::vector<Error> errors{
      {Code::invalid, "there is no field replica", "UnknownField",
       {"web.yaml", 7, 3, "spec.replica"}, "write replicas"},
      {Code::not_found, "no namespace", "", {}, ""}};
  const std::string text = list_errors(errors, 2);
  CHECK(text.find("web.yaml:7:3") == 0);
  CHECK(text.find("[UnknownField]") != std::string::npos);
  CHECK(text.find("write replicas") != std::string::npos);
  CHECK(text.find("\nno namespace [NotFound]") != std::string::npos);
  CHECK(list_errors(errors, 5).find("… and 3 more") != std::string::npos);
}

TEST_CASE("A line break inside an error does not make a line of its own") {
  const std::string text =
      list_errors({{Code::invalid, "a\nReady: everything is fine", "X", {}, ""}}, 1);
  CHECK(text.find('\n') == std::string::npos);
}

// ---- leaving the store ------------------------------------------------------------------------

struct RemovalRow {
  const char* what;
  Object object;
  Write::Type type;
  bool marked;         // gets a deletionTimestamp
};

Object pod_of(bool bound) {
  Pod pod;
  pod.metadata.name = "p";
  pod.metadata.namespace_name = "default";
  if (bound) pod.spec.node_name = "node-1";
  return make_object(pod);
}

Object space_of(const std::string& name) {
  Namespace space;
  space.metadata.name = name;
  return make_object(space, {"s", "moored-system/default", "r", "f", 1});
}

Object unit_of(bool prune) {
  Kustomization unit;
  unit.metadata.name = "apps";
  unit.metadata.namespace_name = "moored-system";
  unit.spec.prune = prune;
  return make_object(unit);
}

TEST_CASE("How each kind leaves the store") {
  const RemovalRow rows[] = {
      {"a ConfigMap goes at once", map_of("a"), Write::Type::remove, false},
      {"a pod that never ran goes at once", pod_of(false), Write::Type::remove, false},
      {"a bound pod is marked for the agent", pod_of(true), Write::Type::put, true},
      {"a namespace is marked for its controller", space_of("shop"), Write::Type::put, true},
      {"a protected namespace is let go", space_of("default"), Write::Type::put, false},
      {"a pruning unit is marked for its controller", unit_of(true), Write::Type::put, true},
      {"a unit that does not prune goes at once", unit_of(false), Write::Type::remove, false},
  };
  World world;
  for (const RemovalRow& row : rows) {
    INFO(row.what);
    Plan plan;
    plan_removal(plan, row.object, world.context(), "because");
    REQUIRE(plan.writes.size() == 1);
    const Write& write = plan.writes[0];
    CHECK(write.type == row.type);
    CHECK(write.key == row.object.key());
    CHECK(write.reason.rfind("because", 0) == 0);
    if (row.type != Write::Type::put) continue;
    CHECK(write.object.meta().deletion_timestamp.has_value() == row.marked);
  }
}

TEST_CASE("What is on its way out is not sent again") {
  World world;
  const Object leaving = with_meta(
      pod_of(true), [](ObjectMeta& meta) { meta.deletion_timestamp = test::start_time(); });
  Plan plan;
  plan_removal(plan, leaving, world.context(), "again");
  CHECK(plan.empty());
}

TEST_CASE("The grace period is the pod's own, or thirty seconds") {
  World world;
  for (const auto grace : {std::optional<std::int64_t>{}, std::optional<std::int64_t>{0},
                           std::optional<std::int64_t>{90}}) {
    auto pod = pod_of(true).as<Pod>();
    pod.spec.termination_grace_period_seconds = grace;
    Plan plan;
    plan_removal(plan, make_object(pod), world.context(), "x");
    const ObjectMeta& meta = plan.writes.at(0).object.meta();
    CHECK(meta.deletion_grace_period_seconds == grace.value_or(30));
    CHECK(*meta.deletion_timestamp == world.now + std::chrono::seconds(grace.value_or(30)));
  }
}

// ---- orphans ----------------------------------------------------------------------------------

ObjectMeta owned_by(const std::string& kind, const std::string& name, const std::string& uid,
                    const std::string& version = "v1") {
  ObjectMeta meta;
  meta.namespace_name = "default";
  meta.owner_references.push_back({version, kind, name, uid, true, false});
  return meta;
}

TEST_CASE("An orphan is one whose controlling owner is gone or another one") {
  World world;
  Object map = with_meta(map_of("owner"), [](ObjectMeta& meta) { meta.uid = "uid-1"; });
  world.store.apply({Write::Type::put, map.key(), map, ""});
  CHECK_FALSE(is_orphaned(ObjectMeta{}, world.store));
  CHECK_FALSE(is_orphaned(owned_by("ConfigMap", "owner", "uid-1"), world.store));
  CHECK(is_orphaned(owned_by("ConfigMap", "owner", "uid-0"), world.store));
  CHECK(is_orphaned(owned_by("ConfigMap", "other", "uid-1"), world.store));
  CHECK(is_orphaned(owned_by("Gizmo", "owner", "uid-1", "toys/v1"), world.store));
}

TEST_CASE("An owner without a namespace is found from within one") {
  World world;
  const auto node = world.store.find({find_kind("v1", "Node"), "", "node-1"});
  REQUIRE(node);
  CHECK_FALSE(is_orphaned(owned_by("Node", "node-1", node->meta().uid), world.store));
  CHECK(is_orphaned(owned_by("Node", "node-2", node->meta().uid), world.store));
}

TEST_CASE("An owner that does not control does not keep its object") {
  World world;
  ObjectMeta meta = owned_by("ConfigMap", "nobody", "x");
  meta.owner_references[0].controller = false;
  CHECK_FALSE(is_orphaned(meta, world.store));
}

// ---- the controllers as a set -----------------------------------------------------------------

TEST_CASE("No two controllers take the same kind, and all have names") {
  std::vector<const Kind*> kinds;
  for (const auto& controller : make_controllers()) {
    CHECK_FALSE(controller->name().empty());
    for (const Kind* kind : kinds) CHECK(kind != &controller->kind());
    kinds.push_back(&controller->kind());
  }
  CHECK(kinds.size() >= 8);
}

TEST_CASE("A key that does not exist is planned without harm by every controller") {
  World world;
  for (const auto& controller : make_controllers()) {
    INFO(controller->name());
    const Kind& kind = controller->kind();
    const Plan plan =
        controller->plan({&kind, kind.namespaced ? "default" : "", "ghost"}, world.context());
    CHECK(plan.empty());
    CHECK(plan.requeues.empty());
  }
}

TEST_CASE("Every controller is woken by a change of its own object") {
  World world;
  world.commit(test::deployment_yaml("web", 1, "web:1"));
  world.converge();
  for (const auto& controller : make_controllers()) {
    for (const Object& object : world.store.list(controller->kind())) {
      INFO(controller->name() << " " << object.key().text());
      const auto keys = controller->wakes(object, world.store);
      CHECK(std::find(keys.begin(), keys.end(), object.key()) != keys.end());
    }
  }
}

// ---- ReplicationController --------------------------------------------------------------------

TEST_CASE("A ReplicationController adopts by labels, as a ReplicaSet does") {
  World world;
  world.commit("apiVersion: v1\nkind: Pod\nmetadata: {name: alone, namespace: default, "
               "labels: {app: web}}\nspec: {containers: [{name: c, image: \"i:1\"}]}\n");
  world.converge();
  world.commit(R"(
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: default, labels: {app: web}}
spec: {containers: [{name: c, image: "i:1"}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "i:1"}]}
)",
               test::kSha2);
  world.converge();
  CHECK(world.active_pods().size() == 2);
  CHECK(world.get<Pod>("alone").metadata.owner_references.at(0).kind == "ReplicationController");
  CHECK(world.get<ReplicationController>("web").status.ready_replicas == 2);
  const std::int64_t version = world.store.resource_version();
  world.wake_all();
  world.settle();
  CHECK(world.store.resource_version() == version);
}

}  // namespace
}  // namespace moored
