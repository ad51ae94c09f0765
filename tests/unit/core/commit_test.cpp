// What a commit would change: plan_commit and its two renderings.
#include "reconciler/diff/commit.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "reconciler/diff/inventory.hpp"
#include "reconciler/diff/memo.hpp"
#include "reconciler/diff/merge.hpp"
#include "reconciler/diff/ownership.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "tests/world/world.hpp"

namespace moored {
namespace {

using test::World;
using test::deployment_yaml;
using test::kSha1;
using test::kSha2;
using test::read_manifests;

using Verb = ObjectChange::Verb;

std::string map_yaml(const std::string& name, const std::string& value = "1",
                     const std::string& space = "default", const std::string& more = {}) {
  return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " +
         space + "}\n" + more + "data: {key: \"" + value + "\"}\n";
}

std::string namespace_yaml(const std::string& name) {
  return "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n";
}

std::string maps_yaml(int count) {
  std::string text;
  for (int n = 0; n < count; ++n) text += map_yaml("map-" + std::to_string(n));
  return text;
}

CommitPlan plan(const World& world, const std::string& yaml, bool confirmed = false,
                PruneBudget budget = {}) {
  return plan_commit(world.tree(read_manifests(yaml), kSha2), world.store, budget, confirmed);
}

std::vector<std::string> verbs(const CommitPlan& commit) {
  std::vector<std::string> text;
  for (const ObjectChange& change : commit.changes) {
    const char* names[] = {"create ", "update ", "delete "};
    text.push_back(names[static_cast<int>(change.verb)] + change.key.text());
  }
  return text;
}

TEST_CASE("A first commit creates everything, with its place") {
  World world;
  const CommitPlan commit = plan(world, map_yaml("a") + deployment_yaml("web", 1, "web:1").insert(
                                                            0, "---\n"));
  CHECK(verbs(commit) == std::vector<std::string>{"create ConfigMap/default/a",
                                                  "create Deployment/default/web"});
  CHECK(commit.diagnostics.ok());
  CHECK_FALSE(commit.held);
  CHECK(commit.unit == "moored-system/default");
  const Provenance& from = commit.changes[1].provenance;
  CHECK(from.source == "moored-system/default");
  CHECK(from.unit == "moored-system/default");
  CHECK(from.revision == test::revision_of(kSha2));
  CHECK(from.file == "app.yaml");
  CHECK(from.line > 1);
  CHECK(commit.inventory->entries.size() == 2);
}

TEST_CASE("The same tree again changes nothing, wherever its files lie") {
  World world;
  const std::string yaml = map_yaml("a") + "---\n" + deployment_yaml("web", 2, "web:1");
  world.commit(yaml);
  world.converge();
  const auto moved = read_manifests(yaml, "other/place.yaml");
  const CommitPlan commit = plan_commit(world.tree(moved, kSha2), world.store, {}, false);
  CHECK(commit.changes.empty());
  CHECK(commit.unchanged == 2);
}

TEST_CASE("A change names its field, before and after") {
  World world;
  world.commit(map_yaml("a") + "---\n" + deployment_yaml("web", 2, "web:1"));
  world.converge();
  const CommitPlan commit = plan(world, map_yaml("a") + "---\n" +
                                            deployment_yaml("web", 3, "web:2"));
  REQUIRE(commit.changes.size() == 1);
  const ObjectChange& change = commit.changes[0];
  CHECK(change.verb == Verb::update);
  CHECK(commit.unchanged == 1);
  std::vector<std::string> paths;
  for (const FieldChange& field : change.changes) paths.push_back(field.path);
  CHECK(std::count(paths.begin(), paths.end(), "spec.replicas") == 1);
  CHECK(paths.size() == 2);
  CHECK(change.after.meta().uid == change.before.meta().uid);
  CHECK(change.after.as<Deployment>().status == change.before.as<Deployment>().status);
}

TEST_CASE("What moored wrote on an object does not count as a change") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1") + R"(---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
)");
  world.converge();
  REQUIRE_FALSE(world.get<Service>("web").spec.cluster_ip.empty());
  REQUIRE(world.get<Deployment>("web").metadata.annotations.size() == 1);
  const CommitPlan commit = plan(world, deployment_yaml("web", 1, "web:1") + R"(---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
)");
  CHECK(verbs(commit).empty());
}

TEST_CASE("An allocated address stays when the Service changes") {
  World world;
  const std::string head = "apiVersion: v1\nkind: Service\n"
                           "metadata: {name: web, namespace: default}\n";
  world.commit(head + "spec: {selector: {app: web}, ports: [{port: 80}]}\n");
  world.converge();
  const std::string address = world.get<Service>("web").spec.cluster_ip;
  world.commit(head + "spec: {selector: {app: web}, ports: [{port: 81}]}\n", kSha2);
  world.converge();
  CHECK(world.get<Service>("web").spec.cluster_ip == address);
  CHECK(world.get<Service>("web").spec.ports.at(0).port == 81);
}

TEST_CASE("Two Services may not ask for one address") {
  World world;
  const auto service = [](const std::string& name) {
    return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
           ", namespace: default}\nspec: {clusterIP: 10.210.0.99, ports: [{port: 80}]}\n";
  };
  const CommitPlan both = plan(world, service("a") + service("b"));
  REQUIRE(both.diagnostics.error_count() == 1);
  CHECK(both.diagnostics.errors()[0].reason == "InvalidValue");
  CHECK(both.diagnostics.errors()[0].place.field == "spec.clusterIP");
  world.commit(service("a"));
  world.converge();
  CHECK(plan(world, service("a")).diagnostics.ok());
  CHECK_FALSE(plan(world, service("a") + service("b")).diagnostics.ok());
}

TEST_CASE("What left the tree is deleted, namespaces last") {
  World world;
  world.commit(namespace_yaml("shop") + map_yaml("in-shop", "1", "shop") + map_yaml("a"));
  world.converge();
  const CommitPlan commit = plan(world, map_yaml("a"));
  CHECK(verbs(commit) == std::vector<std::string>{"delete ConfigMap/shop/in-shop",
                                                  "delete Namespace/shop"});
  CHECK(commit.deletions == 2);
  CHECK(commit.inventory_before == 3);
  CHECK_FALSE(commit.held);
}

TEST_CASE("Without prune nothing is deleted") {
  World world;
  world.commit(map_yaml("a") + map_yaml("b"));
  auto unit = world.get<Kustomization>("default", "moored-system");
  unit.spec.prune = false;
  const Object object = make_object(unit);
  world.store.apply({Write::Type::put, object.key(), object, ""});
  const CommitPlan commit = plan(world, map_yaml("a"));
  CHECK(commit.changes.empty());
  CHECK(commit.inventory->entries.size() == 1);
}

struct BudgetRow {
  const char* what;
  int before;
  int after;
  bool confirmed;
  bool held;
};

TEST_CASE("The budget of deletions") {
  const BudgetRow rows[] = {
      {"an empty tree removes nothing", 1, 0, false, true},
      {"unless it was confirmed", 1, 0, true, false},
      {"nothing there, nothing gone", 0, 0, false, false},
      {"few deletions pass, whatever their share", 11, 1, false, false},
      {"more than ten and more than half are held", 13, 2, false, true},
      {"more than ten, confirmed", 13, 2, true, false},
      {"more than ten but not more than half", 24, 12, false, false},
      {"one more than half", 25, 12, false, true},
      {"nothing is deleted", 20, 20, false, false},
      {"more objects", 5, 20, false, false},
  };
  for (const BudgetRow& row : rows) {
    INFO(row.what);
    World world;
    if (row.before > 0) world.commit(maps_yaml(row.before));
    const CommitPlan commit = plan(world, maps_yaml(row.after), row.confirmed);
    CHECK(commit.held == row.held);
    CHECK(commit.deletions == static_cast<std::size_t>(std::max(row.before - row.after, 0)));
  }
}

TEST_CASE("A budget can be set otherwise") {
  World world;
  world.commit(maps_yaml(4));
  CHECK(plan(world, maps_yaml(1), false, {0, 0.5}).held);
  CHECK_FALSE(plan(world, maps_yaml(2), false, {0, 0.5}).held);
  CHECK_FALSE(plan(world, maps_yaml(1), false, {3, 0.5}).held);
}

std::string pod_yaml(const std::string& image, const std::string& label = "one") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: solo, namespace: default, labels: {a: " +
         label + "}}\nspec:\n  containers: [{name: main, image: \"" + image + "\"}]\n";
}

TEST_CASE("A bound Pod stays on its node and is no change by itself") {
  World world;
  world.commit(pod_yaml("web:1"));
  world.converge();
  REQUIRE_FALSE(world.get<Pod>("solo").spec.node_name.empty());
  CHECK(plan(world, pod_yaml("web:1")).changes.empty());
  const CommitPlan commit = plan(world, pod_yaml("web:1", "two"));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].changes.size() == 1);
  CHECK(commit.changes[0].after.as<Pod>().spec.node_name == world.get<Pod>("solo").spec.node_name);
}

struct RefusalRow {
  const char* what;
  std::string recorded;
  std::string declared;
  const char* reason;
  const char* field;
};

TEST_CASE("What cannot be applied is refused with reason and place") {
  const std::string sealed = "immutable: true\n";
  const RefusalRow rows[] = {
      {"an undeclared namespace", map_yaml("a"), map_yaml("b", "1", "nowhere"), "NotFound",
       "metadata.namespace"},
      {"a namespace that this commit removes", namespace_yaml("shop") + map_yaml("a"),
       map_yaml("a") + map_yaml("b", "1", "shop"), "NotFound", "metadata.namespace"},
      {"another selector", deployment_yaml("web", 1, "web:1"),
       "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: default}\n"
       "spec:\n  selector: {matchLabels: {app: other}}\n  template:\n"
       "    metadata: {labels: {app: other}}\n    spec:\n"
       "      containers: [{name: web, image: \"web:1\"}]\n",
       "Immutable", "spec.selector"},
      {"an immutable ConfigMap", map_yaml("a", "1", "default", sealed),
       map_yaml("a", "2", "default", sealed), "Immutable", "data"},
      {"another spec of a Pod", pod_yaml("web:1"), pod_yaml("web:2"), "Immutable",
       "spec.containers[name=main].image"},
      {"no longer immutable", map_yaml("a", "1", "default", sealed), map_yaml("a"), "Immutable",
       "immutable"},
  };
  for (const RefusalRow& row : rows) {
    INFO(row.what);
    World world;
    world.commit(row.recorded);
    world.converge();
    const CommitPlan commit = plan(world, row.declared);
    REQUIRE(commit.diagnostics.error_count() >= 1);
    const Error& error = commit.diagnostics.errors()[0];
    CHECK(error.reason == row.reason);
    CHECK(error.place.file == "app.yaml");
    CHECK(error.place.line >= 1);
    CHECK(error.place.field.rfind(row.field, 0) == 0);
    CHECK_FALSE(error.fix.empty());
  }
}

TEST_CASE("A namespace of the same commit is as good as a recorded one") {
  World world;
  CHECK(plan(world, namespace_yaml("shop") + map_yaml("a", "1", "shop")).diagnostics.ok());
  CHECK(plan(world, map_yaml("a", "1", "shop") + namespace_yaml("shop")).diagnostics.ok());
}

TEST_CASE("Into a namespace that is being removed nothing is put") {
  World world;
  world.commit(namespace_yaml("shop") + map_yaml("a", "1", "shop") + map_yaml("b"));
  auto space = world.get<Namespace>("shop");
  space.metadata.deletion_timestamp = world.now;
  const Object object = make_object(space, {"s", "moored-system/default", "", "", 0});
  world.store.apply({Write::Type::put, object.key(), object, ""});
  const CommitPlan commit = plan(world, namespace_yaml("shop") + map_yaml("a", "2", "shop"));
  REQUIRE_FALSE(commit.diagnostics.ok());
  CHECK(commit.diagnostics.errors()[0].reason == "NamespaceTerminating");
}

TEST_CASE("What is on its way out is not taken back, but made again once it is gone") {
  World world;
  world.commit(pod_yaml("web:1"));
  world.converge();
  auto pod = world.get<Pod>("solo");
  pod.metadata.deletion_timestamp = world.now;
  const Object leaving = make_object(pod, {"s", "moored-system/default", "", "", 0});
  world.store.apply({Write::Type::put, leaving.key(), leaving, ""});
  const CommitPlan early = plan(world, pod_yaml("web:1"));
  REQUIRE_FALSE(early.diagnostics.ok());
  CHECK(early.diagnostics.errors()[0].reason == "Terminating");
  world.store.apply({Write::Type::remove, leaving.key(), {}, ""});
  const CommitPlan late = plan(world, pod_yaml("web:1"));
  CHECK(late.diagnostics.ok());
  REQUIRE(late.changes.size() == 1);
  CHECK(late.changes[0].verb == ObjectChange::Verb::create);
}

TEST_CASE("One object twice in a tree is refused") {
  World world;
  const CommitPlan commit = plan(world, map_yaml("a") + map_yaml("a", "2"));
  REQUIRE_FALSE(commit.diagnostics.ok());
  CHECK(commit.diagnostics.errors()[0].reason == "DuplicateObject");
}

// ---- ownership --------------------------------------------------------------------------------

// A second unit that holds the given objects.
void add_unit(World& world, const std::string& name, const std::vector<Object>& held) {
  Kustomization unit;
  unit.metadata.name = name;
  unit.metadata.namespace_name = "moored-system";
  unit.spec.prune = true;
  unit.status.inventory = Inventory{};
  for (const Object& object : held) {
    unit.status.inventory->entries.push_back(make_inventory_entry(object.key()));
    const Object owned = object.with_provenance({"s", "moored-system/" + name, "r", "f", 1});
    world.store.apply({Write::Type::put, owned.key(), owned, ""});
  }
  const Object object = make_object(unit);
  world.store.apply({Write::Type::put, object.key(), object, ""});
}

TEST_CASE("An object of another unit is not taken") {
  World world;
  add_unit(world, "other", read_manifests(map_yaml("a")));
  const CommitPlan commit = plan(world, map_yaml("a", "2"));
  REQUIRE_FALSE(commit.diagnostics.ok());
  CHECK(commit.diagnostics.errors()[0].reason == "OwnershipConflict");
  CHECK(commit.diagnostics.errors()[0].message.find("moored-system/other") != std::string::npos);
}

TEST_CASE("An object that its unit let go may be taken over") {
  World world;
  add_unit(world, "other", {});
  const Object loose =
      read_manifests(map_yaml("a"))[0].with_provenance({"s", "moored-system/other", "r", "f", 1});
  world.store.apply({Write::Type::put, loose.key(), loose, ""});
  const CommitPlan commit = plan(world, map_yaml("a"));
  CHECK(commit.diagnostics.ok());
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].changes.at(0).path == "unit");
}

TEST_CASE("An object of a unit that is gone may be taken over") {
  World world;
  const Object loose =
      read_manifests(map_yaml("a"))[0].with_provenance({"s", "moored-system/gone", "r", "f", 1});
  world.store.apply({Write::Type::put, loose.key(), loose, ""});
  CHECK(plan(world, map_yaml("a")).diagnostics.ok());
}

TEST_CASE("What moored made is not overwritten, its namespaces may be described") {
  World world;
  const CommitPlan source = plan(world, R"(
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: default, namespace: moored-system}
spec: {url: "https://evil.test/x.git", interval: 10s}
)");
  REQUIRE_FALSE(source.diagnostics.ok());
  CHECK(source.diagnostics.errors()[0].reason == "OwnershipConflict");
  const CommitPlan space = plan(world, namespace_yaml("default"));
  CHECK(space.diagnostics.ok());
  CHECK(verbs(space) == std::vector<std::string>{"update Namespace/default"});
}

TEST_CASE("A namespace with objects of another unit is not removed") {
  World world;
  world.commit(namespace_yaml("shop") + map_yaml("a"));
  world.converge();
  add_unit(world, "other", read_manifests(map_yaml("theirs", "1", "shop")));
  const CommitPlan commit = plan(world, map_yaml("a"));
  REQUIRE_FALSE(commit.diagnostics.ok());
  CHECK(commit.diagnostics.errors()[0].reason == "OwnershipConflict");
  CHECK(commit.diagnostics.errors()[0].message.find("theirs") != std::string::npos);
}

TEST_CASE("A removed unit counts with all it holds") {
  World world;
  std::string unit = R"(---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: default}
spec: {interval: 1m, path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: default}}
)";
  world.commit(map_yaml("a") + unit);
  auto apps = world.get<Kustomization>("apps", "default");
  apps.status.inventory = Inventory{};
  for (int n = 0; n < 30; ++n) {
    apps.status.inventory->entries.push_back(
        make_inventory_entry(key_of<ConfigMap>("default", "m" + std::to_string(n))));
  }
  const auto recorded = world.store.find(key_of<Kustomization>("default", "apps"));
  const Object object = make_object(apps, recorded->provenance());
  world.store.apply({Write::Type::put, object.key(), object, ""});
  const CommitPlan commit = plan(world, map_yaml("a"));
  CHECK(commit.deletions == 31);
  CHECK(commit.held);
}

// ---- trees that cannot be judged --------------------------------------------------------------

TEST_CASE("A refused tree keeps its errors and plans nothing") {
  World world;
  world.commit(map_yaml("a"));
  TreeLoaded tree = world.tree({}, kSha2);
  tree.complete = false;
  tree.diagnostics.add_error({Code::invalid, "unknown field", "UnknownField",
                              {"app.yaml", 3, 5, "spec.x"}, "remove it"});
  const CommitPlan commit = plan_commit(tree, world.store, {}, true);
  CHECK(commit.changes.empty());
  CHECK(commit.diagnostics.errors().at(0).reason == "UnknownField");
}

TEST_CASE("An incomplete tree without a word is refused all the same") {
  World world;
  world.commit(map_yaml("a"));
  TreeLoaded tree = world.tree({}, kSha2);
  tree.complete = false;
  const CommitPlan commit = plan_commit(tree, world.store, {}, true);
  CHECK(commit.changes.empty());
  CHECK(commit.diagnostics.errors().at(0).reason == "TreeIncomplete");
}

// ---- renderings -------------------------------------------------------------------------------

TEST_CASE("A plan as a value tree") {
  World world;
  world.commit(map_yaml("a") + map_yaml("b"));
  const Value value = to_value(plan(world, map_yaml("a", "2") + map_yaml("c")));
  CHECK(value.find("unit")->scalar == "moored-system/default");
  CHECK(value.find("held")->scalar == "false");
  const Value* summary = value.find("summary");
  CHECK(summary->find("create")->scalar == "1");
  CHECK(summary->find("update")->scalar == "1");
  CHECK(summary->find("delete")->scalar == "1");
  CHECK(summary->find("unchanged")->scalar == "0");
  const auto& changes = value.find("changes")->items;
  REQUIRE(changes.size() == 3);
  CHECK(changes[0].find("verb")->scalar == "update");
  CHECK(changes[0].find("object")->scalar == "ConfigMap/default/a");
  CHECK(changes[0].find("file")->scalar == "app.yaml");
  REQUIRE(changes[0].find("changes")->items.size() == 1);
  CHECK(changes[0].find("changes")->items[0].find("path")->scalar.find("data") == 0);
  CHECK(changes[2].find("verb")->scalar == "delete");
  CHECK(read_json(write_json(value)));
}

TEST_CASE("A plan as Markdown") {
  World world;
  world.commit(map_yaml("a") + map_yaml("b"));
  const std::string text = to_markdown(plan(world, map_yaml("a", "2") + map_yaml("c")));
  CHECK(text.find("1 to create, 1 to update, 1 to delete, 0 unchanged") != std::string::npos);
  CHECK(text.find("- update `ConfigMap/default/a` (app.yaml:") != std::string::npos);
  CHECK(text.find("- delete `ConfigMap/default/b`") != std::string::npos);
  CHECK(text.find(" → ") != std::string::npos);
}

TEST_CASE("Held and refused plans say so") {
  World world;
  world.commit(maps_yaml(3));
  CHECK(to_markdown(plan(world, "")).find("Held") != std::string::npos);
  CHECK(to_value(plan(world, "")).find("held")->scalar == "true");
  const CommitPlan refused = plan(world, map_yaml("x", "1", "nowhere"));
  CHECK(to_markdown(refused).find("Refused: 1 error(s)") != std::string::npos);
  CHECK(to_markdown(refused).find("NotFound") != std::string::npos);
  REQUIRE(to_value(refused).find("errors")->items.size() == 1);
  CHECK(to_value(refused).find("errors")->items[0].find("reason")->scalar == "NotFound");
}

TEST_CASE("Foreign text cannot break out of the Markdown") {
  World world;
  world.commit(map_yaml("a"));
  const std::string text = to_markdown(plan(world, map_yaml("a", "x`\\n# heading")));
  CHECK(text.find("\n# heading") == std::string::npos);
  std::size_t quotes = static_cast<std::size_t>(std::count(text.begin(), text.end(), '`'));
  CHECK(quotes % 2 == 0);
}

TEST_CASE("Secret values are not in a plan") {
  World world;
  const auto secret = [](const std::string& value) {
    return "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: default}\n"
           "stringData: {password: " + value + "}\n";
  };
  world.commit(secret("hunter2"));
  const CommitPlan commit = plan(world, secret("correct-horse"));
  REQUIRE(commit.changes.size() == 1);
  const std::string all = to_markdown(commit) + write_json(to_value(commit));
  CHECK(all.find("hunter2") == std::string::npos);
  CHECK(all.find("correct-horse") == std::string::npos);
  CHECK(all.find("aHVudGVyMg") == std::string::npos);
}

// ---- merge ------------------------------------------------------------------------------------

TEST_CASE("Merging keeps identity, own annotations and status, and drops foreign ones") {
  World world;
  world.commit(deployment_yaml("web", 1, "web:1"));
  world.converge();
  const Object recorded = with_meta(
      *world.store.find(key_of<Deployment>("default", "web")), [](ObjectMeta& meta) {
        meta.annotations["team"] = "shop";
        meta.finalizers = {"moored.dev/x"};
      });
  const Object declared = read_manifests(deployment_yaml("web", 5, "web:1"))[0];
  const auto merged = make_merged(declared, recorded);
  REQUIRE(merged);
  CHECK(merged->meta().uid == recorded.meta().uid);
  CHECK(merged->meta().creation_timestamp == recorded.meta().creation_timestamp);
  CHECK(merged->meta().finalizers == recorded.meta().finalizers);
  CHECK(merged->meta().annotations.count("deployment.kubernetes.io/revision") == 1);
  CHECK(merged->meta().annotations.count("team") == 0);
  CHECK(merged->as<Deployment>().spec.replicas == 5);
  CHECK(merged->as<Deployment>().status.ready_replicas == 1);
}

TEST_CASE("Protected namespaces and unit names") {
  CHECK(is_protected_namespace("default"));
  CHECK(is_protected_namespace("moored-system"));
  CHECK(is_protected_namespace("kube-node-lease"));
  CHECK_FALSE(is_protected_namespace("shop"));
  CHECK(find_unit_key("a/b")->text() == "Kustomization/a/b");
  CHECK_FALSE(find_unit_key(""));
  CHECK_FALSE(find_unit_key("plain"));
}

TEST_CASE("What was compared before is answered alike, and only while both sides are the same") {
  World world;
  const std::string yaml = map_yaml("a") + map_yaml("b") + "---\n" +
                           deployment_yaml("web", 2, "web:1");
  world.commit(yaml);
  world.converge();
  ComparisonMemo memo;
  memo.follow({}, world.store.resource_version());
  const TreeLoaded tree = world.tree(read_manifests(yaml), kSha2);
  for (int turn = 0; turn < 2; ++turn) {
    const CommitPlan commit = plan_commit(tree, world.store, {}, false, &memo);
    CHECK(commit.changes.empty());
    CHECK(commit.unchanged == 3);
    CHECK(memo.size() == 3);
  }
  // Another declared value, and the same one against something else that is recorded.
  const auto other = read_manifests(map_yaml("a", "2") + map_yaml("b"));
  TreeLoaded edited = tree;
  edited.objects[0] = other[0];
  CHECK(verbs(plan_commit(edited, world.store, {}, false, &memo)) ==
        std::vector<std::string>{"update ConfigMap/default/a"});
  world.commit(map_yaml("a", "2") + map_yaml("b") + "---\n" + deployment_yaml("web", 2, "web:1"));
  CHECK(verbs(plan_commit(tree, world.store, {}, false, &memo)) ==
        std::vector<std::string>{"update ConfigMap/default/a"});
}

TEST_CASE("What is recorded is looked up again only where something was recorded since") {
  World world;
  const std::string yaml = map_yaml("a") + map_yaml("b");
  world.commit(yaml);
  world.converge();
  const TreeLoaded tree = world.tree(read_manifests(yaml), kSha2);
  const std::string unit = "moored-system/default";
  const std::int64_t version = world.store.resource_version();
  ComparisonMemo memo;
  memo.follow({}, version);
  CHECK_FALSE(memo.is_satisfied(tree.objects[0], unit, version));
  CHECK(plan_commit(tree, world.store, {}, false, &memo).unchanged == 2);
  CHECK(memo.is_satisfied(tree.objects[0], unit, version));
  CHECK(memo.is_satisfied(tree.objects[1], unit, version));
  CHECK_FALSE(memo.is_satisfied(tree.objects[0], "moored-system/other", version));
  CHECK_FALSE(memo.is_satisfied(tree.objects[0], unit, version + 1));

  const auto before = world.store.find(tree.objects[0].key());
  auto edited = before->as<ConfigMap>();
  edited.data["key"] = "edited";
  const Change change{Change::Type::modified, version + 1,
                      make_object(edited, before->provenance()), before};
  SECTION("a change that may come") {
    memo.look_ahead({&change, 1}, version + 1);
    CHECK_FALSE(memo.is_satisfied(tree.objects[0], unit, version + 1));
    CHECK(memo.is_satisfied(tree.objects[1], unit, version + 1));
    CHECK(memo.is_satisfied(tree.objects[0], unit, version));  // it did not come
    // What is found there is noted only if it is what was there before.
    const auto again = read_manifests(yaml);
    memo.note_satisfied(again[0], change.object, version + 1);
    CHECK_FALSE(memo.is_satisfied(again[0], unit, version));
    CHECK_FALSE(memo.is_satisfied(again[0], unit, version + 1));
    memo.note_satisfied(again[1], *world.store.find(again[1].key()), version + 1);
    CHECK(memo.is_satisfied(again[1], unit, version + 1));
  }
  SECTION("a change that came") {
    memo.follow({&change, 1}, version + 1);
    CHECK_FALSE(memo.is_satisfied(tree.objects[0], unit, version + 1));
    CHECK(memo.is_satisfied(tree.objects[1], unit, version + 1));
    world.store.apply({Write::Type::put, change.object.key(), change.object, ""});
    REQUIRE(world.store.resource_version() == version + 1);
    CHECK(verbs(plan_commit(tree, world.store, {}, false, &memo)) ==
          std::vector<std::string>{"update ConfigMap/default/a"});
  }
  SECTION("a change that nobody told") {
    memo.follow({}, version + 1);
    CHECK_FALSE(memo.is_satisfied(tree.objects[0], unit, version + 1));
    CHECK_FALSE(memo.is_satisfied(tree.objects[1], unit, version + 1));
    CHECK(plan_commit(tree, world.store, {}, false, &memo).unchanged == 2);
  }
  SECTION("another value that means the same takes its place") {
    const auto again = read_manifests(yaml);
    memo.note_satisfied(again[0], *before, version);
    CHECK(memo.is_satisfied(again[0], unit, version));
    CHECK_FALSE(memo.is_satisfied(tree.objects[0], unit, version));
    memo.follow({&change, 1}, version + 1);
    CHECK_FALSE(memo.is_satisfied(again[0], unit, version + 1));
  }
}

TEST_CASE("The names of a tree are taken from the last one only while they are the same") {
  const auto objects = read_manifests(map_yaml("a") + map_yaml("b"));
  const auto names = std::make_shared<const DeclaredNames>();
  ComparisonMemo memo;
  CHECK(memo.find_names("s/u", objects) == nullptr);
  memo.note_names("s/u", objects, names);
  CHECK(memo.find_names("s/u", objects) == names);
  CHECK(memo.find_names("s/other", objects) == nullptr);
  CHECK(memo.find_names("s/u", read_manifests(map_yaml("a", "2") + map_yaml("b"))) == names);
  CHECK(memo.find_names("s/u", read_manifests(map_yaml("a"))) == nullptr);
  CHECK(memo.find_names("s/u", read_manifests(map_yaml("b") + map_yaml("a"))) == nullptr);
  CHECK(memo.find_names("s/u", read_manifests(map_yaml("a") + map_yaml("c"))) == nullptr);
  Kustomization unit;
  unit.metadata.namespace_name = "s";
  unit.metadata.name = "u";
  const Change gone{Change::Type::deleted, 1, make_object(unit), make_object(unit)};
  memo.follow({&gone, 1}, 1);
  CHECK(memo.find_names("s/u", objects) == nullptr);
}

TEST_CASE("Pairs stay as long as the trees of all units declare as many") {
  const auto pairs = [](std::size_t count) {
    std::string yaml;
    for (std::size_t i = 0; i < count; ++i) yaml += map_yaml("m" + std::to_string(i));
    return read_manifests(yaml);
  };
  const auto large = pairs(1'500);
  ComparisonMemo memo;
  memo.follow({}, 0);
  for (const Object& object : large) memo.note_satisfied(object, object, 0);
  memo.note_names("s/large", large, std::make_shared<const DeclaredNames>());
  memo.note_names("s/small", pairs(1), std::make_shared<const DeclaredNames>());
  memo.trim();
  CHECK(memo.size() == 1'500);
  memo.note_names("s/large", pairs(2), std::make_shared<const DeclaredNames>());
  memo.trim();
  CHECK(memo.size() == 0);
}

TEST_CASE("A manifest that asks for nothing new is found so without merging") {
  World world;
  const auto annotated = [](const std::string& annotations) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default, "
           "annotations: {" + annotations + "}}\ndata: {key: x}\n";
  };
  world.commit(annotated("one: '1', two: '2'"));
  world.converge();
  CHECK(plan(world, annotated("one: '1', two: '2'")).unchanged == 1);
  for (const char* other : {"one: '1'", "one: '1', two: '3'", "one: '1', two: '2', three: '3'", ""}) {
    INFO(other);
    CHECK(verbs(plan(world, annotated(other))) ==
          std::vector<std::string>{"update ConfigMap/default/a"});
  }
}

}  // namespace
}  // namespace moored
