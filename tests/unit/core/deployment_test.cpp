// Deployments from manifest to ready pods, and from one template to the next.
#include <catch2/catch.hpp>
#include <algorithm>

#include "reconciler/controllers/deployment_state.hpp"
#include "reconciler/controllers/pods.hpp"
#include "schema/model/apps.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;
using test::kSha2;

const Condition& condition(const Deployment& deployment, const char* type) {
  const Condition* found = find_condition(deployment.status.conditions, type);
  REQUIRE(found != nullptr);
  return *found;
}

std::vector<std::string> images(const World& world) {
  std::vector<std::string> found;
  for (const Object& pod : world.active_pods()) {
    found.push_back(pod.as<Pod>().spec.containers.front().image);
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool has_event(const World& world, const std::string& reason, const std::string& part) {
  return std::any_of(world.events.begin(), world.events.end(), [&](const EventNote& note) {
    return note.reason == reason && note.message.find(part) != std::string::npos;
  });
}

TEST_CASE("A manifest becomes ready pods") {
  World world;
  world.commit(deployment_yaml("web", 3, "web:1"));
  world.converge();
  const auto web = world.get<Deployment>("web");
  CHECK(web.status.replicas == 3);
  CHECK(web.status.ready_replicas == 3);
  CHECK(web.status.available_replicas == 3);
  CHECK(web.status.updated_replicas == 3);
  CHECK(web.status.unavailable_replicas == 0);
  CHECK(web.status.observed_generation == web.metadata.generation);
  CHECK(web.metadata.annotations.at("deployment.kubernetes.io/revision") == "1");
  CHECK(condition(web, "Available").reason == "MinimumReplicasAvailable");
  CHECK(condition(web, "Progressing").reason == "NewReplicaSetAvailable");
  REQUIRE(world.all<ReplicaSet>().size() == 1);
  CHECK(world.active_pods().size() == 3);
}

TEST_CASE("Pods carry what kubectl looks for") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.converge();
  const auto set = world.all<ReplicaSet>().front();
  const std::string hash = set.metadata.labels.at("pod-template-hash");
  CHECK(set.metadata.name == "web-" + hash);
  CHECK(set.spec.selector->match_labels.at("pod-template-hash") == hash);
  CHECK(set.metadata.owner_references.at(0).uid == world.get<Deployment>("web").metadata.uid);
  const Object pod = world.active_pods().front();
  CHECK(pod.meta().labels.at("pod-template-hash") == hash);
  CHECK(pod.meta().generate_name == set.metadata.name + "-");
  CHECK(pod.meta().owner_references.at(0).uid == set.metadata.uid);
  CHECK(pod.as<Pod>().spec.node_name == "node-1");
  CHECK(pod.provenance().file == "app.yaml");
}

TEST_CASE("A converged world plans nothing") {
  World world;
  world.commit(deployment_yaml("web", 3, "web:1"));
  world.converge();
  const std::int64_t version = world.store.resource_version();
  world.wake_all();
  world.settle();
  CHECK(world.store.resource_version() == version);
}

TEST_CASE("A new image is rolled out and the old set is kept for the way back") {
  World world;
  world.commit(deployment_yaml("web", 3, "web:1"));
  world.converge();
  world.commit(deployment_yaml("web", 3, "web:2"), kSha2);
  world.converge();
  CHECK(images(world) == std::vector<std::string>{"web:2", "web:2", "web:2"});
  REQUIRE(world.all<ReplicaSet>().size() == 2);
  const auto web = world.get<Deployment>("web");
  CHECK(web.metadata.annotations.at("deployment.kubernetes.io/revision") == "2");
  CHECK(web.status.updated_replicas == 3);
  CHECK(web.status.replicas == 3);
}

TEST_CASE("Going back to an older template uses its set again") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.converge();
  const std::string first = world.all<ReplicaSet>().front().metadata.name;
  world.commit(deployment_yaml("web", 2, "web:2"), kSha2);
  world.converge();
  world.commit(deployment_yaml("web", 2, "web:1"), test::kSha1);
  world.converge();
  CHECK(world.all<ReplicaSet>().size() == 2);
  const auto set = world.get<ReplicaSet>(first);
  CHECK(set.spec.replicas == 2);
  CHECK(set.metadata.annotations.at("deployment.kubernetes.io/revision") == "3");
  CHECK(world.get<Deployment>("web").metadata.annotations.at(
            "deployment.kubernetes.io/revision") == "3");
  CHECK(images(world) == std::vector<std::string>{"web:1", "web:1"});
}

TEST_CASE("A rollout that never gets ready leaves the old pods in place") {
  World world;
  world.commit(deployment_yaml("web", 3, "web:1"));
  world.converge();
  world.missing_images.insert("web:2");
  world.commit(deployment_yaml("web", 3, "web:2"), kSha2);
  world.converge();
  CHECK(world.count_ready() == 3);
  CHECK(images(world) == std::vector<std::string>{"web:1", "web:1", "web:1", "web:2"});
  const auto before = world.get<Deployment>("web");
  CHECK(condition(before, "Available").status == "True");
  CHECK(condition(before, "Progressing").reason == "ReplicaSetUpdated");
  world.advance(std::chrono::seconds(600));
  const auto after = world.get<Deployment>("web");
  CHECK(condition(after, "Progressing").status == "False");
  CHECK(condition(after, "Progressing").reason == "ProgressDeadlineExceeded");
  CHECK(world.count_ready() == 3);
}

TEST_CASE("A rollout past its deadline goes on when it makes progress") {
  World world;
  world.missing_images.insert("web:1");
  world.commit(deployment_yaml("web", 2, "web:1", "  progressDeadlineSeconds: 30\n"));
  world.converge();
  world.advance(std::chrono::seconds(31));
  CHECK(condition(world.get<Deployment>("web"), "Progressing").status == "False");
  world.missing_images.clear();
  world.converge();
  const auto web = world.get<Deployment>("web");
  CHECK(condition(web, "Progressing").status == "True");
  CHECK(condition(web, "Progressing").reason == "NewReplicaSetAvailable");
}

TEST_CASE("Without surge one pod goes before one comes") {
  World world;
  const std::string strategy =
      "  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}\n";
  world.commit(deployment_yaml("web", 3, "web:1", strategy));
  world.converge();
  std::size_t most = 0;
  world.after_each = [&] { most = std::max(most, world.active_pods().size()); };
  world.commit(deployment_yaml("web", 3, "web:2", strategy), kSha2);
  world.converge();
  CHECK(most == 3);
  CHECK(images(world) == std::vector<std::string>{"web:2", "web:2", "web:2"});
}

TEST_CASE("Recreate waits until the last old pod is gone") {
  World world;
  const std::string strategy = "  strategy: {type: Recreate}\n";
  world.commit(deployment_yaml("web", 2, "web:1", strategy));
  world.converge();
  world.commit(deployment_yaml("web", 2, "web:2", strategy), kSha2);
  world.settle();
  CHECK(world.active_pods().empty());
  const auto leaving = world.store.list(kind_of<Pod>(), "default");
  REQUIRE(leaving.size() == 2);
  world.report_gone(leaving[0]);
  world.settle();
  CHECK(world.active_pods().empty());
  world.report_gone(leaving[1]);
  world.settle();
  CHECK(images(world) == std::vector<std::string>{"web:2", "web:2"});
}

TEST_CASE("A paused Deployment scales but does not roll") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.converge();
  world.commit(deployment_yaml("web", 3, "web:2", "  paused: true\n"), kSha2);
  world.converge();
  CHECK(images(world) == std::vector<std::string>{"web:1", "web:1", "web:1"});
  CHECK(condition(world.get<Deployment>("web"), "Progressing").reason == "DeploymentPaused");
  world.commit(deployment_yaml("web", 3, "web:2"), test::kSha1);
  world.settle();
  world.converge();
  CHECK(images(world) == std::vector<std::string>{"web:2", "web:2", "web:2"});
  CHECK(condition(world.get<Deployment>("web"), "Progressing").reason ==
        "NewReplicaSetAvailable");
}

TEST_CASE("Scaling keeps the set and says so in events") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.converge();
  world.commit(deployment_yaml("web", 4, "web:1"), kSha2);
  world.converge();
  CHECK(world.count_ready() == 4);
  CHECK(world.all<ReplicaSet>().size() == 1);
  CHECK(has_event(world, "ScalingReplicaSet", "from 1 to 4"));
  world.commit(deployment_yaml("web", 0, "web:1"), test::kSha1);
  world.converge();
  CHECK(world.active_pods().empty());
  CHECK(world.store.list(kind_of<Pod>()).empty());
  CHECK(has_event(world, "ScalingReplicaSet", "from 4 to 0"));
}

TEST_CASE("Scaling in the middle of a rollout keeps every pod that is ready") {
  World world;
  world.commit(deployment_yaml("web", 4, "web:1"));
  world.converge();
  world.missing_images.insert("web:2");
  world.commit(deployment_yaml("web", 4, "web:2"), kSha2);
  world.converge();
  const int ready = world.count_ready();
  world.commit(deployment_yaml("web", 8, "web:2"), test::kSha1);
  world.converge();
  CHECK(world.count_ready() >= ready);
  world.missing_images.clear();
  world.converge();
  CHECK(world.count_ready() == 8);
  CHECK(images(world).front() == "web:2");
}

TEST_CASE("History is cut to its limit, the oldest first") {
  World world;
  for (int n = 1; n <= 5; ++n) {
    const std::string sha(40, static_cast<char>('0' + n));
    world.commit(deployment_yaml("web", 1, "web:" + std::to_string(n),
                                 "  revisionHistoryLimit: 2\n"),
                 sha);
    world.converge();
  }
  std::vector<std::int64_t> numbers;
  for (const ReplicaSet& set : world.all<ReplicaSet>()) {
    numbers.push_back(get_revision(set.metadata));
  }
  std::sort(numbers.begin(), numbers.end());
  CHECK(numbers == std::vector<std::int64_t>{3, 4, 5});
}

TEST_CASE("minReadySeconds holds a rollout back until time has passed") {
  World world;
  const std::string wait = "  minReadySeconds: 20\n";
  world.commit(deployment_yaml("web", 1, "web:1", wait));
  world.converge();
  CHECK(world.get<Deployment>("web").status.ready_replicas == 1);
  CHECK(world.get<Deployment>("web").status.available_replicas == 0);
  world.advance(std::chrono::seconds(20));
  CHECK(world.get<Deployment>("web").status.available_replicas == 1);
  world.commit(deployment_yaml("web", 1, "web:2", wait), kSha2);
  world.converge();
  CHECK(images(world) == std::vector<std::string>{"web:1", "web:2"});
  world.advance(std::chrono::seconds(20));
  world.converge();
  CHECK(images(world) == std::vector<std::string>{"web:2"});
}

TEST_CASE("Only a change of the template rolls; labels of the object do not") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.converge();
  const auto pods = world.active_pods();
  auto objects = test::read_manifests(deployment_yaml("web", 2, "web:1"));
  objects[0] = with_meta(objects[0], [](ObjectMeta& meta) {
    meta.labels["team"] = "shop";
    meta.annotations["note"] = "hello";
  });
  world.commit_objects(objects, kSha2);
  world.converge();
  const auto after = world.active_pods();
  REQUIRE(after.size() == pods.size());
  for (std::size_t i = 0; i < pods.size(); ++i) CHECK(after[i].meta().uid == pods[i].meta().uid);
  CHECK(world.get<Deployment>("web").metadata.labels.at("team") == "shop");
  CHECK(world.all<ReplicaSet>().front().metadata.annotations.at("note") == "hello");
}

TEST_CASE("A pod lost after the rollout is replaced without a new rollout") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.converge();
  world.report_gone(world.active_pods().front());
  world.settle();
  const auto web = world.get<Deployment>("web");
  CHECK(condition(web, "Progressing").reason == "NewReplicaSetAvailable");
  CHECK(world.active_pods().size() == 2);
  world.converge();
  CHECK(world.count_ready() == 2);
  CHECK(world.all<ReplicaSet>().size() == 1);
}

TEST_CASE("A deleted Deployment takes its sets and pods along") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1") + "---\n" +
               deployment_yaml("api", 1, "api:1"));
  world.converge();
  world.commit(deployment_yaml("api", 1, "api:1"), kSha2);
  world.settle();
  CHECK(world.all<Deployment>().size() == 1);
  CHECK(world.all<ReplicaSet>().size() == 1);
  CHECK(world.active_pods().size() == 1);
  for (const Pod& pod : world.all<Pod>()) {
    if (!pod.metadata.deletion_timestamp) continue;
    CHECK(pod.metadata.deletion_grace_period_seconds == 30);
    CHECK(*pod.metadata.deletion_timestamp == world.now + std::chrono::seconds(30));
  }
  world.converge();
  CHECK(world.all<Pod>().size() == 1);
}

TEST_CASE("A Deployment made anew under the same name has new pods") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") + "---\n" +
               deployment_yaml("api", 1, "api:1"));
  world.converge();
  const std::string before = world.get<Deployment>("web").metadata.uid;
  world.commit(deployment_yaml("api", 1, "api:1"), kSha2);
  world.commit(deployment_yaml("web", 1, "web:1") + "---\n" +
                   deployment_yaml("api", 1, "api:1"),
               test::kSha1);
  world.converge();
  const auto web = world.get<Deployment>("web");
  CHECK(web.metadata.uid != before);
  CHECK(world.active_pods().size() == 2);
  for (const ReplicaSet& set : world.all<ReplicaSet>()) {
    CHECK(set.metadata.owner_references.at(0).uid != before);
  }
}

TEST_CASE("With two equal templates the older set is the new one") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.converge();
  auto twin = world.all<ReplicaSet>().front();
  twin.metadata.name = "web-twin";
  twin.metadata.uid = "11111111-2222-4333-8444-555555555555";
  twin.metadata.creation_timestamp = world.now + std::chrono::hours(1);
  world.store.apply({Write::Type::put, key_of<ReplicaSet>("default", "web-twin"),
                     make_object(twin), ""});
  const auto web = world.store.find(key_of<Deployment>("default", "web"));
  const auto found = find_new_set(*web, world.store);
  REQUIRE(found);
  CHECK(found->meta().name != "web-twin");
}

TEST_CASE("Progress is judged by what moved since the last look") {
  World world;
  world.missing_images.insert("web:1");
  world.commit(deployment_yaml("web", 2, "web:1", "  progressDeadlineSeconds: 60\n"));
  world.converge();
  world.advance(std::chrono::seconds(50));
  // One pod gets ready: the clock of the deadline starts again.
  world.missing_images.clear();
  world.report(world.active_pods().front(), "Running", true);
  world.settle();
  world.advance(std::chrono::seconds(50));
  CHECK(condition(world.get<Deployment>("web"), "Progressing").status == "True");
  world.advance(std::chrono::seconds(10));
  CHECK(condition(world.get<Deployment>("web"), "Progressing").status == "False");
}

}  // namespace
}  // namespace moored
