// Deployments from manifest to ready pods, and from one template to the next.
#include <catch2/catch.hpp>

#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;

TEST_CASE("A manifest becomes ready pods") {
  World world;
  world.commit(deployment_yaml("web", 3, "web:1"));
  world.converge();
  const auto web = world.get<Deployment>("web");
  CHECK(web.status.ready_replicas == 3);
  CHECK(web.status.available_replicas == 3);
  CHECK(web.status.updated_replicas == 3);
  CHECK(web.status.observed_generation == web.metadata.generation);
  CHECK(web.metadata.annotations.at("deployment.kubernetes.io/revision") == "1");
  REQUIRE(world.all<ReplicaSet>().size() == 1);
  CHECK(world.active_pods().size() == 3);
  for (const Object& pod : world.active_pods()) {
    CHECK(pod.as<Pod>().spec.node_name == "node-1");
    CHECK(pod.meta().labels.at("pod-template-hash") ==
          world.all<ReplicaSet>()[0].metadata.labels.at("pod-template-hash"));
  }
}

}  // namespace
}  // namespace moored
