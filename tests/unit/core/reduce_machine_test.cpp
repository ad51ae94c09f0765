// Facts of sources and of the machine.
#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/core/conditions.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;
using test::kSha1;
using test::kSha2;
using test::revision_of;

GitRepository source_of(const World& world) {
  return world.get<GitRepository>("default", "moored-system");
}

Condition condition(const World& world, std::string_view type) {
  const auto source = source_of(world);
  const Condition* found = find_condition(source.status.conditions, type);
  return found == nullptr ? Condition{} : *found;
}

SourceObserved seen(const World& world, const std::string& sha) {
  SourceObserved fact;
  fact.source = key_of<GitRepository>("moored-system", "default");
  fact.revision = revision_of(sha);
  fact.commit = {sha, "A <a@test>", "Add the shop", world.now};
  fact.seen_at = world.now;
  fact.fetched_at = world.now;
  return fact;
}

SourceObserved failed(const World& world, const std::string& reason, const std::string& message) {
  SourceObserved fact = seen(world, kSha1);
  fact.revision.clear();
  fact.error = Error{Code::unavailable, message, reason, {}, ""};
  return fact;
}

std::size_t count_events(const World& world, const std::string& reason) {
  return static_cast<std::size_t>(
      std::count_if(world.events.begin(), world.events.end(),
                    [&](const EventNote& note) { return note.reason == reason; }));
}

// ---- sources ----------------------------------------------------------------------------------

TEST_CASE("A new revision becomes the artifact") {
  World world;
  world.post(seen(world, kSha1));
  const auto status = source_of(world).status;
  REQUIRE(status.artifact);
  CHECK(status.artifact->revision == revision_of(kSha1));
  CHECK(status.artifact->last_update_time == world.now);
  CHECK(status.observed_generation == source_of(world).metadata.generation);
  CHECK(condition(world, "Ready").status == "True");
  CHECK(condition(world, "Ready").reason == "Succeeded");
  CHECK(condition(world, "Ready").message ==
        "stored artifact for revision '" + revision_of(kSha1) + "'");
  CHECK(condition(world, "ArtifactInStorage").status == "True");
  CHECK(count_events(world, "NewArtifact") == 1);
}

TEST_CASE("The same revision again is no news") {
  World world;
  world.post(seen(world, kSha1));
  CHECK(world.post(seen(world, kSha1)).empty());
}

TEST_CASE("A clock that was set back does not leave a source behind") {
  World world;
  world.now += std::chrono::hours(24 * 3650);
  world.post(seen(world, kSha1));
  REQUIRE(source_of(world).status.artifact->revision == revision_of(kSha1));
  world.now -= std::chrono::hours(24 * 3650 + 1);
  world.post(seen(world, kSha2));
  CHECK(source_of(world).status.artifact->revision == revision_of(kSha2));
  CHECK(source_of(world).status.artifact->last_update_time == world.now);
}

TEST_CASE("The receipt has when it was seen and when it was fetched") {
  World world;
  SourceObserved fact = seen(world, kSha1);
  fact.fetched_at = world.now + std::chrono::milliseconds(250);
  const Plan plan = world.post(fact);
  REQUIRE(plan.receipt.size() == 2);
  CHECK(plan.receipt[0].step == "seen");
  CHECK(plan.receipt[0].time == world.now);
  CHECK(plan.receipt[1].step == "fetched");
  CHECK(plan.receipt[1].time == fact.fetched_at);
}

TEST_CASE("A failed fetch keeps the artifact and shows its reason") {
  World world;
  world.post(seen(world, kSha1));
  world.post(failed(world, "FetchHTTP", "the server answered 503"));
  CHECK(source_of(world).status.artifact->revision == revision_of(kSha1));
  CHECK(condition(world, "Ready").status == "False");
  CHECK(condition(world, "Ready").reason == "GitOperationFailed");
  CHECK(condition(world, "Ready").message == "FetchHTTP: the server answered 503");
  CHECK(condition(world, "FetchFailed").status == "True");
  CHECK(condition(world, "ArtifactInStorage").status == "True");
  CHECK(count_events(world, "GitOperationFailed") == 1);
  // Told once, not at every attempt.
  CHECK(world.post(failed(world, "FetchHTTP", "the server answered 503")).empty());
  CHECK(count_events(world, "GitOperationFailed") == 1);
}

TEST_CASE("A failure without a word of its own is FetchFailed") {
  World world;
  world.post(failed(world, "", "no route to host"));
  CHECK(condition(world, "Ready").reason == "GitOperationFailed");
  CHECK(condition(world, "Ready").message.find("FetchFailed: ") == 0);
  CHECK_FALSE(source_of(world).status.artifact);
}

TEST_CASE("Flux's words for what failed, and whether looking again may help") {
  struct Row {
    std::string ours;
    std::string type;
    std::string reason;
    bool stalled;
  };
  World world;
  for (const auto& row : {Row{"AuthFailed", "FetchFailed", "AuthenticationFailed", false},
                          Row{"URLNotAllowed", "FetchFailed", "URLInvalid", true},
                          Row{"DiskFull", "StorageOperationFailed", "ArchiveOperationFailed",
                              false},
                          Row{"HostKeyMismatch", "FetchFailed", "GitOperationFailed", true},
                          Row{"SecretExposed", "FetchFailed", "AuthenticationFailed", true},
                          Row{"FetchTimeout", "FetchFailed", "GitOperationFailed", false}}) {
    CAPTURE(row.ours);
    world.post(failed(world, row.ours, "why"));
    for (const auto* type : {"FetchFailed", "StorageOperationFailed"}) {
      CHECK(condition(world, type).status == (row.type == type ? "True" : ""));
    }
    CHECK(condition(world, row.type).reason == row.reason);
    CHECK(condition(world, "Ready").reason == row.reason);
    CHECK(condition(world, "Ready").message == row.ours + ": why");
    // Never both: whoever waits for the source asks which of the two it is.
    CHECK(condition(world, "Stalled").reason == (row.stalled ? row.reason : ""));
    CHECK(condition(world, "Reconciling").reason ==
          (row.stalled ? "" : "ProgressingWithRetry"));
  }
  world.post(seen(world, kSha1));
  CHECK(source_of(world).status.conditions.size() == 2);
}

TEST_CASE("A fetch that works again clears the failure") {
  World world;
  world.post(seen(world, kSha1));
  world.post(failed(world, "FetchTimeout", "silent"));
  const Plan plan = world.post(seen(world, kSha1));
  CHECK(plan.receipt.empty());
  CHECK(condition(world, "Ready").status == "True");
  CHECK(condition(world, "FetchFailed").type.empty());
}

TEST_CASE("An answer that was overtaken is ignored") {
  World world;
  const SourceObserved late = seen(world, kSha1);
  world.now += std::chrono::seconds(5);
  world.post(seen(world, kSha2));
  CHECK(world.post(late).empty());
  CHECK(source_of(world).status.artifact->revision == revision_of(kSha2));
}

TEST_CASE("Rewritten history is taken and told") {
  World world;
  world.post(seen(world, kSha1));
  SourceObserved fact = seen(world, kSha2);
  fact.history_rewritten = true;
  world.post(fact);
  CHECK(source_of(world).status.artifact->revision == revision_of(kSha2));
  REQUIRE(count_events(world, "HistoryRewritten") == 1);
  const auto note = std::find_if(world.events.begin(), world.events.end(), [](const auto& event) {
    return event.reason == "HistoryRewritten";
  });
  CHECK(note->message.find(kSha1) < note->message.find(kSha2));
}

TEST_CASE("Hostile text of a fetch is escaped") {
  World world;
  world.post(failed(world, "FetchHTTP", "line\n\x1b[31mred"));
  const std::string message = condition(world, "Ready").message;
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find('\x1b') == std::string::npos);
}

TEST_CASE("Facts about unknown or suspended sources are ignored") {
  World world;
  SourceObserved fact = seen(world, kSha1);
  fact.source.name = "nobody";
  CHECK(world.post(fact).empty());
  auto source = source_of(world);
  source.spec.suspend = true;
  const Object object = make_object(source);
  world.store.apply({Write::Type::put, object.key(), object, ""});
  CHECK(world.post(seen(world, kSha1)).empty());
  SourceObserved nothing = seen(world, kSha1);
  nothing.revision.clear();
  CHECK(world.post(nothing).empty());
}

// ---- pods -------------------------------------------------------------------------------------

World with_pod() {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.settle();
  return world;
}

PodObserved observed(const World& world, const std::string& phase) {
  const Object pod = world.active_pods().front();
  PodObserved fact;
  fact.pod = pod.key();
  fact.uid = pod.meta().uid;
  fact.status.phase = phase;
  return fact;
}

TEST_CASE("A pod's status is recorded with what the scheduler wrote kept") {
  World world = with_pod();
  world.post(observed(world, "Running"));
  const Pod pod = world.active_pods().front().as<Pod>();
  CHECK(pod.status.phase == "Running");
  CHECK(pod.status.qos_class == "BestEffort");
  const Condition* scheduled = find_condition(pod.status.conditions, "PodScheduled");
  REQUIRE(scheduled != nullptr);
  CHECK(scheduled->status == "True");
  CHECK(world.post(observed(world, "Running")).empty());
}

TEST_CASE("A status of another uid is of another pod") {
  World world = with_pod();
  PodObserved fact = observed(world, "Failed");
  fact.uid = "someone-else";
  CHECK(world.post(fact).empty());
  fact.gone = true;
  CHECK(world.post(fact).empty());
  CHECK(world.active_pods().size() == 1);
}

TEST_CASE("A finished pod never runs again") {
  World world = with_pod();
  const PodObserved late = observed(world, "Running");
  PodObserved end = observed(world, "Failed");
  end.status.reason = "Evicted";
  world.post(end);
  CHECK(world.post(late).empty());
  CHECK(world.all<Pod>().front().status.phase == "Failed");
}

TEST_CASE("A pod that is gone leaves the store") {
  World world = with_pod();
  PodObserved fact = observed(world, "Running");
  fact.gone = true;
  const Plan plan = world.post(fact);
  REQUIRE(plan.writes.size() == 1);
  CHECK(plan.writes[0].type == Write::Type::remove);
  CHECK(world.post(fact).empty());
}

TEST_CASE("A status of a pod that is not recorded is ignored") {
  World world;
  PodObserved fact;
  fact.pod = key_of<Pod>("default", "ghost");
  fact.uid = "x";
  fact.status.phase = "Running";
  CHECK(world.post(fact).empty());
}

// ---- the node ---------------------------------------------------------------------------------

NodeObserved node_fact(const std::string& memory, const std::string& ready,
                       const std::string& time = "2026-01-02T03:04:05Z") {
  return {key_of<Node>("", "node-2"),
          "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"node-2\"},"
          "\"status\":{\"allocatable\":{\"cpu\":\"2\",\"memory\":\"" + memory +
              "\",\"pods\":\"110\"},\"conditions\":[{\"type\":\"Ready\",\"status\":\"" + ready +
              "\",\"lastTransitionTime\":\"" + time + "\"}]}}"};
}

TEST_CASE("A node is recorded with an identity of its own") {
  World world;
  world.post(node_fact("4Gi", "True"));
  const auto node = world.get<Node>("node-2");
  CHECK(node.metadata.uid.size() == 36);
  CHECK(node.metadata.creation_timestamp == world.now);
  CHECK(node.status.allocatable.at("memory").text() == "4Gi");
}

TEST_CASE("A node that says the same writes nothing, whatever its clock says") {
  World world;
  world.post(node_fact("4Gi", "True"));
  CHECK(world.post(node_fact("4Gi", "True", "2027-01-01T00:00:00Z")).empty());
}

TEST_CASE("A node that changed is a status, with its uid kept") {
  World world;
  world.post(node_fact("4Gi", "True"));
  const auto before = world.get<Node>("node-2");
  const Plan plan = world.post(node_fact("2Gi", "False"));
  REQUIRE(plan.writes.size() == 1);
  CHECK(plan.writes[0].type == Write::Type::status);
  const auto after = world.get<Node>("node-2");
  CHECK(after.metadata.uid == before.metadata.uid);
  CHECK(after.status.allocatable.at("memory").text() == "2Gi");
  CHECK(find_condition(after.status.conditions, "Ready")->status == "False");
}

TEST_CASE("A node that cannot be read is an event, not a change") {
  World world;
  const Plan plan = world.post(NodeObserved{key_of<Node>("", "node-2"), "{\"kind\":"});
  CHECK(plan.writes.empty());
  REQUIRE(plan.events.size() == 1);
  CHECK(plan.events[0].reason == "InvalidNode");
}

// ---- drift, operators, packet rules -----------------------------------------------------------

DriftObserved drift_of(const World& world) {
  const Object pod = world.active_pods().front();
  DriftObserved fact;
  fact.record.id = "drift-1";
  fact.record.object = pod.key();
  fact.record.uid = pod.meta().uid;
  fact.record.field = "cgroup.memory.max";
  fact.record.desired = "67108864";
  fact.record.observed = "max";
  fact.record.onset = world.now;
  return fact;
}

TEST_CASE("Drift is recorded and told on the object, as is its correction") {
  World world = with_pod();
  DriftObserved fact = drift_of(world);
  const Plan opened = world.post(fact);
  REQUIRE(opened.drift.size() == 1);
  CHECK(opened.events.at(0).reason == "DriftDetected");
  CHECK(opened.events.at(0).warning);
  CHECK(opened.events.at(0).message == "cgroup.memory.max was max, desired is 67108864");
  fact.record.correction = "written again";
  fact.record.corrected_at = world.now;
  const Plan closed = world.post(fact);
  CHECK(closed.drift.at(0).corrected_at == world.now);
  REQUIRE(closed.events.size() == 1);
  CHECK(closed.events.at(0).reason == "DriftCorrected");
  CHECK(closed.events.at(0).message ==
        "cgroup.memory.max was max, desired is 67108864; written again");
  fact.record.corrected_at = world.now + std::chrono::microseconds(1'234'567);
  CHECK(world.post(fact).events.at(0).message ==
        "cgroup.memory.max was max, desired is 67108864; written again after 1s234ms");
  CHECK_FALSE(closed.events.at(0).warning);
}

TEST_CASE("Drift of an object that is gone is recorded without an event") {
  World world = with_pod();
  DriftObserved fact = drift_of(world);
  fact.record.uid = "older";
  const Plan plan = world.post(fact);
  CHECK(plan.drift.size() == 1);
  CHECK(plan.events.empty());
  fact.record.object = {};
  CHECK(world.post(fact).events.empty());
}

TEST_CASE("What operators do is noted whatever it is") {
  World world;
  for (const char* verb : {"sync", "exec", "image-import", "down"}) {
    INFO(verb);
    const Plan plan = world.post(OperatorActed{verb, "x", 0, "moorctl[7]", "done"});
    REQUIRE(plan.operators.size() == 1);
    CHECK(plan.operators[0].verb == verb);
    CHECK(plan.writes.empty());
  }
}

TEST_CASE("A confirmation that did not go through confirms nothing") {
  World world;
  world.commit("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n");
  world.settle();
  world.commit("", kSha2);
  world.settle();
  CHECK(world.post(OperatorActed{"confirm", "", 0, "moorctl[7]", "denied"}).writes.empty());
  CHECK(world.post(OperatorActed{"confirm", "", 0, "moorctl[7]", "done"}).writes.size() == 1);
}

TEST_CASE("A held unit is meant by its name, its revision or both") {
  World world;
  world.commit("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n");
  world.settle();
  CHECK(list_held(world.store, "").empty());
  world.commit("", kSha2);
  world.settle();
  const auto held = list_held(world.store, "");
  REQUIRE(held.size() == 1);
  const std::string unit = held[0].meta().namespace_name + '/' + held[0].meta().name;
  const std::string revision = held[0].as<Kustomization>().status.last_attempted_revision;
  const std::string sha = kSha2;
  const std::pair<std::string, bool> rows[] = {
      {unit, true},
      {revision, true},
      {sha, true},
      {sha.substr(0, 7), true},
      {unit + ' ' + sha.substr(0, 7), true},
      {unit + ' ' + revision, true},
      {sha.substr(0, 6), false},
      {"main", false},
      {"x/y " + sha, false},
      {unit + " main", false},
  };
  for (const auto& [subject, is_held] : rows) {
    INFO(subject);
    CHECK(list_held(world.store, subject).size() == (is_held ? 1U : 0U));
  }
}

TEST_CASE("Packet rules that fail are told on the node") {
  World world;
  CHECK(world.post(ProxyApplied{7, std::nullopt}).empty());
  const Plan plan = world.post(ProxyApplied{7, Error{Code::internal, "no such table", "", {}, ""}});
  REQUIRE(plan.events.size() == 1);
  CHECK(plan.events[0].object.kind == "Node");
  CHECK(plan.events[0].reason == "ProxyRulesFailed");
}

// ---- events -----------------------------------------------------------------------------------

EventObserved event_fact(const World& world, const std::string& message) {
  return {reference_to(world.active_pods().front()), true, "Unhealthy", message, "moored-agent"};
}

TEST_CASE("An event becomes an object that counts its repetitions") {
  World world = with_pod();
  world.post(event_fact(world, "probe failed"));
  world.now += std::chrono::seconds(30);
  world.post(event_fact(world, "probe failed"));
  world.post(event_fact(world, "another message"));
  std::vector<Event> found;
  for (const Event& event : world.all<Event>()) {
    if (event.reason == "Unhealthy") found.push_back(event);
  }
  REQUIRE(found.size() == 2);
  const Event& twice = found[0].count == 2 ? found[0] : found[1];
  CHECK(twice.count == 2);
  CHECK(twice.type == "Warning");
  CHECK(twice.message == "probe failed");
  CHECK(twice.source.component == "moored-agent");
  CHECK(twice.source.host == "node-1");
  CHECK(twice.first_timestamp == test::start_time());
  CHECK(twice.last_timestamp == test::start_time() + std::chrono::seconds(30));
  CHECK(twice.involved_object.uid == world.active_pods().front().meta().uid);
  CHECK(twice.metadata.name.rfind(twice.involved_object.name + ".", 0) == 0);
}

TEST_CASE("Two equal notes of one plan are one object with the count of two") {
  World world = with_pod();
  const EventObserved fact = event_fact(world, "again");
  const EventNote note{fact.object, true, fact.reason, fact.message, fact.component};
  const auto writes = make_event_writes({note, note}, world.context());
  REQUIRE(writes.size() == 1);
  CHECK(writes[0].object.as<Event>().count == 2);
}

TEST_CASE("A long message is cut between characters") {
  World world = with_pod();
  std::string message;
  while (message.size() < 2000) message += "ä";
  const EventObserved fact = event_fact(world, "x" + message);
  const auto writes = make_event_writes(
      {{fact.object, true, fact.reason, fact.message, fact.component}}, world.context());
  const std::string cut = writes.at(0).object.as<Event>().message;
  CHECK(cut.size() <= 1024);
  CHECK(cut.size() % 2 == 1);
}

TEST_CASE("Events of objects without namespace live in default") {
  World world;
  const auto node = world.store.find(key_of<Node>("", "node-1"));
  const auto writes =
      make_event_writes({{reference_to(*node), false, "Started", "up", "moored"}},
                        world.context());
  CHECK(writes.at(0).key.namespace_name == "default");
}

TEST_CASE("An event is forgotten an hour after it was last seen") {
  World world = with_pod();
  world.post(event_fact(world, "old news"));
  world.settle();
  const auto count = [&] {
    const auto all = world.all<Event>();
    return std::count_if(all.begin(), all.end(),
                         [](const Event& event) { return event.message == "old news"; });
  };
  world.advance(std::chrono::minutes(59));
  CHECK(count() == 1);
  world.post(event_fact(world, "old news"));
  world.settle();
  world.advance(std::chrono::minutes(59));
  CHECK(count() == 1);
  world.advance(std::chrono::minutes(2));
  CHECK(count() == 0);
}

// ---- the start --------------------------------------------------------------------------------

TEST_CASE("Before the first fact there are namespaces and the configured source") {
  World world(false);
  for (const char* name : {"default", "moored-system", "kube-node-lease"}) {
    INFO(name);
    CHECK(world.get<Namespace>(name).status.phase == "Active");
  }
  CHECK(source_of(world).spec.url == "https://git.test/app.git");
  CHECK(world.store.find(key_of<GitRepository>("moored-system", "default"))->provenance() ==
        Provenance{});
}

std::vector<Object> configured(const World& world, const std::string& url) {
  auto source = source_of(world);
  source.spec.url = url;
  source.metadata.uid.clear();
  source.status = {};
  return {make_object(source),
          *world.store.find(key_of<Kustomization>("moored-system", "default"))};
}

TEST_CASE("The same configuration again plans nothing, another one only its change") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.settle();
  CHECK(plan_start(configured(world, "https://git.test/app.git"), world.context()).empty());
  const Plan moved = plan_start(configured(world, "https://git.test/b.git"), world.context());
  REQUIRE(moved.writes.size() == 1);
  const auto& source = moved.writes[0].object.as<GitRepository>();
  CHECK(source.spec.url == "https://git.test/b.git");
  CHECK(source.status.artifact.has_value());
  CHECK(source.metadata.uid == source_of(world).metadata.uid);
}

TEST_CASE("A source that is no longer configured goes, what it applied stays") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.settle();
  const Plan plan = plan_start({}, world.context());
  REQUIRE(plan.writes.size() == 2);
  for (const Write& write : plan.writes) CHECK(write.type == Write::Type::remove);
}

}  // namespace
}  // namespace moored
