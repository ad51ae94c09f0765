// A lost store: what runs is recorded again, and only Git decides what goes.
#include "reconciler/core/recovery.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "reconciler/diff/merge.hpp"
#include "schema/codec/codec.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/recovered.hpp"
#include "schema/model/replication_controller.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;
using test::kSha1;
using test::kSha2;

constexpr const char* kLoss = "the store was lost: the database is missing";

std::string alone_yaml(const std::string& name) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
         ", namespace: default, labels: {app: alone}}\n"
         "spec: {containers: [{name: main, image: \"web:1\"}]}\n";
}

std::string old_yaml(const std::string& kind, const std::string& selector) {
  return "---\napiVersion: " + std::string(kind == "ReplicaSet" ? "apps/v1" : "v1") +
         "\nkind: " + kind + "\nmetadata: {name: old, namespace: default}\nspec:\n"
         "  replicas: 2\n  selector: " + selector +
         "\n  template:\n    metadata: {labels: {app: old}}\n    spec:\n"
         "      containers: [{name: main, image: \"old:1\"}]\n";
}

// What pod.json of every running pod would say.
std::vector<Object> left_of(const World& world) {
  std::vector<Object> pods;
  for (const Object& object : world.active_pods()) {
    auto pod = object.as<Pod>();
    pod.status = {};
    pods.push_back(make_object(std::move(pod)));
  }
  return pods;
}

std::vector<std::string> uids_of(const std::vector<Object>& pods) {
  std::vector<std::string> uids;
  for (const Object& pod : pods) uids.push_back(pod.meta().uid);
  std::sort(uids.begin(), uids.end());
  return uids;
}

// A store begun anew on the machine where these pods run.
World lose(const std::vector<Object>& left) {
  World world(false);
  const Plan plan = plan_recovery(left, kLoss, world.context());
  for (const Write& write : plan.writes) world.store.apply(write);
  // The agent tells what the node has, as at every start.
  const auto node = World().store.find(key_of<Node>({}, "node-1"));
  world.post(NodeObserved{node->key(), encode_json(*node)});
  world.wake_all();
  world.converge();
  return world;
}

Condition recovering(const World& world) {
  const auto conditions = world.get<Node>("node-1").status.conditions;
  const Condition* found = find_condition(conditions, kRecoveringCondition);
  return found == nullptr ? Condition{} : *found;
}

World make_shop(const std::string& yaml) {
  World world;
  world.commit(yaml);
  world.converge();
  return world;
}

TEST_CASE("Pods are taken over with their uids and claimed by the commit that made them") {
  const std::string yaml = deployment_yaml("web", 3, "web:1") + alone_yaml("alone") +
                           old_yaml("ReplicationController", "{app: old}");
  const World before = make_shop(yaml);
  const auto left = left_of(before);
  REQUIRE(left.size() == 6);
  World after = lose(left);
  CHECK(uids_of(after.active_pods()) == uids_of(left));
  CHECK(recovering(after).reason == "WaitingForGit");
  CHECK(recovering(after).message == kLoss);
  CHECK(is_recovering(after.store, "node-1"));
  after.commit(yaml);
  after.converge();
  CHECK(uids_of(after.active_pods()) == uids_of(left));
  CHECK(recovering(after).status == "False");
  CHECK(recovering(after).reason == "Recovered");
  CHECK_FALSE(is_recovering(after.store, "node-1"));
  const auto set = after.all<ReplicaSet>();
  REQUIRE(set.size() == 1);
  CHECK(set[0].metadata.uid == before.all<ReplicaSet>()[0].metadata.uid);
  CHECK(set[0].metadata.owner_references.at(0).uid == after.get<Deployment>("web").metadata.uid);
  CHECK(after.get<Deployment>("web").status.ready_replicas == 3);
  CHECK(after.get<ReplicationController>("old").status.replicas == 2);
  for (const Object& pod : after.active_pods()) CHECK_FALSE(is_recovered(pod.meta()));
  // The unit holds what it claimed: taking the pod out of Git takes it away.
  after.commit(deployment_yaml("web", 3, "web:1"), kSha2);
  after.converge();
  CHECK(after.active_pods().size() == 3);
}

TEST_CASE("A declared ReplicaSet keeps its own selector and adopts its pods") {
  const std::string yaml = old_yaml("ReplicaSet", "{matchLabels: {app: old}}");
  const auto left = left_of(make_shop(yaml));
  World after = lose(left);
  CHECK(after.all<ReplicaSet>().empty());
  after.commit(yaml);
  after.converge();
  CHECK(uids_of(after.active_pods()) == uids_of(left));
  CHECK(recovering(after).status == "False");
}

TEST_CASE("Until Git is read pods are kept in number and nothing is taken away") {
  World after = lose(left_of(make_shop(deployment_yaml("web", 3, "web:1"))));
  after.advance(std::chrono::hours(1));
  after.converge();
  REQUIRE(after.active_pods().size() == 3);
  after.report(after.active_pods()[0], "Failed", false);
  after.advance(std::chrono::minutes(1));
  after.converge();
  CHECK(after.active_pods().size() == 3);
  CHECK(recovering(after).reason == "WaitingForGit");
}

TEST_CASE("A commit that changed meanwhile rolls over the pods that were taken over") {
  World after = lose(left_of(make_shop(deployment_yaml("web", 3, "web:1"))));
  int fewest = 3;
  after.after_each = [&] { fewest = std::min(fewest, after.count_ready()); };
  after.commit(deployment_yaml("web", 3, "web:2"), kSha2);
  after.converge();
  CHECK(fewest >= 2);  // maxUnavailable of 25 % of three is none, but for the old ones' own end
  REQUIRE(after.active_pods().size() == 3);
  for (const Object& pod : after.active_pods()) {
    CHECK(pod.as<Pod>().spec.containers[0].image == "web:2");
  }
  CHECK(after.all<ReplicaSet>().size() == 2);
}

TEST_CASE("What no commit claims goes, unless that is most of it") {
  const std::string web = deployment_yaml("web", 3, "web:1");
  SECTION("a pod of several") {
    World after = lose(left_of(make_shop(web + alone_yaml("alone"))));
    after.commit(web);
    after.converge();
    CHECK(after.active_pods().size() == 3);
    CHECK(recovering(after).status == "False");
  }
  SECTION("all of them") {
    const auto left = left_of(make_shop(web));
    World after = lose(left);
    after.commit(alone_yaml("another"));
    after.converge();
    CHECK(after.active_pods().size() == 4);
    CHECK(recovering(after).reason == "PruneGuard");
    // Rules need not be held back for that.
    CHECK_FALSE(is_recovering(after.store, "node-1"));
    after.post(OperatorActed{"confirm", "recovered", 0, "moorctl[1]", "done"});
    after.converge();
    CHECK(after.active_pods().size() == 1);
    CHECK(recovering(after).status == "False");
    CHECK(after.get<Node>("node-1").metadata.annotations.count(
              std::string(kConfirmedAnnotation)) == 0);
  }
}

TEST_CASE("A refused commit claims nothing and takes nothing away") {
  World after = lose(left_of(make_shop(deployment_yaml("web", 2, "web:1"))));
  TreeLoaded broken = after.tree({}, kSha2);
  broken.complete = false;
  after.post(broken);
  after.converge();
  CHECK(after.active_pods().size() == 2);
  CHECK(recovering(after).reason == "WaitingForGit");
}

TEST_CASE("Pods that never become ready hold the rules up for a minute only") {
  const std::string yaml = deployment_yaml("web", 2, "web:1");
  const auto left = left_of(make_shop(yaml));
  World after(false);
  for (const Write& write : plan_recovery(left, kLoss, after.context()).writes) {
    after.store.apply(write);
  }
  after.wake_all();
  after.commit(yaml);
  after.settle();
  CHECK(recovering(after).reason == "WaitingForPods");
  after.advance(std::chrono::seconds(59));
  CHECK(recovering(after).reason == "WaitingForPods");
  after.advance(std::chrono::seconds(2));
  CHECK(recovering(after).reason == "Recovered");
}

TEST_CASE("Only what the store lacks is recorded, and of two pods of a name the later one") {
  World world = make_shop(deployment_yaml("web", 2, "web:1"));
  auto left = left_of(world);
  const auto writes = plan_recovery(left, kLoss, world.context()).writes;
  REQUIRE(writes.size() == 1);  // the condition of the Node
  CHECK(writes[0].key == key_of<Node>({}, "node-1"));

  auto older = left[0].as<Pod>();
  older.metadata.uid = "older";
  older.metadata.resource_version = "1";
  auto elsewhere = left[1].as<Pod>();
  elsewhere.spec.node_name = "another";
  const World fresh(false);
  const Plan plan = plan_recovery(
      {make_object(older), left[0], make_object(elsewhere)}, kLoss, fresh.context());
  std::vector<Object> pods;
  for (const Write& write : plan.writes) {
    if (write.object.is<Pod>()) pods.push_back(write.object);
  }
  REQUIRE(pods.size() == 1);
  CHECK(pods[0].meta().uid == left[0].meta().uid);
}

// A unit that is declared beside the first one, not applied yet.
Kustomization make_unit(const std::string& name) {
  Kustomization unit;
  unit.metadata.name = name;
  unit.metadata.namespace_name = "moored-system";
  unit.spec.path = "./" + name;
  unit.spec.prune = true;
  unit.spec.source_ref.kind = "GitRepository";
  unit.spec.source_ref.name = "default";
  return unit;
}

void put(World& world, Object object) {
  const ObjectKey key = object.key();
  world.store.apply({Write::Type::put, key, std::move(object), "test"});
  world.wake_all();
}

TEST_CASE("Every unit must have been applied, whatever its source") {
  const std::string yaml = deployment_yaml("web", 2, "web:1");
  World after = lose(left_of(make_shop(yaml + alone_yaml("alone"))));
  put(after, make_object(make_unit("second")));
  after.commit(yaml);
  after.converge();
  // The pod may well be what the second unit declares.
  CHECK(recovering(after).reason == "WaitingForGit");
  CHECK(after.active_pods().size() == 3);
  SECTION("it is applied") {
    TreeLoaded second = after.tree(test::read_manifests(alone_yaml("alone")), kSha1);
    second.unit = key_of<Kustomization>("moored-system", "second");
    after.post(second);
    after.converge();
    CHECK(after.active_pods().size() == 3);
    CHECK(after.get<Pod>("alone").metadata.annotations.empty());
  }
  SECTION("it is suspended, so it asks for nothing") {
    Kustomization unit = after.get<Kustomization>("second", "moored-system");
    unit.spec.suspend = true;
    put(after, make_object(std::move(unit)));
    after.converge();
    CHECK(after.active_pods().size() == 2);
  }
  SECTION("it is taken away again") {
    after.store.apply({Write::Type::remove, key_of<Kustomization>("moored-system", "second"),
                       {}, "test"});
    after.wake_all();
    after.converge();
    CHECK(after.active_pods().size() == 2);
  }
  CHECK(recovering(after).reason == "Recovered");
}

std::string in_namespace(std::string yaml, const std::string& space) {
  const std::string from = "namespace: default";
  for (auto at = yaml.find(from); at != std::string::npos; at = yaml.find(from, at)) {
    yaml.replace(at, from.size(), "namespace: " + space);
    at += space.size();
  }
  return yaml;
}

constexpr const char* kShopSpace =
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";

TEST_CASE("The namespace of a pod is there again before the commit that declares it") {
  const std::string yaml = in_namespace(deployment_yaml("web", 1, "web:1"), "shop") + kShopSpace;
  World before = make_shop(yaml);
  std::vector<Object> left;
  for (const Object& pod : before.active_pods("shop")) left.push_back(pod);
  REQUIRE(left.size() == 1);
  World after = lose(left);
  CHECK(is_recovered(after.get<Namespace>("shop").metadata));
  CHECK(after.get<Namespace>("shop").status.phase == "Active");
  // Namespaces that are always there are not taken for a trace of the lost store.
  CHECK_FALSE(is_recovered(after.get<Namespace>("default").metadata));
  SECTION("it is declared") {
    after.commit(yaml);
    after.converge();
    CHECK(uids_of(after.active_pods("shop")) == uids_of(left));
    CHECK_FALSE(is_recovered(after.get<Namespace>("shop").metadata));
  }
  SECTION("it is not, and goes with what is in it") {
    after.commit(deployment_yaml("web", 1, "web:1"));
    after.converge();
    CHECK(recovering(after).reason == "PruneGuard");
    after.post(OperatorActed{"confirm", "recovered", 0, "moorctl[1]", "done"});
    after.converge();
    CHECK(after.active_pods("shop").empty());
    CHECK_FALSE(after.store.find(key_of<Namespace>({}, "shop")));
  }
  CHECK(recovering(after).reason == "Recovered");
}

struct Leftover {
  int declared;
  int left_over;
  bool held;
};

TEST_CASE("Deletions after a loss are weighed as those of a commit are") {
  const auto row = GENERATE(Leftover{1, 10, false}, Leftover{10, 11, true},
                            Leftover{11, 11, false}, Leftover{20, 5, false});
  INFO(row.declared << " declared, " << row.left_over << " left over");
  const std::string web = deployment_yaml("web", row.declared, "web:1");
  const std::string more = "---\n" + deployment_yaml("more", row.left_over, "more:1");
  World after = lose(left_of(make_shop(web + more)));
  after.commit(web);
  after.converge();
  CHECK((recovering(after).reason == "PruneGuard") == row.held);
  CHECK(after.active_pods().size() ==
        static_cast<std::size_t>(row.held ? row.declared + row.left_over : row.declared));
}

TEST_CASE("A confirmation without anything held is remembered for nothing") {
  World world = make_shop(deployment_yaml("web", 1, "web:1"));
  world.post(OperatorActed{"confirm", "recovered", 0, "moorctl[1]", "failed: nothing is held"});
  CHECK(world.get<Node>("node-1").metadata.annotations.count(
            std::string(kConfirmedAnnotation)) == 0);
  CHECK_FALSE(is_recovering(world.store, "node-1"));
  CHECK_FALSE(is_recovering(world.store, "another"));
}

TEST_CASE("The agent's word about the node leaves the condition where it is") {
  World after = lose(left_of(make_shop(deployment_yaml("web", 1, "web:1"))));
  REQUIRE(recovering(after).status == "True");
  auto node = World().get<Node>("node-1");
  node.status.capacity["pods"] = *Quantity::parse("7");
  after.post(NodeObserved{key_of<Node>({}, "node-1"), encode_json(make_object(node))});
  CHECK(recovering(after).status == "True");
  CHECK(after.get<Node>("node-1").status.capacity.at("pods").value() == 7);
}

TEST_CASE("A second loss begins the wait again") {
  const std::string yaml = deployment_yaml("web", 1, "web:1");
  World world = lose(left_of(make_shop(yaml)));
  world.commit(yaml);
  world.converge();
  REQUIRE(recovering(world).status == "False");
  world.advance(std::chrono::hours(1));
  const Plan again = plan_recovery(left_of(world), kLoss, world.context());
  REQUIRE(again.writes.size() == 1);
  const auto& conditions = again.writes[0].object.as<Node>().status.conditions;
  const Condition* found = find_condition(conditions, kRecoveringCondition);
  REQUIRE(found != nullptr);
  CHECK(found->status == "True");
  CHECK(found->last_transition_time == world.now);
}

TEST_CASE("One event tells of the loss and one of its end") {
  const std::string yaml = deployment_yaml("web", 1, "web:1");
  const auto left = left_of(make_shop(yaml));
  World fresh(false);
  const Plan plan = plan_recovery(left, kLoss, fresh.context());
  REQUIRE(plan.events.size() == 1);
  CHECK(plan.events[0].reason == "StoreLost");
  CHECK(plan.events[0].warning);
  CHECK(plan.events[0].message.find("1 running pods") != std::string::npos);
  World after = lose(left);
  after.events.clear();
  after.commit(yaml);
  after.converge();
  after.advance(std::chrono::hours(2));
  const auto count = std::count_if(after.events.begin(), after.events.end(), [](const auto& note) {
    return note.reason == "Recovered";
  });
  CHECK(count == 1);
}

TEST_CASE("A plan on a recovered state is empty") {
  const std::string yaml = deployment_yaml("web", 2, "web:1") + alone_yaml("alone");
  World after = lose(left_of(make_shop(yaml)));
  after.commit(yaml);
  after.converge();
  const auto object = *after.store.find(key_of<Node>({}, "node-1"));
  CHECK(plan_recovered(object.as<Node>(), object, after.context()).empty());
  const auto version = after.store.resource_version();
  after.commit(yaml);
  after.wake_all();
  after.converge();
  CHECK(after.store.resource_version() == version);
}

TEST_CASE("A Deployment adopts only what is free and what it selects") {
  const std::string yaml = deployment_yaml("web", 1, "web:1");
  std::string declared = old_yaml("ReplicaSet", "{matchLabels: {app: old}}");
  declared.insert(declared.find("name: old") + 9, ", labels: {app: web}");
  World world;
  ReplicaSet other;
  other.metadata.name = "other";
  other.metadata.namespace_name = "default";
  other.metadata.labels["app"] = "other";
  other.spec.replicas = 0;
  put(world, make_object(other));
  ReplicaSet leaving = other;
  leaving.metadata.name = "leaving";
  leaving.metadata.labels["app"] = "web";
  leaving.metadata.deletion_timestamp = world.now;
  world.store.apply({Write::Type::put, key_of<ReplicaSet>("default", "leaving"),
                     make_object(leaving), "test"});
  world.commit(yaml + declared);
  world.settle();
  const auto uid = world.get<Deployment>("web").metadata.uid;
  for (const auto& set : world.all<ReplicaSet>()) {
    const OwnerReference* owner = find_controller(set.metadata);
    const bool made = set.metadata.name.rfind("web-", 0) == 0;
    CHECK((owner != nullptr && owner->uid == uid) == made);
  }
}

TEST_CASE("A set whose Deployment was made anew goes on under it") {
  World world = make_shop(deployment_yaml("web", 2, "web:1"));
  const auto before = uids_of(world.active_pods());
  // As if the Deployment alone had been lost.
  auto set = world.all<ReplicaSet>().front();
  set.metadata.owner_references.clear();
  auto web = world.get<Deployment>("web");
  world.store.apply({Write::Type::put, key_of<ReplicaSet>("default", set.metadata.name),
                     make_object(set), "test"});
  world.store.apply({Write::Type::remove, key_of<Deployment>("default", "web"), {}, "test"});
  web.metadata.uid = "made-anew";
  put(world, make_object(web));
  world.converge();
  REQUIRE(world.all<ReplicaSet>().size() == 1);
  CHECK(world.all<ReplicaSet>()[0].metadata.owner_references.at(0).uid == "made-anew");
  CHECK(uids_of(world.active_pods()) == before);
}

// The object of a plan with this key; a failing test when there is none.
Object written(const Plan& plan, const ObjectKey& key) {
  for (const Write& write : plan.writes) {
    if (write.key == key) return write.object;
  }
  FAIL(key.text() << " is not written");
  return {};
}

TEST_CASE("A pod is recorded as it was made, and its set as what makes such pods") {
  const std::string yaml = deployment_yaml("web", 2, "web:1");
  World before = make_shop(yaml);
  auto left = left_of(before);
  auto first = left[0].as<Pod>();
  first.metadata.annotations["note"] = "kept";
  first.metadata.deletion_timestamp = before.now;  // was on its way out: Git decides anew
  first.metadata.deletion_grace_period_seconds = 30;
  left[0] = make_object(first);
  const World fresh(false);
  const Plan plan = plan_recovery(left, kLoss, fresh.context());

  const Object object = written(plan, left[0].key());
  const auto& pod = object.as<Pod>();
  CHECK(pod.metadata.uid == first.metadata.uid);
  CHECK(pod.metadata.creation_timestamp == first.metadata.creation_timestamp);
  CHECK(pod.metadata.owner_references == first.metadata.owner_references);
  CHECK(pod.metadata.labels == first.metadata.labels);
  CHECK(pod.metadata.annotations.at("note") == "kept");
  CHECK(is_recovered(pod.metadata));
  CHECK_FALSE(pod.metadata.deletion_timestamp);
  CHECK_FALSE(pod.metadata.deletion_grace_period_seconds);
  CHECK(pod.spec == first.spec);
  CHECK(pod.status.phase == "Pending");
  CHECK(find_condition(pod.status.conditions, "PodScheduled")->status == "True");

  const auto known = before.all<ReplicaSet>().front();
  const Object made = written(plan, key_of<ReplicaSet>("default", known.metadata.name));
  const auto& set = made.as<ReplicaSet>();
  CHECK(set.metadata.uid == known.metadata.uid);
  CHECK(set.spec.replicas == 2);
  CHECK(matches(*set.spec.selector, pod.metadata.labels));
  CHECK(set.spec.pod_template.metadata.labels == known.spec.pod_template.metadata.labels);
  CHECK(set.spec.pod_template.spec == known.spec.pod_template.spec);
  CHECK_FALSE(is_recovered(set.spec.pod_template.metadata));
}

TEST_CASE("The backup of another machine leaves its node and has its pods made anew") {
  const std::string yaml = deployment_yaml("web", 2, "web:1") + alone_yaml("alone");
  World world = make_shop(yaml);
  const auto before = uids_of(world.active_pods());
  auto object = *world.store.find(key_of<Node>({}, "node-1"));
  PlanContext context = world.context();
  context.node_name = "node-2";
  const Plan plan = plan_recovery({}, kLoss, context);
  std::size_t pods = 0;
  bool node = false;
  for (const Write& write : plan.writes) {
    if (write.type != Write::Type::remove) continue;
    pods += write.key.kind == &kind_of<Pod>() ? 1 : 0;
    node = node || write.key == object.key();
  }
  CHECK(pods == before.size());
  CHECK(node);
  CHECK(written(plan, key_of<Node>({}, "node-2")).is<Node>());
  for (const Write& write : plan.writes) world.store.apply(write);
  world.wake_all();
  world.settle();
  CHECK(world.active_pods().size() == 2);  // the pod of its own waits for the next look at Git
  world.commit(yaml);
  world.settle();
  CHECK(world.active_pods().size() == 3);
  for (const Object& pod : world.active_pods()) {
    CHECK(std::count(before.begin(), before.end(), pod.meta().uid) == 0);
  }
}

TEST_CASE("A machine on which nothing runs is told of the loss all the same") {
  World after = lose({});
  CHECK(recovering(after).reason == "WaitingForGit");
  after.commit(deployment_yaml("web", 2, "web:1"));
  after.converge();
  CHECK(recovering(after).reason == "Recovered");
  CHECK(after.active_pods().size() == 2);
}

TEST_CASE("Every way of rolling out claims what runs without ending it") {
  const auto more_spec = GENERATE(as<std::string>{}, "  paused: true\n",
                                  "  strategy: {type: Recreate}\n", "  minReadySeconds: 30\n",
                                  "  revisionHistoryLimit: 0\n");
  INFO(more_spec);
  const auto left = left_of(make_shop(deployment_yaml("web", 3, "web:1")));
  World after = lose(left);
  std::size_t fewest = 3;
  after.after_each = [&] { fewest = std::min(fewest, after.active_pods().size()); };
  after.commit(deployment_yaml("web", 3, "web:1", more_spec));
  after.converge();
  after.advance(std::chrono::minutes(2));
  after.converge();
  CHECK(fewest == 3);
  CHECK(uids_of(after.active_pods()) == uids_of(left));
  CHECK(recovering(after).status == "False");
  REQUIRE(after.all<ReplicaSet>().size() == 1);
  CHECK(after.all<ReplicaSet>()[0].metadata.owner_references.size() == 1);
}

TEST_CASE("Workloads side by side get back their own pods, each its number") {
  const std::string yaml = deployment_yaml("web", 2, "web:1") + "---\n" +
                           deployment_yaml("api", 3, "web:1") + alone_yaml("alone");
  const auto left = left_of(make_shop(yaml));
  REQUIRE(left.size() == 6);
  World after = lose(left);
  CHECK(after.all<ReplicaSet>().size() == 2);
  after.commit(yaml);
  after.converge();
  CHECK(uids_of(after.active_pods()) == uids_of(left));
  CHECK(after.get<Deployment>("web").status.ready_replicas == 2);
  CHECK(after.get<Deployment>("api").status.ready_replicas == 3);
  CHECK(find_controller(after.get<Pod>("alone").metadata) == nullptr);
  CHECK(recovering(after).reason == "Recovered");
}

TEST_CASE("A rollout that was under way when the store was lost goes on") {
  World before = make_shop(deployment_yaml("web", 4, "web:1"));
  before.commit(deployment_yaml("web", 4, "web:2"), kSha2);
  before.settle();
  before.run_agent();
  before.settle();
  const auto left = left_of(before);
  std::set<std::string> images;
  for (const Object& pod : left) images.insert(pod.as<Pod>().spec.containers[0].image);
  REQUIRE(images.size() == 2);
  World after = lose(left);
  CHECK(uids_of(after.active_pods()) == uids_of(left));
  CHECK(after.all<ReplicaSet>().size() == 2);
  after.commit(deployment_yaml("web", 4, "web:2"), kSha2);
  after.converge();
  REQUIRE(after.active_pods().size() == 4);
  for (const Object& pod : after.active_pods()) {
    CHECK(pod.as<Pod>().spec.containers[0].image == "web:2");
  }
}

}  // namespace
}  // namespace moored
