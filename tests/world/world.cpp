#include "tests/world/world.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/controllers/pods.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/flux.hpp"
#include "tests/world/one_unit.hpp"

namespace moored::test {
namespace {

constexpr const char* kNode = R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1",
"labels":{"disk":"ssd"}},"status":{"allocatable":{"cpu":"4","memory":"8Gi","pods":"110"}}})";

}  // namespace

std::vector<Object> read_manifests(const std::string& yaml, const std::string& file) {
  Diagnostics diagnostics;
  std::vector<Object> objects;
  for (const Value& document : read_yaml(yaml, file, diagnostics)) {
    auto object = decode_manifest(document, file, diagnostics);
    if (object) {
      objects.push_back(object->with_provenance({"", "", "", file, document.mark.line}));
    }
  }
  for (const Error& error : diagnostics.errors()) FAIL(error.text());
  return objects;
}

std::string revision_of(const std::string& sha) { return "main@sha1:" + sha; }

std::string deployment_yaml(const std::string& name, int replicas, const std::string& image,
                            const std::string& more_spec, const std::string& more_pod) {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
         ", namespace: default}\nspec:\n  replicas: " + std::to_string(replicas) + "\n" +
         more_spec + "  selector: {matchLabels: {app: " + name +
         "}}\n  template:\n    metadata: {labels: {app: " + name +
         "}}\n    spec:\n" + more_pod + "      containers:\n      - {name: " + name +
         ", image: \"" + image + "\"}\n";
}

World::World(bool with_node) : controllers_(make_controllers()) {
  record(plan_start(read_manifests(kOneUnit), context()));
  if (with_node) post(NodeObserved{key_of<Node>("", "node-1"), kNode});
  settle();
  writes.clear();
  events.clear();
}

PlanContext World::context() const {
  return {store, {now, MonoTime(now.time_since_epoch())}, "abcdef", "node-1"};
}

void World::enqueue(const ObjectKey& key) {
  if (std::find(queue_.begin(), queue_.end(), key) == queue_.end()) queue_.push_back(key);
}

void World::wake(const Object& changed) {
  for (const auto& controller : controllers_) {
    for (const ObjectKey& key : controller->wakes(changed, store)) enqueue(key);
  }
}

void World::record(const Plan& plan) {
  std::vector<Change> changes;
  const auto apply = [&](const std::vector<Write>& list) {
    for (const Write& write : list) {
      if (auto change = store.apply(write)) changes.push_back(std::move(*change));
      writes.push_back(write);
    }
  };
  apply(plan.writes);
  apply(make_event_writes(plan.events, context()));
  for (const Change& change : changes) {
    if (change.previous) wake(*change.previous);
    wake(change.object);
  }
  events.insert(events.end(), plan.events.begin(), plan.events.end());
  receipt.insert(receipt.end(), plan.receipt.begin(), plan.receipt.end());
  for (const Requeue& requeue : plan.requeues) later_.emplace(now + requeue.after, requeue.key);
  if (after_each) after_each();
}

Plan World::post(const Fact& fact) {
  Plan plan = reduce(fact, context(), options);
  record(plan);
  return plan;
}

TreeLoaded World::tree(std::vector<Object> objects, const std::string& sha) const {
  TreeLoaded fact;
  fact.source = key_of<GitRepository>("moored-system", "default");
  fact.unit = key_of<Kustomization>("moored-system", "default");
  fact.revision = revision_of(sha);
  fact.commit.sha = sha;
  fact.complete = true;
  fact.objects = std::move(objects);
  fact.rendered_at = now;
  fact.validated_at = now;
  return fact;
}

Plan World::commit_objects(std::vector<Object> objects, const std::string& sha) {
  SourceObserved seen;
  seen.source = key_of<GitRepository>("moored-system", "default");
  seen.revision = revision_of(sha);
  seen.commit.sha = sha;
  seen.seen_at = now;
  seen.fetched_at = now;
  post(seen);
  return post(tree(std::move(objects), sha));
}

Plan World::commit(const std::string& yaml, const std::string& sha) {
  return commit_objects(read_manifests(yaml), sha);
}

bool World::step(std::size_t n) {
  if (queue_.empty()) return false;
  const auto at = queue_.begin() + static_cast<std::ptrdiff_t>(n % queue_.size());
  const ObjectKey key = *at;
  queue_.erase(at);
  for (const auto& controller : controllers_) {
    if (&controller->kind() == key.kind) record(controller->plan(key, context()));
  }
  return true;
}

void World::settle() {
  constexpr int kMaxSteps = 100'000;
  int steps = 0;
  while (step()) {
    if (++steps > kMaxSteps) FAIL("the controllers never come to rest");
  }
}

void World::advance(Duration duration) {
  const Time target = now + duration;
  while (!later_.empty() && later_.begin()->first <= target) {
    now = std::max(now, later_.begin()->first);
    enqueue(later_.begin()->second);
    later_.erase(later_.begin());
    settle();
  }
  now = target;
  settle();
}

void World::wake_all() {
  for (const auto& [key, object] : store.all()) wake(object);
}

void World::report(const Object& pod, const std::string& phase, bool ready,
                   const std::string& waiting_reason) {
  PodObserved fact;
  fact.pod = pod.key();
  fact.uid = pod.meta().uid;
  fact.status = pod.as<Pod>().status;
  fact.status.phase = phase;
  if (fact.status.pod_ip.empty()) {
    fact.status.pod_ip = "10.209.0." + std::to_string(next_address_++);
  }
  Condition condition;
  condition.type = "Ready";
  condition.status = ready ? "True" : "False";
  if (!ready) condition.reason = "ContainersNotReady";
  set_condition(fact.status.conditions, condition, now);
  ContainerStatus container;
  container.name = pod.as<Pod>().spec.containers.front().name;
  container.ready = ready;
  if (!waiting_reason.empty()) {
    container.state.waiting = ContainerStateWaiting{waiting_reason, "no such image"};
  } else if (phase == "Running") {
    container.state.running = ContainerStateRunning{now};
    fact.started_at = now;
  }
  fact.status.container_statuses = {container};
  post(fact);
}

void World::report_gone(const Object& pod) {
  PodObserved fact;
  fact.pod = pod.key();
  fact.uid = pod.meta().uid;
  fact.gone = true;
  post(fact);
}

void World::run_agent() {
  for (const Object& object : store.list(kind_of<Pod>())) {
    const Pod& pod = object.as<Pod>();
    if (pod.spec.node_name.empty()) continue;
    if (pod.metadata.deletion_timestamp) {
      report_gone(object);
    } else if (missing_images.count(pod.spec.containers.front().image) > 0) {
      if (!find_failure(pod)) report(object, "Pending", false, "ErrImagePull");
    } else if (!is_ready(pod) && !is_finished(pod)) {
      report(object, "Running", true);
    }
  }
}

void World::converge() {
  for (int round = 0; round < 1000; ++round) {
    const std::int64_t before = store.resource_version();
    settle();
    run_agent();
    settle();
    if (store.resource_version() == before) return;
  }
  FAIL("the world never comes to rest");
}

std::vector<Object> World::active_pods(const std::string& space) const {
  std::vector<Object> found;
  for (const Object& pod : store.list(kind_of<Pod>(), space)) {
    if (is_active(pod.as<Pod>())) found.push_back(pod);
  }
  return found;
}

int World::count_ready(const std::string& space) const {
  int ready = 0;
  for (const Object& pod : active_pods(space)) ready += is_ready(pod.as<Pod>()) ? 1 : 0;
  return ready;
}

}  // namespace moored::test
