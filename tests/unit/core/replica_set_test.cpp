// ReplicaSets: numbers, adoption, release, and which pod goes first.
#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/controllers/pods.hpp"
#include "schema/model/apps.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;

std::string set_yaml(int replicas, const std::string& selector = "matchLabels: {app: web}") {
  return "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web, namespace: default}\n"
         "spec:\n  replicas: " + std::to_string(replicas) + "\n  selector: {" + selector +
         "}\n  template:\n    metadata: {labels: {app: web, tier: front}}\n    spec:\n"
         "      containers: [{name: web, image: \"web:1\"}]\n";
}

std::string pod_yaml(const std::string& name, const std::string& labels) {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
         ", namespace: default, labels: {" + labels +
         "}}\nspec: {containers: [{name: web, image: \"web:1\"}]}\n";
}

Object put(World& world, Pod pod) {
  Object object = make_object(std::move(pod));
  world.store.apply({Write::Type::put, object.key(), object, ""});
  return *world.store.find(object.key());
}

TEST_CASE("As many pods as are wanted, with a count of them") {
  World world;
  world.commit(set_yaml(3));
  world.converge();
  const auto set = world.get<ReplicaSet>("web");
  CHECK(set.status.replicas == 3);
  CHECK(set.status.ready_replicas == 3);
  CHECK(set.status.available_replicas == 3);
  CHECK(set.status.fully_labeled_replicas == 3);
  CHECK(set.status.observed_generation == set.metadata.generation);
}

TEST_CASE("A selector of expressions works as one of labels") {
  World world;
  world.commit(set_yaml(2, "matchExpressions: [{key: app, operator: In, values: [web, api]}]"));
  world.converge();
  CHECK(world.count_ready() == 2);
}

TEST_CASE("A matching pod without owner is adopted and counts") {
  World world;
  world.commit(pod_yaml("alone", "app: web"));
  world.converge();
  world.commit(pod_yaml("alone", "app: web") + "---\n" + set_yaml(2), test::kSha2);
  world.converge();
  CHECK(world.active_pods().size() == 2);
  const auto alone = world.get<Pod>("alone");
  REQUIRE(alone.metadata.owner_references.size() == 1);
  CHECK(alone.metadata.owner_references[0].uid == world.get<ReplicaSet>("web").metadata.uid);
  // It carries not every label of the template.
  CHECK(world.get<ReplicaSet>("web").status.fully_labeled_replicas == 1);
}

TEST_CASE("A pod whose labels stop matching is released and replaced") {
  World world;
  world.commit(set_yaml(2));
  world.converge();
  auto pod = world.active_pods().front().as<Pod>();
  pod.metadata.labels["app"] = "debug";
  const Object changed = put(world, pod);
  world.wake_all();
  world.converge();
  CHECK(world.get<Pod>(changed.meta().name).metadata.owner_references.empty());
  CHECK(world.active_pods().size() == 3);
  CHECK(world.get<ReplicaSet>("web").status.replicas == 2);
}

TEST_CASE("Another owner's pods are left alone") {
  World world;
  Pod pod;
  pod.metadata.name = "theirs";
  pod.metadata.namespace_name = "default";
  pod.metadata.uid = "x";
  pod.metadata.labels = {{"app", "web"}};
  pod.metadata.owner_references.push_back({"apps/v1", "ReplicaSet", "other", "y", true, false});
  pod.spec.containers.emplace_back().name = "web";
  put(world, pod);
  world.commit(set_yaml(1));
  world.settle();
  CHECK(world.get<ReplicaSet>("web").status.replicas <= 1);
  CHECK(world.get<Pod>("theirs").metadata.owner_references.at(0).name == "other");
}

TEST_CASE("A failed pod is replaced, a short-lived one only after a while") {
  World world;
  world.commit(set_yaml(1));
  world.converge();
  const Object first = world.active_pods().front();
  world.report(first, "Failed", false);
  world.settle();
  CHECK(world.active_pods().empty());
  world.advance(std::chrono::seconds(10));
  REQUIRE(world.active_pods().size() == 1);
  CHECK(world.active_pods().front().meta().uid != first.meta().uid);
  // One that lived long enough is replaced at once.
  world.converge();
  world.advance(std::chrono::seconds(60));
  world.report(world.active_pods().front(), "Failed", false);
  world.settle();
  CHECK(world.active_pods().size() == 1);
}

TEST_CASE("Too many pods: one that is not ready goes first") {
  World world;
  world.commit(set_yaml(3));
  world.converge();
  const Object sick = world.active_pods().at(1);
  world.report(sick, "Running", false);
  world.commit(set_yaml(2), test::kSha2);
  world.settle();
  CHECK(world.active_pods().size() == 2);
  CHECK(world.get<Pod>(sick.meta().name).metadata.deletion_timestamp.has_value());
}

struct RankRow {
  const char* what;
  Pod cheaper;
  Pod dearer;
};

Pod pod_with(void (*change)(Pod&)) {
  Pod pod;
  pod.metadata.name = "m";
  pod.metadata.creation_timestamp = test::start_time();
  pod.spec.node_name = "node-1";
  pod.status.phase = "Running";
  Condition ready;
  ready.type = "Ready";
  ready.status = "True";
  ready.last_transition_time = test::start_time();
  pod.status.conditions.push_back(ready);
  change(pod);
  return pod;
}

TEST_CASE("The order in which pods are given up") {
  const auto same = [](Pod&) {};
  const RankRow rows[] = {
      {"not bound to a node", pod_with([](Pod& p) { p.spec.node_name.clear(); }), pod_with(same)},
      {"pending before running", pod_with([](Pod& p) { p.status.phase = "Pending"; }),
       pod_with(same)},
      {"unknown before running", pod_with([](Pod& p) { p.status.phase = "Unknown"; }),
       pod_with(same)},
      {"not ready before ready", pod_with([](Pod& p) { p.status.conditions[0].status = "False"; }),
       pod_with(same)},
      {"lower deletion cost", pod_with([](Pod& p) {
         p.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] = "-5";
       }),
       pod_with(same)},
      {"ready for a shorter time", pod_with([](Pod& p) {
         p.status.conditions[0].last_transition_time =
             test::start_time() + std::chrono::seconds(5);
       }),
       pod_with(same)},
      {"more restarts", pod_with([](Pod& p) {
         p.status.container_statuses.emplace_back().restart_count = 3;
       }),
       pod_with(same)},
      {"younger", pod_with([](Pod& p) {
         p.metadata.creation_timestamp = test::start_time() + std::chrono::seconds(5);
       }),
       pod_with(same)},
      {"by name when all is equal", pod_with([](Pod& p) { p.metadata.name = "a"; }),
       pod_with(same)},
  };
  for (const RankRow& row : rows) {
    INFO(row.what);
    CHECK(is_cheaper(make_object(row.cheaper), make_object(row.dearer)));
    CHECK_FALSE(is_cheaper(make_object(row.dearer), make_object(row.cheaper)));
  }
}

TEST_CASE("A pod is available only after the minimum time") {
  const Pod pod = pod_with([](Pod&) {});
  const Time start = test::start_time();
  CHECK(is_available(pod, 0, start));
  CHECK_FALSE(is_available(pod, 10, start + std::chrono::seconds(9)));
  CHECK(is_available(pod, 10, start + std::chrono::seconds(10)));
  CHECK(find_wait(pod, 10, start + std::chrono::seconds(4)) == std::chrono::seconds(6));
  CHECK_FALSE(find_wait(pod, 10, start + std::chrono::seconds(10)));
  const Pod sick = pod_with([](Pod& p) { p.status.conditions[0].status = "False"; });
  CHECK_FALSE(is_available(sick, 0, start));
  CHECK_FALSE(find_wait(sick, 10, start));
}

TEST_CASE("What keeps a pod from running is said in words") {
  const auto waiting = [](const char* reason) {
    Pod pod;
    auto& status = pod.status.container_statuses.emplace_back();
    status.name = "web";
    status.state.waiting = ContainerStateWaiting{reason, "details"};
    return find_failure(pod);
  };
  for (const char* reason :
       {"CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName",
        "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
        "ErrImageNeverPull"}) {
    INFO(reason);
    CHECK(waiting(reason) == std::string(reason) + " in container web: details");
  }
  CHECK_FALSE(waiting("ContainerCreating"));
  CHECK_FALSE(waiting("PodInitializing"));
  Pod evicted;
  evicted.status.phase = "Failed";
  evicted.status.reason = "Evicted";
  evicted.status.message = "node was low on memory";
  CHECK(find_failure(evicted) == "Evicted: node was low on memory");
}

}  // namespace
}  // namespace moored
