// The store through its front door: what is recorded, counted, kept and given back.
#include "reconciler/store/store.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

Object find(const Store& store, const ObjectKey& key) {
  auto found = store.view()->find(key);
  if (!found) FAIL("not recorded: " + key.text());
  return *found;
}

TEST_CASE("a new object gets uid, version, generation and creation time") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  const auto result = record(*store, put_plan(make_deployment("web", 2)), at(5));
  REQUIRE(result.resource_version == 1);
  REQUIRE(result.changes.size() == 1);
  REQUIRE(result.changes[0].type == Change::Type::added);
  const Object web = find(*store, key_of<Deployment>("default", "web"));
  REQUIRE(web.meta().resource_version == "1");
  REQUIRE(web.meta().generation == 1);
  REQUIRE(web.meta().creation_timestamp == at(5).wall);
  REQUIRE(web.meta().uid.size() == 36);
}

TEST_CASE("the same history gives the same uids, another store others") {
  const auto uid_in = [](const std::string& store_id) {
    const TestDirectory directory;
    StoreOptions options = store_options(directory);
    options.store_id = store_id;
    auto store = open_store(options);
    record(*store, put_plan(make_config("a", "1")));
    return find(*store, key_of<ConfigMap>("default", "a")).meta().uid;
  };
  REQUIRE(uid_in("one") == uid_in("one"));
  REQUIRE(uid_in("one") != uid_in("two"));
}

TEST_CASE("what changes decides what is counted") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_deployment("web", 2)));
  const Object first = find(*store, key_of<Deployment>("default", "web"));
  auto next = first.as<Deployment>();

  SECTION("nothing: nothing is written") {
    const auto result = record(*store, put_plan(next), at(60));
    REQUIRE(result.changes.empty());
    REQUIRE(result.resource_version == 1);
    REQUIRE(store->read_audit("", 10)->size() == 1);
  }
  SECTION("the spec: a new generation") {
    next.spec.replicas = 3;
    const auto result = record(*store, put_plan(next), at(60));
    REQUIRE(result.changes.size() == 1);
    REQUIRE(result.changes[0].type == Change::Type::modified);
    REQUIRE(result.changes[0].object.meta().generation == 2);
    REQUIRE(result.changes[0].previous->as<Deployment>().spec.replicas == 2);
    REQUIRE(result.changes[0].object.meta().uid == first.meta().uid);
    REQUIRE(result.changes[0].object.meta().creation_timestamp == first.meta().creation_timestamp);
  }
  SECTION("labels: a new version only") {
    next.metadata.labels["team"] = "blue";
    const auto result = record(*store, put_plan(next));
    REQUIRE(result.resource_version == 2);
    REQUIRE(result.changes[0].object.meta().generation == 1);
  }
  SECTION("the status: a new version only, and the spec of the write does not count") {
    next.status.replicas = 2;
    next.spec.replicas = 9;
    Plan plan;
    plan.status(make_object(next), "observed");
    const auto result = record(*store, plan);
    REQUIRE(result.changes.size() == 1);
    const auto& written = result.changes[0].object.as<Deployment>();
    REQUIRE(written.status.replicas == 2);
    REQUIRE(written.spec.replicas == 2);
    REQUIRE(written.metadata.generation == 1);
  }
  SECTION("server-owned fields in a write do not count") {
    next.metadata.resource_version = "77";
    next.metadata.generation = 12;
    next.metadata.creation_timestamp = at(1000).wall;
    REQUIRE(record(*store, put_plan(next)).changes.empty());
  }
  SECTION("the time of deletion: a new version") {
    next.metadata.deletion_timestamp = at(9).wall;
    REQUIRE(record(*store, put_plan(next)).resource_version == 2);
  }
}

TEST_CASE("writes that cannot be taken are refused in words and leave nothing behind") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_config("a", "1")));
  Plan plan = put_plan(make_config("b", "1"));

  SECTION("without a name") {
    plan.put(make_object(ConfigMap{}), "test");
    REQUIRE(store->record(plan, test_cause(), at(0)).error().code == Code::invalid);
  }
  SECTION("without a namespace") {
    auto config = make_config("c", "1");
    config.metadata.namespace_name.clear();
    plan.put(make_object(config), "test");
    REQUIRE(store->record(plan, test_cause(), at(0)).error().code == Code::invalid);
  }
  SECTION("in a namespace that the kind does not have") {
    Namespace space;
    space.metadata.name = "n";
    space.metadata.namespace_name = "default";
    plan.put(make_object(space), "test");
    REQUIRE(store->record(plan, test_cause(), at(0)).error().code == Code::invalid);
  }
  SECTION("on an object that was replaced") {
    auto config = make_config("a", "2");
    config.metadata.uid = "11111111-2222-4333-8444-555555555555";
    plan.put(make_object(config), "test");
    REQUIRE(store->record(plan, test_cause(), at(0)).error().code == Code::conflict);
  }
  REQUIRE(store->view()->resource_version() == 1);
  REQUIRE_FALSE(store->view()->find(key_of<ConfigMap>("default", "b")).has_value());
  REQUIRE(store->read_audit("", 10)->size() == 1);
}

TEST_CASE("a refused plan does not spoil the others of its batch") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  auto batch = store->begin(at(0));
  REQUIRE(batch.add(put_plan(make_config("a", "1")), test_cause()));
  Plan bad = put_plan(make_config("x", "1"));
  bad.put(make_object(ConfigMap{}), "test");
  REQUIRE_FALSE(batch.add(bad, test_cause()));
  REQUIRE(batch.add(put_plan(make_config("b", "1")), test_cause()));
  REQUIRE(batch.view().resource_version() == 2);
  const auto result = batch.commit();
  REQUIRE(result.has_value());
  REQUIRE(result->changes.size() == 2);
  REQUIRE(store->view()->list(kind_of<ConfigMap>()).size() == 2);
  REQUIRE(store->read_audit("", 10)->size() == 2);
}

TEST_CASE("a batch that is not committed never happened") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  {
    auto batch = store->begin(at(0));
    REQUIRE(batch.add(put_plan(make_config("a", "1")), test_cause()));
    REQUIRE(batch.view().find(key_of<ConfigMap>("default", "a")).has_value());
  }
  REQUIRE(store->view()->resource_version() == 0);
}

TEST_CASE("several plans share one transaction, all or none") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  std::vector<CausedPlan> plans;
  plans.push_back({put_plan(make_config("a", "1")), test_cause()});
  plans.push_back({put_plan(make_config("b", "1")), test_cause()});
  REQUIRE(store->record_all(plans, at(0))->resource_version == 2);
  plans.push_back({put_plan(ConfigMap{}), test_cause()});
  plans[0] = {put_plan(make_config("c", "1")), test_cause()};
  REQUIRE_FALSE(store->record_all(plans, at(0)).has_value());
  REQUIRE(store->view()->resource_version() == 2);
}

TEST_CASE("removal, and a new object of the same name") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_config("a", "1")));
  const std::string uid = find(*store, key_of<ConfigMap>("default", "a")).meta().uid;
  const auto removed = record(*store, remove_plan<ConfigMap>("a"));
  REQUIRE(removed.changes[0].type == Change::Type::deleted);
  REQUIRE(removed.changes[0].object.meta().resource_version == "2");
  REQUIRE(removed.changes[0].previous->meta().resource_version == "1");
  REQUIRE(record(*store, remove_plan<ConfigMap>("a")).changes.empty());
  Plan status;
  status.status(make_object(make_deployment("gone", 1)), "too late");
  REQUIRE(record(*store, status).changes.empty());
  const auto again = record(*store, put_plan(make_config("a", "1")));
  REQUIRE(again.changes[0].type == Change::Type::added);
  REQUIRE(again.changes[0].object.meta().uid != uid);
}

TEST_CASE("a view stays what it was while the store goes on") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_config("a", "1")));
  const auto before = store->view();
  record(*store, put_plan(make_config("b", "1")));
  record(*store, remove_plan<ConfigMap>("a"));
  REQUIRE(before->resource_version() == 1);
  REQUIRE(before->list(kind_of<ConfigMap>()).size() == 1);
  REQUIRE(before->find(key_of<ConfigMap>("default", "a")).has_value());
  REQUIRE(store->view()->resource_version() == 3);
}

TEST_CASE("lists are by namespace and name; owned objects by uid") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Plan plan;
  for (const char* name : {"c", "a", "b"})
    plan.put(make_object(make_config(name, "1")), "test");
  auto other = make_config("a", "1");
  other.metadata.namespace_name = "apple";
  plan.put(make_object(other), "test");
  plan.put(make_object(make_test_pod("one", "uid-1")), "test");
  plan.put(make_object(make_test_pod("two", "uid-2")), "test");
  record(*store, plan);
  const auto view = store->view();
  std::string order;
  for (const Object& object : view->list(kind_of<ConfigMap>())) {
    order += object.meta().namespace_name + "/" + object.meta().name + " ";
  }
  REQUIRE(order == "apple/a default/a default/b default/c ");
  REQUIRE(view->list(kind_of<ConfigMap>(), "default").size() == 3);
  REQUIRE(view->list(kind_of<ConfigMap>(), "nowhere").empty());
  REQUIRE(view->list_owned(kind_of<Pod>(), "uid-1").size() == 1);
  REQUIRE(view->list_owned(kind_of<ConfigMap>(), "uid-1").empty());

  auto moved = find(*store, key_of<Pod>("default", "one")).as<Pod>();
  moved.metadata.owner_references[0].uid = "uid-2";
  record(*store, put_plan(moved));
  REQUIRE(store->view()->list_owned(kind_of<Pod>(), "uid-1").empty());
  REQUIRE(store->view()->list_owned(kind_of<Pod>(), "uid-2").size() == 2);
  record(*store, remove_plan<Pod>("one"));
  REQUIRE(store->view()->list_owned(kind_of<Pod>(), "uid-2").size() == 1);
}

TEST_CASE("a restart finds everything as it was, and counts on") {
  const TestDirectory directory;
  StoreOptions options = store_options(directory);
  options.checkpoint_on_close = GENERATE(true, false);
  std::string before;
  {
    auto store = open_store(options);
    Provenance from{"flux/app", "flux/app", "main@sha1:abc", "app.yaml", 7};
    Plan plan;
    plan.put(make_object(make_deployment("web", 2), from), "declared");
    plan.put(make_object(make_config("gone", "1")), "test");
    record(*store, plan, at(3));
    record(*store, remove_plan<ConfigMap>("gone"));
    before = encode_json(find(*store, key_of<Deployment>("default", "web")));
  }
  auto store = open_store(options);
  REQUIRE(store->view()->resource_version() == 3);
  const Object web = find(*store, key_of<Deployment>("default", "web"));
  REQUIRE(encode_json(web) == before);
  REQUIRE(web.provenance().file == "app.yaml");
  REQUIRE(web.provenance().line == 7);
  REQUIRE(web.provenance().unit == "flux/app");
  REQUIRE(record(*store, put_plan(make_config("next", "1"))).resource_version == 4);
  REQUIRE(store->verify_audit()->rows == 3);
}

TEST_CASE("what is in memory is what a restart reads back, to the second") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  auto web = make_deployment("web", 1);
  Condition condition;
  condition.type = "Progressing";
  condition.status = "True";
  condition.last_transition_time = at(0).wall + std::chrono::milliseconds(250);
  web.status.conditions.push_back(condition);
  record(*store, put_plan(web), {at(0).wall + std::chrono::milliseconds(900), at(0).mono});
  const Object recorded = find(*store, key_of<Deployment>("default", "web"));
  REQUIRE(recorded.meta().creation_timestamp == at(0).wall);
  REQUIRE(recorded.as<Deployment>().status.conditions[0].last_transition_time == at(0).wall);
  condition.last_transition_time = at(0).wall + std::chrono::milliseconds(500);
  web.status.conditions[0] = condition;
  REQUIRE(record(*store, put_plan(web)).changes.empty());
}

TEST_CASE("changes after a version, oldest first, with what was before") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_config("a", "1")));
  record(*store, put_plan(make_deployment("web", 1)));
  record(*store, put_plan(make_config("a", "2")));
  record(*store, remove_plan<ConfigMap>("a"));

  const auto all = store->changes_since(nullptr, 0, 100);
  REQUIRE(all.has_value());
  REQUIRE(all->size() == 4);
  for (std::size_t i = 0; i < all->size(); ++i) {
    REQUIRE((*all)[i].resource_version == static_cast<std::int64_t>(i + 1));
  }
  const auto configs = store->changes_since(&kind_of<ConfigMap>(), 1, 100);
  REQUIRE(configs->size() == 2);
  REQUIRE((*configs)[0].type == Change::Type::modified);
  REQUIRE((*configs)[0].previous->as<ConfigMap>().data.at("key") == "1");
  REQUIRE((*configs)[1].type == Change::Type::deleted);
  REQUIRE((*configs)[1].object.as<ConfigMap>().data.at("key") == "2");
  REQUIRE((*configs)[1].object.meta().resource_version == "4");
  REQUIRE(store->changes_since(nullptr, 0, 2)->size() == 2);
  REQUIRE(store->changes_since(nullptr, 4, 100)->empty());
}

TEST_CASE("the state as it was at any version") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  record(*store, put_plan(make_config("a", "1")));
  record(*store, put_plan(make_config("b", "1")));
  record(*store, put_plan(make_config("a", "2")));
  record(*store, remove_plan<ConfigMap>("b"));
  const auto text_at = [&](std::int64_t version) {
    const auto view = store->view_at(version);
    REQUIRE(view.has_value());
    REQUIRE((*view)->resource_version() == version);
    std::string out;
    for (const Object& object : (*view)->list(kind_of<ConfigMap>())) {
      out += object.meta().name + object.as<ConfigMap>().data.at("key") + " ";
    }
    return out;
  };
  REQUIRE(text_at(0).empty());
  REQUIRE(text_at(1) == "a1 ");
  REQUIRE(text_at(2) == "a1 b1 ");
  REQUIRE(text_at(3) == "a2 b1 ");
  REQUIRE(text_at(4) == "a2 ");
  REQUIRE(store->view_at(5).error().code == Code::timeout);
}

TEST_CASE("listeners are woken after each commit with the newest version") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  std::vector<std::int64_t> heard;
  const auto listener = [](void* context, std::int64_t version) {
    static_cast<std::vector<std::int64_t>*>(context)->push_back(version);
  };
  const int token = store->subscribe(listener, &heard);
  record(*store, put_plan(make_config("a", "1")));
  record(*store, put_plan(make_config("a", "1")));
  record(*store, put_plan(make_config("a", "2")));
  REQUIRE(heard == std::vector<std::int64_t>{1, 2});
  store->unsubscribe(token);
  record(*store, put_plan(make_config("a", "3")));
  REQUIRE(heard.size() == 2);
}

TEST_CASE("readers on other threads see whole commits only") {
  const TestDirectory directory;
  StoreOptions options = store_options(directory);
  options.durable = false;
  auto store = open_store(options);
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto view = store->view();
        if (view->list(kind_of<ConfigMap>()).size() % 2 != 0) ++torn;
        const auto changes = store->changes_since(nullptr, 0, 1'000);
        if (!changes) {
          ++failed;
        } else if (changes->size() % 2 != 0) {
          ++torn;
        }
      }
    });
  }
  for (int i = 0; i < 60; ++i) {
    Plan plan;
    plan.put(make_object(make_config("a" + std::to_string(i), "1")), "test");
    plan.put(make_object(make_config("b" + std::to_string(i), "1")), "test");
    record(*store, plan);
  }
  stop = true;
  for (std::thread& reader : readers)
    reader.join();
  REQUIRE(torn == 0);
  REQUIRE(failed == 0);
}

TEST_CASE("receipts keep the first time of each step and are found by a short id") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  const std::string sha = "0123456789abcdef0123456789abcdef01234567";
  Plan plan;
  plan.receipt.push_back({"main@sha1:" + sha, "fetched", at(2).wall, ""});
  plan.receipt.push_back({"main@sha1:" + sha, "seen", at(1).wall, "poll"});
  record(*store, plan);
  REQUIRE(store->read_audit("", 10)->empty());
  plan.receipt[1].time = at(50).wall;
  record(*store, plan, at(60));
  const auto steps = store->read_receipt("01234");
  REQUIRE(steps.has_value());
  REQUIRE(steps->size() == 2);
  REQUIRE((*steps)[0].step == "seen");
  REQUIRE((*steps)[0].time == at(1).wall);
  REQUIRE((*steps)[0].detail == "poll");
  REQUIRE((*steps)[1].step == "fetched");
  REQUIRE(store->read_receipt("ffff").error().code == Code::not_found);
  REQUIRE(store->read_receipt("012").error().code == Code::invalid);
  REQUIRE(store->read_receipt("0123%").error().code == Code::invalid);
  plan.receipt = {{"main@sha1:0123999999999999999999999999999999999999", "seen", at(3).wall, ""}};
  record(*store, plan);
  REQUIRE(store->read_receipt("0123").error().reason == "Ambiguous");
}

TEST_CASE("drift is recorded when it opens and when it closes, not in between") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  DriftRecord drift;
  drift.id = "d1";
  drift.object = key_of<Pod>("default", "web");
  drift.field = "cgroup.memory.max";
  drift.desired = "64Mi";
  drift.observed = "max";
  drift.onset = at(1).wall;
  Plan plan;
  plan.drift.push_back(drift);
  record(*store, plan);
  record(*store, plan, at(2));
  REQUIRE(store->read_audit("Pod/default/web", 10)->size() == 1);
  store.reset();
  store = open_store(store_options(directory));
  record(*store, plan, at(3));
  REQUIRE(store->read_audit("Pod/default/web", 10)->size() == 1);
  plan.drift[0].correction = "written again";
  plan.drift[0].corrected_at = at(4).wall;
  record(*store, plan, at(4));
  const auto rows = store->read_drift(10);
  REQUIRE(rows->size() == 1);
  REQUIRE((*rows)[0].object == drift.object);
  REQUIRE((*rows)[0].onset == drift.onset);
  REQUIRE((*rows)[0].corrected_at == at(4).wall);
  REQUIRE(store->read_audit("Pod/default/web", 10)->size() == 2);
}

TEST_CASE("drift is bounded: closed records give way, open ones are not forgotten") {
  const TestDirectory directory;
  StoreOptions options = store_options(directory);
  options.durable = false;
  auto store = open_store(options);
  constexpr int kMost = 10'000;  // as Stage::kMaxDrift says
  const auto drift_plan = [](int from, int to, bool closed) {
    Plan plan;
    for (int i = from; i < to; ++i) {
      DriftRecord drift;
      drift.id = std::to_string(i);
      drift.object = key_of<Pod>("default", "web");
      drift.onset = at(1).wall;
      if (closed) drift.corrected_at = at(2).wall;
      plan.drift.push_back(drift);
    }
    return plan;
  };
  record(*store, drift_plan(0, kMost + 5, false));
  REQUIRE(store->read_drift(2 * kMost)->size() == kMost);
  record(*store, drift_plan(0, 100, true));
  record(*store, drift_plan(kMost, kMost + 5, false));
  REQUIRE(store->read_drift(2 * kMost)->size() == kMost + 5);
}

TEST_CASE("operators are recorded even when nothing else changes") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Plan plan;
  plan.operators.push_back({"exec", "default/web: sh", 1000, "moorctl[77]", "done"});
  record(*store, plan);
  const auto rows = store->read_audit("", 10);
  REQUIRE(rows->size() == 1);
  const auto row = read_json((*rows)[0].canonical_json);
  REQUIRE(row.has_value());
  const Value& acted = row->find("operators")->items.at(0);
  REQUIRE(acted.find("verb")->scalar == "exec");
  REQUIRE(acted.find("uid")->scalar == "1000");
  REQUIRE(acted.find("process")->scalar == "moorctl[77]");
}

TEST_CASE("a second daemon is told who holds the store") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  const auto second = Store::open(store_options(directory));
  REQUIRE_FALSE(second.has_value());
  REQUIRE(second.error().reason == "StoreLocked");
  REQUIRE(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
  store.reset();
  REQUIRE(Store::open(store_options(directory)).has_value());
}

}  // namespace
}  // namespace moored::test
