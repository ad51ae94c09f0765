// The kind that docs/adding-a-kind.md walks through.
#include <algorithm>

#include "schema/model/replication_controller.hpp"
#include "schema/validate/validate.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using testing::decode_good;
using testing::errors_of;

std::string yaml(const std::string& spec, const std::string& name = "web") {
  return "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: " + name +
         ", namespace: shop}\nspec:\n" + spec +
         "  template: {metadata: {labels: {app: web}}, "
         "spec: {containers: [{name: c, image: a}]}}\n";
}

TEST_CASE("the template's labels stand in for the selector and the labels") {
  const auto object = decode_good(yaml(""));
  const auto& controller = object.as<ReplicationController>();
  CHECK(controller.spec.replicas == 1);
  CHECK(controller.spec.selector == Labels{{"app", "web"}});
  CHECK(controller.metadata.labels == Labels{{"app", "web"}});
  CHECK(controller.spec.pod_template.spec.containers[0].image_pull_policy == "Always");
}

TEST_CASE("a selector that does not fit, and other mistakes") {
  CHECK(errors_of(yaml("  selector: {app: db}\n")) ==
        std::vector<std::string>{"spec.selector InvalidValue"});
  CHECK(errors_of(yaml("  selector: {matchLabels: {app: web}}\n")) ==
        std::vector<std::string>{"spec.selector.matchLabels WrongType"});
  CHECK(errors_of(yaml("  replicas: -1\n")) ==
        std::vector<std::string>{"spec.replicas InvalidValue"});
  CHECK(errors_of("apiVersion: v1\nkind: ReplicationController\nmetadata: {name: a}\nspec: {}\n") ==
        std::vector<std::string>{"spec.template.spec.containers InvalidValue",
                                 "spec.selector InvalidValue"});
}

TEST_CASE("it is found under its names, with scale and status") {
  const Kind& kind = kind_of<ReplicationController>();
  CHECK(find_resource("", "v1", "replicationcontrollers") == &kind);
  CHECK(kind.short_names.front() == "rc");
  CHECK(kind.in_all);
  CHECK(std::vector<std::string_view>(kind.subresources.begin(), kind.subresources.end()) ==
        std::vector<std::string_view>{"status", "scale"});
}

TEST_CASE("its row in kubectl get") {
  auto controller = decode_good(yaml("  replicas: 3\n")).as<ReplicationController>();
  controller.status.replicas = 2;
  controller.status.ready_replicas = 1;
  const auto object = make_object(controller);
  const auto cells = object.kind().table->cells(object, Time{});
  REQUIRE(cells.size() == object.kind().table->columns.size());
  CHECK(cells[0].text == "web");
  CHECK(cells[1].number == 3);
  CHECK(cells[2].number == 2);
  CHECK(cells[3].number == 1);
  CHECK(cells[5].text == "c");
  CHECK(cells[6].text == "a");
  CHECK(cells[7].text == "app=web");
}

TEST_CASE("policy, limits and selector claims hold without a line of their own") {
  AdmissionPolicy policy;
  policy.default_level = AdmissionPolicy::Level::restricted;
  policy.max_replicas = 2;
  Diagnostics diagnostics;
  validate_commit({decode_good(yaml("  replicas: 3\n", "a")), decode_good(yaml("", "b"))}, policy,
                  diagnostics);
  std::vector<std::string> fields;
  for (const auto& error : diagnostics.errors()) fields.push_back(error.place.field);
  CHECK(std::count(fields.begin(), fields.end(), "spec.replicas") == 1);
  CHECK(std::count(fields.begin(), fields.end(), "spec.selector") == 1);
  CHECK(std::count(fields.begin(), fields.end(),
                   "spec.template.spec.containers[0].securityContext.runAsNonRoot") == 2);
}

TEST_CASE("what is stored is read again unchanged") {
  const auto object = decode_good(yaml("  minReadySeconds: 3\n"));
  const auto again = decode_stored_json(object.kind(), encode_json(object));
  REQUIRE(again);
  CHECK(again->as<ReplicationController>() == object.as<ReplicationController>());
}

}  // namespace
}  // namespace moored
