// A commit arrives: applied, refused, held, repeated, overtaken.
#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/core/conditions.hpp"
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

std::string map_yaml(const std::string& name, const std::string& value = "1") {
  return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
         ", namespace: default}\ndata: {key: \"" + value + "\"}\n";
}

Kustomization unit_of(const World& world) {
  return world.get<Kustomization>("default", "moored-system");
}

Condition condition(const World& world, const char* type) {
  const auto unit = unit_of(world);
  const Condition* found = find_condition(unit.status.conditions, type);
  return found == nullptr ? Condition{} : *found;
}

std::vector<std::string> steps(const World& world, const std::string& sha) {
  std::vector<std::string> names;
  for (const ReceiptStep& step : world.receipt) {
    if (step.revision == revision_of(sha)) names.push_back(step.step);
  }
  return names;
}

std::vector<std::string> put_keys(const Plan& plan) {
  std::vector<std::string> keys;
  for (const Write& write : plan.writes) {
    if (write.type != Write::Type::status) keys.push_back(write.key.text());
  }
  return keys;
}

TEST_CASE("An applied commit is on the unit's status") {
  World world;
  world.commit(map_yaml("a") + map_yaml("b"));
  world.settle();
  const auto status = unit_of(world).status;
  CHECK(status.last_applied_revision == revision_of(kSha1));
  CHECK(status.last_attempted_revision == revision_of(kSha1));
  REQUIRE(status.inventory);
  REQUIRE(status.inventory->entries.size() == 2);
  CHECK(status.inventory->entries[0].id == "default_a__ConfigMap");
  CHECK(condition(world, "Ready").status == "True");
  CHECK(condition(world, "Ready").reason == "ReconciliationSucceeded");
  CHECK(condition(world, "Ready").message == "Applied revision: " + revision_of(kSha1));
  CHECK(condition(world, "Reconciling").type.empty());
  CHECK(condition(world, "Stalled").type.empty());
}

TEST_CASE("The receipt tells the steps in order") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  CHECK(steps(world, kSha1) == std::vector<std::string>{"seen", "fetched", "rendered",
                                                        "validated", "planned", "committed",
                                                        "ready"});
}

TEST_CASE("A commit of one file touches its own objects only") {
  World world;
  world.commit(map_yaml("a") + map_yaml("b") + map_yaml("c"));
  world.settle();
  const Plan plan = world.commit(map_yaml("a") + map_yaml("b", "2") + map_yaml("c"), kSha2);
  CHECK(put_keys(plan) == std::vector<std::string>{"ConfigMap/default/b"});
}

TEST_CASE("The audit reason names the place") {
  World world;
  const Plan created = world.commit(map_yaml("a"));
  REQUIRE_FALSE(created.writes.empty());
  CHECK(created.writes[0].reason.rfind("declared in app.yaml:", 0) == 0);
  const Plan changed = world.commit(map_yaml("a", "2"), kSha2);
  CHECK(changed.writes[0].reason.find("changed in app.yaml:") != std::string::npos);
  CHECK(changed.writes[0].reason.find("data") == 0);
}

TEST_CASE("A commit that changes no object still moves the revision") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  const auto before = world.get<ConfigMap>("a").metadata.resource_version;
  const Plan plan = world.commit(map_yaml("a"), kSha2);
  CHECK(put_keys(plan).empty());
  CHECK(unit_of(world).status.last_applied_revision == revision_of(kSha2));
  CHECK(world.get<ConfigMap>("a").metadata.resource_version == before);
}

TEST_CASE("The same fact again plans nothing") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  const Plan again = world.post(world.tree(test::read_manifests(map_yaml("a")), kSha1));
  CHECK(again.empty());
}

TEST_CASE("A tree that the source has left behind is ignored") {
  World world;
  world.commit(map_yaml("a"));
  world.commit(map_yaml("a", "2"), kSha2);
  const Plan late = world.post(world.tree(test::read_manifests(map_yaml("a")), kSha1));
  CHECK(late.empty());
  CHECK(world.get<ConfigMap>("a").data.at("key") == "2");
}

TEST_CASE("Trees of unknown, suspended or leaving units are ignored") {
  World world;
  TreeLoaded unknown = world.tree(test::read_manifests(map_yaml("a")), kSha1);
  unknown.unit.name = "nobody";
  CHECK(world.post(unknown).empty());
  TreeLoaded orphan = world.tree(test::read_manifests(map_yaml("a")), kSha1);
  orphan.source.name = "nobody";
  CHECK(world.post(orphan).empty());
  auto unit = unit_of(world);
  unit.spec.suspend = true;
  const Object object = make_object(unit);
  world.store.apply({Write::Type::put, object.key(), object, ""});
  CHECK(put_keys(world.commit(map_yaml("a"))).empty());
}

TreeLoaded refused_tree(const World& world, const std::string& sha, std::size_t errors = 1) {
  TreeLoaded tree = world.tree({}, sha);
  tree.complete = false;
  for (std::size_t n = 0; n < errors; ++n) {
    tree.diagnostics.add_error({Code::invalid, "there is no field replica", "UnknownField",
                                {"web.yaml", static_cast<int>(n) + 7, 3, "spec.replica"},
                                "write replicas"});
  }
  return tree;
}

void name_revision(World& world, const std::string& sha) {
  SourceObserved seen;
  seen.source = key_of<GitRepository>("moored-system", "default");
  seen.revision = revision_of(sha);
  seen.commit.sha = sha;
  seen.seen_at = world.now;
  seen.fetched_at = world.now;
  world.post(seen);
}

TEST_CASE("A refused commit changes nothing and says why") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  name_revision(world, kSha2);
  const Plan plan = world.post(refused_tree(world, kSha2, 2));
  CHECK(put_keys(plan).empty());
  world.settle();
  CHECK(world.get<ConfigMap>("a").data.at("key") == "1");
  const auto status = unit_of(world).status;
  CHECK(status.last_applied_revision == revision_of(kSha1));
  CHECK(status.last_attempted_revision == revision_of(kSha2));
  CHECK(condition(world, "Ready").status == "False");
  CHECK(condition(world, "Ready").reason == "UnknownField");
  CHECK(condition(world, "Ready").message.find("web.yaml:7:3") != std::string::npos);
  CHECK(condition(world, "Ready").message.find("web.yaml:8:3") != std::string::npos);
  CHECK(condition(world, "Stalled").status == "True");
  CHECK(steps(world, kSha2).back() == "refused");
  // The same refusal again is no news.
  CHECK(world.post(refused_tree(world, kSha2, 2)).empty());
}

TEST_CASE("A thousand errors keep the status small and their count visible") {
  World world;
  name_revision(world, kSha1);
  world.post(refused_tree(world, kSha1, 1000));
  const std::string message = condition(world, "Ready").message;
  CHECK(message.find("and 900 more") != std::string::npos);
  CHECK(encode_json(*world.store.find(key_of<Kustomization>("moored-system", "default"))).size() <
        64U << 10U);
}

TEST_CASE("Errors without end are cut in bytes") {
  std::vector<Error> errors;
  for (int n = 0; n < 100; ++n) {
    errors.push_back({Code::invalid, std::string(2000, 'x'), "InvalidValue", {}, ""});
  }
  const std::string text = list_errors(errors, 100);
  CHECK(text.size() < 25U << 10U);
  CHECK(text.find(" more") != std::string::npos);
}

TEST_CASE("A good commit after a refused one clears the refusal") {
  World world;
  name_revision(world, kSha1);
  world.post(refused_tree(world, kSha1));
  world.settle();
  CHECK(condition(world, "Ready").status == "False");
  world.commit(map_yaml("a"), kSha2);
  world.settle();
  CHECK(condition(world, "Ready").status == "True");
  CHECK(condition(world, "Stalled").type.empty());
}

TEST_CASE("Going back to the applied revision after a refusal clears it") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  name_revision(world, kSha2);
  world.post(refused_tree(world, kSha2));
  world.settle();
  const Plan plan = world.commit(map_yaml("a"));
  CHECK(put_keys(plan).empty());
  world.settle();
  CHECK(condition(world, "Ready").status == "True");
  CHECK(unit_of(world).status.last_attempted_revision == revision_of(kSha1));
}

TEST_CASE("Errors found against the recorded state refuse the whole commit") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  const Plan plan = world.commit(map_yaml("a", "2") + "---\napiVersion: v1\nkind: ConfigMap\n"
                                 "metadata: {name: b, namespace: nowhere}\n",
                                 kSha2);
  CHECK(put_keys(plan).empty());
  CHECK(world.get<ConfigMap>("a").data.at("key") == "1");
  CHECK(condition(world, "Ready").reason == "NotFound");
  CHECK(condition(world, "Ready").message.find("metadata.namespace") != std::string::npos);
}

TEST_CASE("Warnings are applied and shown with their place") {
  World world;
  TreeLoaded tree = world.tree(test::read_manifests(map_yaml("a")), kSha1);
  tree.diagnostics.add_warning({Code::invalid, "status is written by moored", "ServerField",
                                {"web.yaml", 4, 1, "status"}, "remove it"});
  name_revision(world, kSha1);
  world.post(tree);
  world.settle();
  CHECK(condition(world, "Ready").status == "True");
  CHECK(condition(world, "Warned").status == "True");
  CHECK(condition(world, "Warned").message.find("web.yaml:4") != std::string::npos);
  world.commit(map_yaml("a"), kSha2);
  world.settle();
  CHECK(condition(world, "Warned").type.empty());
}

// ---- the prune guard --------------------------------------------------------------------------

TEST_CASE("An empty tree deletes nothing and says how to confirm") {
  World world;
  world.commit(map_yaml("a") + map_yaml("b"));
  world.settle();
  const Plan plan = world.commit("", kSha2);
  CHECK(put_keys(plan).empty());
  world.settle();
  CHECK(world.all<ConfigMap>().size() == 2);
  CHECK(condition(world, "Ready").status == "False");
  CHECK(condition(world, "Ready").reason == "PruneGuard");
  CHECK(condition(world, "Ready").message.find("2 of 2 objects") != std::string::npos);
  CHECK(condition(world, "Ready").message.find("moorctl confirm " + revision_of(kSha2)) !=
        std::string::npos);
  CHECK(steps(world, kSha2).back() == "held");
  CHECK(unit_of(world).status.last_applied_revision == revision_of(kSha1));
}

TEST_CASE("A held commit holds its additions too: the commit is the unit") {
  World world;
  std::string many;
  for (int n = 0; n < 20; ++n) many += map_yaml("map-" + std::to_string(n));
  world.commit(many);
  world.settle();
  world.commit(map_yaml("new") + map_yaml("map-0", "2"), kSha2);
  world.settle();
  CHECK(world.all<ConfigMap>().size() == 20);
  CHECK(world.get<ConfigMap>("map-0").data.at("key") == "1");
}

struct ConfirmRow {
  const char* what;
  std::string subject;
  bool meant;
};

TEST_CASE("A confirmation lets the held revision go, and only that") {
  const ConfirmRow rows[] = {
      {"by the revision", revision_of(kSha2), true},
      {"by the commit", kSha2, true},
      {"by a short commit", std::string(kSha2).substr(0, 7), true},
      {"by the unit", "moored-system/default", true},
      {"by unit and revision", "moored-system/default " + revision_of(kSha2), true},
      {"whatever is held", "", true},
      {"another revision", revision_of(kSha1), false},
      {"too short to be sure", "222", false},
      {"another unit", "moored-system/other", false},
  };
  for (const ConfirmRow& row : rows) {
    INFO(row.what);
    World world;
    world.commit(map_yaml("a"));
    world.settle();
    world.commit("", kSha2);
    world.settle();
    const Plan acted = world.post(OperatorActed{"confirm", row.subject, 0, "moorctl[1]", "done"});
    CHECK(acted.operators.size() == 1);
    CHECK(acted.writes.size() == (row.meant ? 1U : 0U));
    world.post(world.tree({}, kSha2));
    world.settle();
    CHECK(world.all<ConfigMap>().size() == (row.meant ? 0U : 1U));
    CHECK(condition(world, "Ready").status == (row.meant ? "True" : "False"));
  }
}

TEST_CASE("A confirmation does not count for a later revision") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  world.commit("", kSha2);
  world.post(OperatorActed{"confirm", "", 0, "moorctl[1]", "done"});
  const std::string third(40, '3');
  world.commit("", third);
  world.settle();
  CHECK(world.all<ConfigMap>().size() == 1);
  CHECK(condition(world, "Ready").reason == "PruneGuard");
}

TEST_CASE("The options can carry a confirmation as well") {
  for (const std::string& text : {revision_of(kSha2), std::string(kSha2)}) {
    World world;
    world.commit(map_yaml("a"));
    world.settle();
    world.options.confirmed_revisions = {text};
    world.commit("", kSha2);
    world.settle();
    CHECK(world.all<ConfigMap>().empty());
  }
}

TEST_CASE("A confirmation of nothing held is only noted") {
  World world;
  world.commit(map_yaml("a"));
  world.settle();
  const Plan plan = world.post(OperatorActed{"confirm", "", 0, "moorctl[1]", "done"});
  CHECK(plan.writes.empty());
  CHECK(plan.operators.size() == 1);
}

// ---- where things belong ----------------------------------------------------------------------

TEST_CASE("Protected namespaces are let go, not removed") {
  World world;
  world.commit("apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {a: b}}\n" +
               map_yaml("a"));
  world.settle();
  CHECK(world.store.find(key_of<Namespace>("", "default"))->provenance().unit ==
        "moored-system/default");
  world.commit(map_yaml("a"), kSha2);
  world.converge();
  const auto space = world.store.find(key_of<Namespace>("", "default"));
  REQUIRE(space);
  CHECK_FALSE(space->meta().deletion_timestamp);
  CHECK(space->provenance().unit.empty());
}

TEST_CASE("A removed namespace takes its objects, pods and itself away") {
  World world;
  std::string app = deployment_yaml("web", 2, "web:1");
  const auto at = app.find("namespace: default");
  app.replace(at, 18, "namespace: shop");
  world.commit("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n" + app +
               map_yaml("keep"));
  world.converge();
  CHECK(world.count_ready("shop") == 2);
  world.commit(map_yaml("keep"), kSha2);
  world.converge();
  CHECK_FALSE(world.store.find(key_of<Namespace>("", "shop")));
  for (const auto& [key, object] : world.store.all()) {
    INFO(key.text());
    CHECK(key.namespace_name != "shop");
  }
}

TEST_CASE("A removed unit takes its objects along") {
  World world;
  world.commit(map_yaml("keep") + R"(---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: moored-system}
spec: {interval: 1m, path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: default}}
)");
  TreeLoaded apps = world.tree(test::read_manifests(map_yaml("mine")), kSha1);
  apps.unit = key_of<Kustomization>("moored-system", "apps");
  world.post(apps);
  world.settle();
  CHECK(world.all<ConfigMap>().size() == 2);
  world.commit(map_yaml("keep"), kSha2);
  world.settle();
  CHECK(world.all<ConfigMap>().size() == 1);
  CHECK_FALSE(world.store.find(key_of<Kustomization>("moored-system", "apps")));
}

TEST_CASE("A pod written in Git is deleted with its grace") {
  World world;
  world.commit("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default}\n"
               "spec: {terminationGracePeriodSeconds: 5, containers: [{name: c, image: \"i:1\"}]}\n" +
               map_yaml("a"));
  world.converge();
  world.commit(map_yaml("a"), kSha2);
  world.settle();
  const auto pod = world.get<Pod>("p");
  REQUIRE(pod.metadata.deletion_timestamp);
  CHECK(*pod.metadata.deletion_timestamp == world.now + std::chrono::seconds(5));
  CHECK(pod.metadata.deletion_grace_period_seconds == 5);
  world.converge();
  CHECK_FALSE(world.store.find(key_of<Pod>("default", "p")));
}

}  // namespace
}  // namespace moored
