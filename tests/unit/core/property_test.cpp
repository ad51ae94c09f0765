// Properties over random interleavings: safety at every step, liveness at the end.
#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/controllers/pods.hpp"
#include "reconciler/controllers/rollout.hpp"
#include "schema/base/random.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;

// One random step of an agent: it starts, finishes or removes one pod.
void agent_step(World& world, Random& random) {
  std::vector<Object> pods;
  for (const Object& pod : world.store.list(kind_of<Pod>())) {
    const Pod& body = pod.as<Pod>();
    if (body.spec.node_name.empty()) continue;
    if (body.metadata.deletion_timestamp || !is_ready(body)) pods.push_back(pod);
  }
  if (pods.empty()) return;
  const Object& pod = pods[random.below(pods.size())];
  if (pod.meta().deletion_timestamp) {
    world.report_gone(pod);
  } else if (world.missing_images.count(pod.as<Pod>().spec.containers.front().image) == 0) {
    world.report(pod, "Running", true);
  }
}

void random_step(World& world, Random& random) {
  if (world.waiting() > 0 && random.below(3) != 0) {
    world.step(random.below(world.waiting()));
  } else {
    agent_step(world, random);
  }
}

struct Strategy {
  std::int32_t replicas;
  std::string surge;
  std::string unavailable;
};

Strategy random_strategy(Random& random) {
  Strategy strategy;
  strategy.replicas = static_cast<std::int32_t>(1 + random.below(6));
  strategy.surge = std::to_string(random.below(3));
  strategy.unavailable = std::to_string(random.below(3));
  // Both zero is refused by validation.
  if (strategy.surge == "0" && strategy.unavailable == "0") strategy.surge = "1";
  return strategy;
}

std::string yaml_of(const Strategy& strategy, const std::string& image) {
  return deployment_yaml("web", strategy.replicas, image,
                         "  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: " +
                             strategy.surge + ", maxUnavailable: " + strategy.unavailable +
                             "}}\n");
}

std::string sha_of(std::uint64_t n) {
  std::string digits = std::to_string(n);
  return std::string(40 - digits.size(), 'a') + digits;
}

TEST_CASE("A rollout stays between its bounds under any order of events") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SeededRandom random(seed);
    const Strategy strategy = random_strategy(random);
    INFO("seed " << seed << ", replicas " << strategy.replicas << ", surge " << strategy.surge
                 << ", unavailable " << strategy.unavailable);
    World world;
    world.commit(yaml_of(strategy, "web:1"), sha_of(1));
    world.converge();
    world.commit(yaml_of(strategy, "web:2"), sha_of(2));
    const RolloutBounds bounds = get_bounds(world.get<Deployment>("web").spec);
    const std::int32_t least = bounds.replicas - bounds.unavailable;
    const std::int32_t most = bounds.replicas + bounds.surge;
    world.after_each = [&] {
      REQUIRE(world.count_ready() >= least);
      REQUIRE(static_cast<std::int32_t>(world.active_pods().size()) <= most);
    };
    for (int step = 0; step < 150; ++step) random_step(world, random);
    world.converge();
    world.after_each = nullptr;
    CHECK(world.count_ready() == bounds.replicas);
    for (const Object& pod : world.active_pods()) {
      CHECK(pod.as<Pod>().spec.containers.front().image == "web:2");
    }
  }
}

TEST_CASE("A change of mind in the middle of a rollout keeps the lower bound") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SeededRandom random(seed * 7919);
    INFO("seed " << seed);
    Strategy strategy = random_strategy(random);
    World world;
    world.commit(yaml_of(strategy, "web:1"), sha_of(1));
    world.converge();
    world.missing_images.insert("web:3");
    const RolloutBounds bounds = get_bounds(world.get<Deployment>("web").spec);
    const std::int32_t least = bounds.replicas - bounds.unavailable;
    world.after_each = [&] { REQUIRE(world.count_ready() >= least); };
    for (std::uint64_t change = 2; change < 7; ++change) {
      const std::string image = "web:" + std::to_string(1 + random.below(4));
      world.commit(yaml_of(strategy, image), sha_of(change));
      const std::uint64_t steps = random.below(40);
      for (std::uint64_t step = 0; step < steps; ++step) random_step(world, random);
    }
    world.after_each = nullptr;
    world.commit(yaml_of(strategy, "web:9"), sha_of(9));
    world.converge();
    CHECK(world.count_ready() == bounds.replicas);
    CHECK(static_cast<std::int32_t>(world.active_pods().size()) == bounds.replicas);
  }
}

std::string shop_yaml(std::uint64_t variant, Random& random) {
  std::string yaml = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n";
  yaml += deployment_yaml("web", static_cast<int>(random.below(4)),
                          "web:" + std::to_string(variant % 3));
  if (variant % 2 == 0) {
    yaml += "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\n"
            "spec: {selector: {app: web}, ports: [{port: 80}]}\n";
  }
  if (variant % 3 == 0) {
    yaml += "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\n"
            "data: {v: \"" + std::to_string(variant) + "\"}\n";
  }
  return yaml;
}

TEST_CASE("From any point the world converges, and a converged world plans nothing") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SeededRandom random(seed * 104'729);
    INFO("seed " << seed);
    World world;
    for (std::uint64_t commit = 0; commit < 5; ++commit) {
      world.commit(shop_yaml(random.below(6), random), sha_of(seed * 10 + commit));
      const std::uint64_t steps = random.below(60);
      for (std::uint64_t step = 0; step < steps; ++step) random_step(world, random);
    }
    world.converge();
    const std::int64_t version = world.store.resource_version();
    world.wake_all();
    world.settle();
    CHECK(world.store.resource_version() == version);
    const auto web = world.get<Deployment>("web");
    CHECK(world.count_ready() == *web.spec.replicas);
    // No orphans: every pod's set and every set's Deployment is there.
    for (const ReplicaSet& set : world.all<ReplicaSet>()) {
      CHECK(set.metadata.owner_references.at(0).uid == web.metadata.uid);
    }
    CHECK(world.all<Pod>().size() == static_cast<std::size_t>(*web.spec.replicas));
  }
}

// What a world looks like apart from the names, uids and times that depend on history.
std::string outline(const World& world) {
  std::vector<std::string> lines;
  for (const auto& [key, object] : world.store.all()) {
    if (object.is<Pod>()) {
      const Pod& pod = object.as<Pod>();
      lines.push_back("Pod " + pod.spec.containers.front().image + ' ' + pod.spec.node_name + ' ' +
                      pod.status.phase);
    } else if (object.is<Endpoints>()) {
      const auto& subsets = object.as<Endpoints>().subsets;
      const std::size_t ready = subsets.empty() ? 0 : subsets.front().addresses.size();
      lines.push_back("Endpoints " + key.name + ' ' + std::to_string(ready));
    } else if (object.is<Deployment>()) {
      const auto& status = object.as<Deployment>().status;
      lines.push_back("Deployment " + key.name + ' ' + std::to_string(status.available_replicas) +
                      '/' + std::to_string(status.updated_replicas));
    } else if (object.is<Service>()) {
      lines.push_back("Service " + key.name + ' ' + object.as<Service>().spec.cluster_ip);
    } else if (object.is<ConfigMap>()) {
      lines.push_back("ConfigMap " + key.text());
    }
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

TEST_CASE("The order in which keys are looked at does not decide the outcome") {
  std::string expected;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SeededRandom random(seed);
    SeededRandom fixed(99);
    World world;
    world.commit(shop_yaml(0, fixed), sha_of(1));
    for (int step = 0; step < 100; ++step) random_step(world, random);
    world.commit(shop_yaml(4, fixed), sha_of(2));
    for (int step = 0; step < 100; ++step) random_step(world, random);
    world.converge();
    const std::string text = outline(world);
    if (seed == 1) expected = text;
    INFO("seed " << seed);
    CHECK(text == expected);
  }
}

TEST_CASE("Objects of a commit may come in any order") {
  SeededRandom random(5);
  SeededRandom fixed(7);
  auto objects = test::read_manifests(shop_yaml(0, fixed));
  std::string expected;
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = objects.size(); i > 1; --i) {
      std::swap(objects[i - 1], objects[random.below(i)]);
    }
    World world;
    world.commit_objects(objects, sha_of(1));
    world.converge();
    if (round == 0) expected = outline(world);
    CHECK(outline(world) == expected);
  }
}

TEST_CASE("The same history gives the same store, to the last byte") {
  const auto run = [] {
    SeededRandom random(42);
    World world;
    world.commit(shop_yaml(0, random), sha_of(1));
    for (int step = 0; step < 80; ++step) random_step(world, random);
    world.commit(shop_yaml(3, random), sha_of(2));
    world.converge();
    std::string text;
    for (const auto& [key, object] : world.store.all()) text += encode_json(object) + '\n';
    return text;
  };
  CHECK(run() == run());
}

TEST_CASE("Facts repeated at random change nothing") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    SeededRandom fixed(3);
    const std::string yaml = shop_yaml(0, fixed);
    World world;
    world.commit(yaml, sha_of(1));
    world.converge();
    const std::int64_t version = world.store.resource_version();
    for (int n = 0; n < 20; ++n) {
      switch (random.below(3)) {
        case 0:
          world.post(world.tree(test::read_manifests(yaml), sha_of(1)));
          break;
        case 1:
          world.post(world.tree(test::read_manifests(yaml), sha_of(7)));  // not the source's
          break;
        default: {
          const auto pods = world.active_pods();
          if (pods.empty()) break;
          const Object& pod = pods[random.below(pods.size())];
          PodObserved fact;
          fact.pod = pod.key();
          fact.uid = pod.meta().uid;
          fact.status = pod.as<Pod>().status;
          world.post(fact);
        }
      }
      world.settle();
    }
    INFO("seed " << seed);
    CHECK(world.store.resource_version() == version);
  }
}

TEST_CASE("Pods that crash at random are replaced, never doubled") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed * 31);
    INFO("seed " << seed);
    World world;
    world.commit(deployment_yaml("web", 3, "web:1"), sha_of(1));
    world.converge();
    for (int round = 0; round < 15; ++round) {
      const auto pods = world.active_pods();
      if (!pods.empty()) {
        const Object& pod = pods[random.below(pods.size())];
        if (random.below(2) == 0) {
          world.report_gone(pod);
        } else {
          world.report(pod, "Failed", false);
        }
      }
      for (int step = 0; step < 10; ++step) random_step(world, random);
      CHECK(world.active_pods().size() <= 3);
      world.advance(std::chrono::seconds(random.below(15)));
    }
    world.advance(std::chrono::seconds(15));
    world.converge();
    CHECK(world.count_ready() == 3);
    CHECK(world.all<Pod>().size() == 3);
  }
}

}  // namespace
}  // namespace moored
