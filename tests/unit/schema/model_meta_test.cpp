// Conditions, selectors, owners and keys.
#include <catch2/catch.hpp>

#include <algorithm>

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/object.hpp"

namespace moored {
namespace {

Time at(int seconds) { return Time(std::chrono::seconds(seconds)); }

Condition condition(std::string type, std::string status, std::string reason = {}) {
  Condition out;
  out.type = std::move(type);
  out.status = std::move(status);
  out.reason = std::move(reason);
  return out;
}

TEST_CASE("a condition moves its time only with its status") {
  std::vector<Condition> list;
  CHECK(set_condition(list, condition("Ready", "False", "Starting"), at(1)));
  REQUIRE(list.size() == 1);
  CHECK(list[0].last_transition_time == at(1));
  // The same again changes nothing.
  CHECK_FALSE(set_condition(list, condition("Ready", "False", "Starting"), at(2)));
  CHECK(list[0].last_transition_time == at(1));
  // Another reason is news without a new time.
  CHECK(set_condition(list, condition("Ready", "False", "Pulling"), at(3)));
  CHECK(list[0].last_transition_time == at(1));
  CHECK(list[0].reason == "Pulling");
  // Another status moves the time.
  CHECK(set_condition(list, condition("Ready", "True"), at(4)));
  CHECK(list[0].last_transition_time == at(4));
  CHECK(set_condition(list, condition("Available", "True"), at(5)));
  CHECK(list.size() == 2);
}

TEST_CASE("a condition keeps the time that it was given with a new status") {
  std::vector<Condition> list;
  auto given = condition("Ready", "True");
  given.last_transition_time = at(7);
  set_condition(list, given, at(9));
  CHECK(list[0].last_transition_time == at(7));
  auto probe = condition("Ready", "True");
  probe.last_probe_time = at(11);
  CHECK_FALSE(set_condition(list, probe, at(12)));
  CHECK(list[0].last_probe_time == at(11));
}

TEST_CASE("a condition is found by its type") {
  const std::vector<Condition> list{condition("A", "True"), condition("B", "False")};
  REQUIRE(find_condition(list, "B") != nullptr);
  CHECK(find_condition(list, "B")->status == "False");
  CHECK(find_condition(list, "C") == nullptr);
}

struct Requirement {
  const char* operation;
  std::vector<std::string> values;
  bool on_web;      // labels app=web
  bool on_nothing;  // no labels
};

TEST_CASE("expressions match as Kubernetes says") {
  const auto row = GENERATE(values<Requirement>({
      {"In", {"web", "db"}, true, false},
      {"In", {"db"}, false, false},
      {"NotIn", {"web"}, false, true},
      {"NotIn", {"db"}, true, true},
      {"Exists", {}, true, false},
      {"DoesNotExist", {}, false, true},
      {"Near", {"web"}, false, false},
  }));
  INFO(row.operation);
  LabelSelector selector;
  selector.match_expressions.push_back({"app", row.operation, row.values});
  CHECK(matches(selector, {{"app", "web"}, {"tier", "x"}}) == row.on_web);
  CHECK(matches(selector, Labels{}) == row.on_nothing);
}

TEST_CASE("all requirements must hold and an empty selector matches everything") {
  LabelSelector selector;
  CHECK(matches(selector, Labels{}));
  CHECK(matches(Labels{}, Labels{{"a", "b"}}));
  selector.match_labels = {{"app", "web"}};
  selector.match_expressions.push_back({"tier", "Exists", {}});
  CHECK_FALSE(matches(selector, {{"app", "web"}}));
  CHECK(matches(selector, {{"app", "web"}, {"tier", ""}}));
  CHECK_FALSE(matches(selector, {{"app", "db"}, {"tier", ""}}));
}

TEST_CASE("keys order by the registry, then by namespace and name") {
  const auto ns = key_of<Namespace>("", "z");
  const auto pod_a = key_of<Pod>("a", "y");
  const auto pod_b = key_of<Pod>("b", "a");
  const auto deployment = key_of<Deployment>("a", "a");
  std::vector<ObjectKey> keys{deployment, pod_b, ns, pod_a};
  std::sort(keys.begin(), keys.end());
  CHECK(keys == std::vector<ObjectKey>{ns, pod_a, pod_b, deployment});
  CHECK((pod_a <=> pod_a) == std::strong_ordering::equal);
  CHECK(pod_a.text() == "Pod/a/y");
  CHECK(ns.text() == "Namespace/z");
  CHECK(ObjectKey{}.text() == "?/");
}

TEST_CASE("references say who an object is and who owns it") {
  ReplicaSet set;
  set.metadata.name = "web-1";
  set.metadata.namespace_name = "shop";
  set.metadata.uid = "u1";
  set.metadata.resource_version = "7";
  const auto object = make_object(set);
  const auto reference = reference_to(object);
  CHECK(reference.kind == "ReplicaSet");
  CHECK(reference.api_version == "apps/v1");
  CHECK(reference.namespace_name == "shop");
  CHECK(reference.name == "web-1");
  CHECK(reference.uid == "u1");
  CHECK(reference.resource_version == "7");
  ObjectMeta owned;
  CHECK(find_controller(owned) == nullptr);
  owned.owner_references.push_back({"v1", "ConfigMap", "c", "u0", false, false});
  CHECK(find_controller(owned) == nullptr);
  owned.owner_references.push_back(controller_reference(object));
  REQUIRE(find_controller(owned) != nullptr);
  CHECK(find_controller(owned)->uid == "u1");
  CHECK(find_controller(owned)->block_owner_deletion);
}

TEST_CASE("a kind makes, copies and opens bodies of its own type") {
  const Kind& kind = kind_of<ConfigMap>();
  const auto body = kind.make();
  kind.meta(body.get()).name = "a";
  const auto copy = kind.copy(body.get());
  kind.meta(copy.get()).name = "b";
  CHECK(kind.meta(body.get()).name == "a");
  CHECK(static_cast<const ConfigMap*>(copy.get())->metadata.name == "b");
  CHECK(Object(kind, body).meta().name == "a");
}

}  // namespace
}  // namespace moored
