// Status, receipts, history and drift as docs/api.md shows them.
#include "reconciler/loop/reports.hpp"

#include <catch2/catch.hpp>

#include "reconciler/loop/receipts.hpp"
#include "schema/codec/text.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

const std::string kSha = "4f1c00000000000000000000000000000000aaaa";
const std::string kRevision = "main@sha1:" + kSha;

std::string text(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value == nullptr ? "(absent)" : value->scalar;
}

Condition condition(const std::string& type, const std::string& status, const std::string& reason) {
  Condition out;
  out.type = type;
  out.status = status;
  out.reason = reason;
  out.message = reason + " it is";
  return out;
}

GitRepository make_source(const std::string& url) {
  GitRepository source;
  source.metadata.name = "default";
  source.metadata.namespace_name = "moored-system";
  source.spec.url = url;
  source.status.artifact = SourceArtifact{kRevision, at(5).wall};
  source.status.conditions.push_back(condition("Ready", "True", "Succeeded"));
  return source;
}

Kustomization make_unit(const std::string& ready) {
  Kustomization unit;
  unit.metadata.name = "default";
  unit.metadata.namespace_name = "moored-system";
  unit.spec.path = "./deploy";
  unit.spec.source_ref.kind = "GitRepository";
  unit.spec.source_ref.name = "default";
  unit.status.last_applied_revision = kRevision;
  unit.status.last_attempted_revision = kRevision;
  unit.status.inventory = Inventory{{{"default_web_apps_Deployment", "v1"}}};
  unit.status.conditions.push_back(condition("Ready", ready, "Whatever"));
  return unit;
}

Provenance in_default_unit() {
  return {"moored-system/default", "moored-system/default", kRevision, "deploy/web.yaml", 3};
}

// A Deployment of one pod that is (or is not) what it should be.
Deployment make_web(bool complete) {
  auto web = make_deployment("web", 1);
  web.metadata.generation = 1;
  web.status.observed_generation = 1;
  web.status.replicas = 1;
  web.status.updated_replicas = 1;
  web.status.ready_replicas = complete ? 1 : 0;
  web.status.available_replicas = complete ? 1 : 0;
  return web;
}

// The set of a Deployment's template, as the controller makes it.
ReplicaSet make_set(const Object& deployment) {
  ReplicaSet set;
  set.metadata.name = "web-1";
  set.metadata.namespace_name = "default";
  set.metadata.owner_references.push_back(controller_reference(deployment));
  set.metadata.labels["pod-template-hash"] = "1";
  set.spec.replicas = 1;
  set.spec.selector = deployment.as<Deployment>().spec.selector;
  set.spec.pod_template = deployment.as<Deployment>().spec.pod_template;
  set.spec.pod_template.metadata.labels["pod-template-hash"] = "1";
  return set;
}

TEST_CASE("status of a store without anything is ready and empty") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  const auto status = StoreReports(*store).read_status();
  REQUIRE(status.has_value());
  REQUIRE(text(*status, "ready") == "true");
  REQUIRE(text(*status, "revision").empty());
  REQUIRE(status->find("sources")->items.empty());
  REQUIRE(status->find("notReady")->items.empty());
}

TEST_CASE("status names sources, units and what is not well") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Plan plan;
  plan.put(make_object(make_source("https://ada:s3cret@git.example.org/shop.git")), "configured");
  plan.put(make_object(make_unit("False")), "configured");
  plan.put(make_object(make_web(false), in_default_unit()), "declared");
  record(*store, plan);
  const auto status = StoreReports(*store).read_status();
  REQUIRE(text(*status, "ready") == "false");
  REQUIRE(text(*status, "revision") == kRevision);
  const Value& source = status->find("sources")->items.at(0);
  REQUIRE(text(source, "name") == "moored-system/default");
  REQUIRE(text(source, "url") == "https://***@git.example.org/shop.git");
  REQUIRE(text(source, "revision") == kRevision);
  REQUIRE(text(source, "fetched") == format_time(at(5).wall));
  REQUIRE(text(source, "ready") == "true");
  const Value& unit = status->find("units")->items.at(0);
  REQUIRE(text(unit, "source") == "moored-system/default");
  REQUIRE(text(unit, "objects") == "1");
  REQUIRE(text(unit, "ready") == "false");
  REQUIRE(text(unit, "reason") == "Whatever");
  REQUIRE(text(*status, "notReadyCount") == "1");
  const Value& unwell = status->find("notReady")->items.at(0);
  REQUIRE(text(unwell, "object") == "Deployment/default/web");
  REQUIRE(text(unwell, "state") == "progressing");
  REQUIRE(write_json(*status).find("s3cret") == std::string::npos);
}

TEST_CASE("status is ready when the units and all objects are") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_unit("True")));
  auto declared = make_deployment("web", 0);
  declared.metadata.generation = 1;
  Plan plan;
  plan.put(make_object(declared, in_default_unit()), "declared");
  record(*store, plan);
  REQUIRE(text(*StoreReports(*store).read_status(), "ready") == "false");
  const Object web = *store->view()->find(key_of<Deployment>("default", "web"));
  auto set = make_set(web);
  set.spec.replicas = 0;
  Plan rest;
  rest.put(make_object(set), "made");
  auto seen = web.as<Deployment>();
  seen.status.observed_generation = 1;
  rest.status(make_object(seen, in_default_unit()), "observed");
  record(*store, rest);
  REQUIRE(text(*StoreReports(*store).read_status(), "ready") == "true");
}

TEST_CASE("a receipt tells the way of a commit and what it touched") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_unit("Unknown")));
  SourceObserved seen;
  seen.revision = kRevision;
  seen.commit = {kSha, "Ada <ada@example.org>", "Scale the shop", at(1).wall};
  Plan first;
  first.receipt.push_back({kRevision, "seen", at(2).wall, ""});
  add_commit_step(Fact(seen), first);
  record(*store, first);
  Plan apply;
  apply.put(make_object(make_web(true), in_default_unit()), "declared in deploy/web.yaml:3");
  apply.receipt.push_back({kRevision, "committed", at(3).wall, "moored-system/default"});
  const Cause commit{Cause::Actor::commit, "Ada <ada@example.org>", kRevision};
  REQUIRE(store->record(apply, commit, at(3)));

  const StoreReports reports(*store);
  auto receipt = reports.read_receipt("4f1c");
  REQUIRE(receipt.has_value());
  REQUIRE(text(*receipt, "revision") == kRevision);
  REQUIRE(text(*receipt, "outcome") == "progressing");
  REQUIRE(text(*receipt->find("commit"), "author") == "Ada <ada@example.org>");
  REQUIRE(text(*receipt->find("commit"), "subject") == "Scale the shop");
  const auto& steps = receipt->find("steps")->items;
  REQUIRE(steps.size() == 2);
  REQUIRE(text(steps[0], "name") == "seen");
  REQUIRE(text(steps[1], "name") == "committed");
  REQUIRE(text(steps[1], "time") == format_micro_time(at(3).wall));
  const auto& objects = receipt->find("objects")->items;
  REQUIRE(objects.size() == 1);
  REQUIRE(text(objects[0], "object") == "Deployment/default/web");
  REQUIRE(text(objects[0], "verb") == "created");

  Plan ready;
  ready.receipt.push_back({kRevision, "ready", at(9).wall, ""});
  ready.put(make_object(make_unit("True")), "health");
  record(*store, ready);
  receipt = reports.read_receipt(kSha);
  REQUIRE(text(*receipt, "outcome") == "ready");
  REQUIRE(receipt->find("reason") == nullptr);
  REQUIRE(reports.read_receipt("dead").error().code == Code::not_found);
}

TEST_CASE("steps of one moment come in the order of the work, endings in that of time") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Plan plan;
  for (const char* step : {"committed", "fetched", "planned", "rendered", "seen", "validated"})
    plan.receipt.push_back({kRevision, step, at(2).wall, ""});
  plan.receipt.push_back({kRevision, "failed", at(3).wall, "ErrImagePull: none"});
  plan.receipt.push_back({kRevision, "started", at(4).wall, ""});
  plan.receipt.push_back({kRevision, "ready", at(4).wall, ""});
  record(*store, plan);
  const auto receipt = StoreReports(*store).read_receipt(kSha);
  std::vector<std::string> names;
  for (const Value& step : receipt->find("steps")->items) names.push_back(text(step, "name"));
  REQUIRE(names == std::vector<std::string>{"seen", "fetched", "rendered", "validated", "planned",
                                            "committed", "failed", "started", "ready"});
}

TEST_CASE("what units are now counts more than the steps") {
  struct Row {
    const char* name;
    const char* attempted;
    const char* ready;
    const char* reason;
    bool stalled;
    const char* word;  // empty: the steps decide
  };
  const Row rows[] = {
      {"ready", "x@sha1:1", "True", "ReconciliationSucceeded", false, "ready"},
      {"under way again", "x@sha1:1", "Unknown", "Progressing", false, "progressing"},
      {"failed", "x@sha1:1", "False", "HealthCheckFailed", false, "failed"},
      {"refused", "x@sha1:1", "False", "UnknownField", true, "refused"},
      {"held", "x@sha1:1", "False", "PruneGuard", true, "held"},
      {"at another", "x@sha1:2", "True", "ReconciliationSucceeded", false, ""},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const TestDirectory directory;
    auto store = open_store(store_options(directory));
    Kustomization unit = make_unit("True");
    unit.status.last_attempted_revision = row.attempted;
    unit.status.last_applied_revision = row.stalled ? "x@sha1:0" : row.attempted;
    unit.status.conditions = {condition("Ready", row.ready, row.reason)};
    if (row.stalled) unit.status.conditions.push_back(condition("Stalled", "True", row.reason));
    record(*store, put_plan(unit));
    const auto outcome = judge_units(*store->view(), "x@sha1:1");
    REQUIRE((outcome ? outcome->word : "") == row.word);
  }
}

struct OutcomeCase {
  const char* name;
  std::vector<ReceiptEntry> steps;
  bool current;
  const char* word;
  const char* reason;
};

ReceiptEntry entry(const std::string& step, int second, const std::string& detail = {}) {
  return {kSha, kRevision, step, at(second).wall, detail};
}

TEST_CASE("the outcome of a revision") {
  const std::vector<OutcomeCase> cases = {
      {"under way", {entry("seen", 1)}, true, "progressing", ""},
      {"overtaken", {entry("seen", 1)}, false, "superseded", ""},
      {"ready", {entry("seen", 1), entry("ready", 2)}, true, "ready", ""},
      {"ready long ago", {entry("ready", 2)}, false, "ready", ""},
      {"image",
       {entry("failed", 2,
              "main@sha1:4f: Deployment/default/web: Pod/default/web-1: ImagePullBackOff: no")},
       true,
       "failed",
       "ImagePullBackOff"},
      {"deadline",
       {entry("failed", 2, "main@sha1:4f: Deployment/default/web: ProgressDeadlineExceeded")},
       true,
       "failed",
       "ProgressDeadlineExceeded"},
      {"refused",
       {entry("seen", 1), entry("refused", 2, "UnknownField")},
       true,
       "refused",
       "UnknownField"},
      {"held", {entry("held", 2, "PruneGuard")}, true, "held", "PruneGuard"},
      {"failed, then well", {entry("failed", 2, "A: b"), entry("ready", 3)}, true, "ready", ""},
      {"confirmed", {entry("held", 2, "PruneGuard"), entry("ready", 2)}, true, "ready", ""},
  };
  for (const OutcomeCase& one : cases) {
    INFO(one.name);
    const ReceiptOutcome outcome = judge_receipt(one.steps, one.current);
    REQUIRE(outcome.word == one.word);
    REQUIRE(outcome.reason == one.reason);
  }
}

// Records a unit with one Deployment, its set and one pod, and gives the steps that are seen.
std::string steps_seen(const Pod& shape, bool with_pod) {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Plan plan;
  plan.put(make_object(make_unit("Unknown")), "configured");
  plan.put(make_object(make_deployment("web", 1), in_default_unit()), "declared");
  record(*store, plan);
  const Object web = *store->view()->find(key_of<Deployment>("default", "web"));
  record(*store, put_plan(make_set(web)));
  const Object set = *store->view()->find(key_of<ReplicaSet>("default", "web-1"));
  if (with_pod) {
    Pod pod = shape;
    pod.metadata.owner_references = {controller_reference(set)};
    record(*store, put_plan(pod));
  }
  std::string out;
  for (const ReceiptStep& step : plan_receipts(*store->view(), {}, at(7)).receipt) {
    REQUIRE(step.revision == kRevision);
    out += step.step + " ";
  }
  const std::map<std::string, std::set<std::string>> known = {
      {kRevision, {"scheduled", "started"}}};
  REQUIRE(plan_receipts(*store->view(), known, at(7)).empty());
  return out;
}

TEST_CASE("a pod on its way out does not keep a revision from its steps") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Pod pod;
  pod.metadata.name = "old";
  pod.metadata.namespace_name = "default";
  pod.metadata.deletion_timestamp = at(6).wall;
  Plan plan;
  plan.put(make_object(make_unit("Unknown")), "configured");
  plan.put(make_object(pod, in_default_unit()), "declared");
  record(*store, plan);
  REQUIRE(plan_receipts(*store->view(), {}, at(7)).receipt.size() == 2);
}

TEST_CASE("scheduled and started are read off the pods") {
  Pod pod = make_test_pod("web-1-x", "");
  REQUIRE(steps_seen(pod, false).empty());
  REQUIRE(steps_seen(pod, true).empty());
  pod.spec.node_name = "node";
  REQUIRE(steps_seen(pod, true) == "scheduled ");
  ContainerStatus container;
  container.name = "main";
  container.state.running = ContainerStateRunning{at(3).wall};
  pod.status.container_statuses.push_back(container);
  REQUIRE(steps_seen(pod, true) == "scheduled started ");
  pod.metadata.deletion_timestamp = at(4).wall;
  REQUIRE(steps_seen(pod, true).empty());
}

TEST_CASE("history is about one object, newest first, with its fields") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Plan both = put_plan(make_config("a", "1"), "first");
  both.put(make_object(make_config("b", "1")), "first");
  record(*store, both, at(1));
  record(*store, put_plan(make_config("a", "2"), "second"), at(2));
  Plan operators;
  operators.operators.push_back({"exec", "default/web: sh", 0, "moorctl[1]", "done"});
  record(*store, operators, at(3));
  const StoreReports reports(*store);
  const auto one = reports.read_history("configmap/a", 10);
  REQUIRE(one.has_value());
  const auto& items = one->find("items")->items;
  REQUIRE(items.size() == 2);
  REQUIRE(text(items[0], "verb") == "updated");
  REQUIRE(text(items[0], "object") == "ConfigMap/default/a");
  REQUIRE(text(items[0], "why") == "second");
  REQUIRE(text(items[0], "actor") == "controller");
  REQUIRE(text(items[0], "cause") == "because");
  REQUIRE(text(items[0].find("changes")->items.at(0), "before") == "1");
  REQUIRE(text(items[1], "verb") == "created");
  const auto all = reports.read_history("", 10);
  REQUIRE(all->find("items")->items.size() == 4);
  REQUIRE(text(all->find("items")->items[0], "verb") == "exec");
  REQUIRE(text(all->find("items")->items[0], "outcome") == "done");
  REQUIRE(reports.read_history("", 2)->find("items")->items.size() == 2);
  REQUIRE(reports.read_history("ConfigMap/default/none", 5)->find("items")->items.empty());
  REQUIRE(reports.read_history("nonsense/x", 5).error().code == Code::not_found);
}

TEST_CASE("drift tells onset, correction and how long it lasted") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  DriftRecord drift;
  drift.id = "d1";
  drift.object = key_of<Pod>("default", "web");
  drift.field = "process";
  drift.desired = "running";
  drift.observed = "gone";
  drift.actor = "bash[7]";
  drift.onset = at(1).wall;
  Plan plan;
  plan.drift.push_back(drift);
  record(*store, plan);
  const StoreReports reports(*store);
  auto answer = reports.read_drift(10);
  REQUIRE(text(answer->find("items")->items.at(0), "open") == "true");
  REQUIRE(answer->find("items")->items.at(0).find("duration") == nullptr);
  plan.drift[0].correction = "started again";
  plan.drift[0].corrected_at = at(3).wall;
  DriftRecord second = drift;
  second.id = "d2";
  plan.drift.push_back(second);
  record(*store, plan);
  answer = reports.read_drift(10);
  const auto& items = answer->find("items")->items;
  REQUIRE(items.size() == 2);
  REQUIRE(text(items[0], "id") == "d2");
  REQUIRE(text(items[1], "duration") == "2s");
  REQUIRE(text(items[1], "correction") == "started again");
  REQUIRE(text(items[1], "actor") == "bash[7]");
  REQUIRE(reports.read_drift(1)->find("items")->items.size() == 1);
  const auto history = reports.read_history("pod/web", 10);
  REQUIRE(text(history->find("items")->items.at(0), "verb") == "corrected");
  REQUIRE(text(history->find("items")->items.at(2), "verb") == "drifted");
}

TEST_CASE("objects are named as people name them") {
  const std::vector<std::pair<const char*, const char*>> good = {
      {"Deployment/shop/web", "Deployment/shop/web"},
      {"deploy/web", "Deployment/default/web"},
      {"deployments/shop/web", "Deployment/shop/web"},
      {"svc/web", "Service/default/web"},
      {"ns/shop", "Namespace/shop"},
  };
  for (const auto& [given, expected] : good) {
    INFO(given);
    REQUIRE(*parse_object_name(given) == expected);
  }
  for (const char* bad : {"web", "deploy/", "/web", "deploy/a/b/c", "ns/a/b", "what/web", ""}) {
    INFO(bad);
    REQUIRE_FALSE(parse_object_name(bad).has_value());
  }
}

TEST_CASE("credentials in a URL are masked") {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"https://a:b@host/x", "https://***@host/x"},   {"https://token@host", "https://***@host"},
      {"https://a@b:c@host/x", "https://***@host/x"}, {"https://host/x@y", "https://host/x@y"},
      {"ssh://git@host/x", "ssh://***@host/x"},       {"/srv/git", "/srv/git"},
  };
  for (const auto& [given, expected] : cases)
    REQUIRE(mask_url(given) == expected);
}

}  // namespace
}  // namespace moored::test
