// The Ready condition of a unit tells the health of what it applied.
#include "reconciler/controllers/health.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/controllers/pods.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;
using test::kSha1;
using test::kSha2;
using test::revision_of;

Condition ready(const World& world) {
  const auto unit = world.get<Kustomization>("default", "moored-system");
  const Condition* found = find_condition(unit.status.conditions, "Ready");
  REQUIRE(found != nullptr);
  return *found;
}

std::size_t count_steps(const World& world, const std::string& step) {
  return static_cast<std::size_t>(
      std::count_if(world.receipt.begin(), world.receipt.end(),
                    [&](const ReceiptStep& s) { return s.step == step; }));
}

TEST_CASE("Ready is unknown until the pods are, then true") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.settle();
  CHECK(ready(world).status == "Unknown");
  CHECK(ready(world).reason == "Progressing");
  CHECK(ready(world).message.find("Deployment/default/web") != std::string::npos);
  world.converge();
  CHECK(ready(world).status == "True");
  CHECK(ready(world).message == "Applied revision: " + revision_of(kSha1));
  CHECK(count_steps(world, "ready") == 1);
}

TEST_CASE("A missing image shows at once, while the old pods serve") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.converge();
  world.missing_images.insert("web:2");
  world.commit(deployment_yaml("web", 2, "web:2"), kSha2);
  world.converge();
  CHECK(ready(world).status == "False");
  CHECK(ready(world).reason == "HealthCheckFailed");
  CHECK(ready(world).message.find("ErrImagePull") != std::string::npos);
  CHECK(ready(world).message.find(revision_of(kSha2)) == 0);
  CHECK(world.count_ready() == 2);
  CHECK(count_steps(world, "failed") == 1);
  CHECK(world.get<Kustomization>("default", "moored-system").status.last_applied_revision ==
        revision_of(kSha2));
}

TEST_CASE("A revert heals what a bad commit broke") {
  World world;
  world.commit(deployment_yaml("web", 2, "web:1"));
  world.converge();
  const auto before = world.active_pods();
  world.missing_images.insert("web:2");
  world.commit(deployment_yaml("web", 2, "web:2"), kSha2);
  world.converge();
  const std::string third(40, '3');
  world.commit(deployment_yaml("web", 2, "web:1"), third);
  world.converge();
  CHECK(ready(world).status == "True");
  for (const Object& pod : before) CHECK(world.store.find(pod.key()));
}

TEST_CASE("A probe that never succeeds fails the revision at the deadline, with its words") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1", "  progressDeadlineSeconds: 60\n"));
  world.settle();
  world.report(world.active_pods().front(), "Running", false);
  world.settle();
  CHECK(ready(world).status == "Unknown");
  world.advance(std::chrono::seconds(61));
  CHECK(ready(world).status == "False");
  CHECK(ready(world).message.find("ProgressDeadlineExceeded") != std::string::npos);
  CHECK(ready(world).message.find("ContainersNotReady") != std::string::npos);
}

TEST_CASE("A pod that does not fit says so") {
  World world(false);
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.settle();
  CHECK(ready(world).message.find("no nodes available to schedule pods") != std::string::npos);
}

TEST_CASE("Objects without pods are well at once") {
  World world;
  world.commit("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n");
  world.settle();
  CHECK(ready(world).status == "True");
}

TEST_CASE("A paused Deployment does not keep a unit from being ready") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1", "  paused: true\n"));
  world.settle();
  CHECK(ready(world).status == "True");
}

TEST_CASE("A crash loop later on turns the unit, and its end turns it back") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.converge();
  world.report(world.active_pods().front(), "Running", false, "CrashLoopBackOff");
  world.settle();
  CHECK(ready(world).status == "False");
  CHECK(ready(world).message.find("CrashLoopBackOff") != std::string::npos);
  world.report(world.active_pods().front(), "Running", true);
  world.settle();
  CHECK(ready(world).status == "True");
}

TEST_CASE("The worst object decides, and at most ten are named") {
  World world;
  std::string yaml;
  for (int n = 0; n < 12; ++n) {
    const std::string name = "web-" + std::string(1, static_cast<char>('a' + n));
    yaml += "---\n" + deployment_yaml(name, 1, "missing:1");
  }
  yaml += "---\n" + deployment_yaml("fine", 1, "fine:1");
  world.missing_images.insert("missing:1");
  world.commit(yaml);
  world.converge();
  const std::string message = ready(world).message;
  CHECK(ready(world).status == "False");
  std::size_t named = 0;
  for (std::size_t at = 0; (at = message.find("Deployment/", at)) != std::string::npos; ++at) {
    ++named;
  }
  CHECK(named == 10);
  CHECK(message.find("fine") == std::string::npos);
}

TEST_CASE("A bare pod and a ReplicaSet are judged as well") {
  World world;
  world.missing_images.insert("gone:1");
  world.commit(R"(
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default}
spec: {containers: [{name: c, image: "gone:1"}]}
)");
  world.settle();
  CHECK(ready(world).status == "Unknown");
  world.converge();
  CHECK(ready(world).status == "False");
  CHECK(ready(world).message.find("Pod/default/p: ErrImagePull") != std::string::npos);
  world.commit(R"(
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: r, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: r}}
  template:
    metadata: {labels: {app: r}}
    spec: {containers: [{name: c, image: "gone:1"}]}
)",
               kSha2);
  world.converge();
  CHECK(ready(world).status == "False");
  CHECK(ready(world).message.find("ReplicaSet/default/r") != std::string::npos);
  world.missing_images.clear();
  world.converge();
  CHECK(ready(world).status == "True");
}

TEST_CASE("A finished pod is well when it succeeded") {
  World world;
  world.commit(R"(
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default}
spec: {restartPolicy: Never, containers: [{name: c, image: "once:1"}]}
)");
  world.settle();
  const Object pod = *world.store.find(key_of<Pod>("default", "p"));
  world.report(pod, "Succeeded", false);
  world.settle();
  CHECK(ready(world).status == "True");
}

TEST_CASE("A namespace on its way out is progress, not health") {
  Namespace space;
  space.metadata.name = "shop";
  space.metadata.deletion_timestamp = test::start_time();
  World world;
  const HealthReport report = judge(make_object(space), world.store);
  CHECK(report.health == Health::progressing);
  CHECK(report.message == "Namespace/shop: being removed");
}

TEST_CASE("A health that does not change writes nothing") {
  World world;
  world.missing_images.insert("web:1");
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.converge();
  const std::int64_t version = world.store.resource_version();
  world.wake_all();
  world.settle();
  CHECK(world.store.resource_version() == version);
}

}  // namespace
}  // namespace moored
