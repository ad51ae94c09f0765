// What only the whole commit can tell.
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/validate/pod_specs.hpp"
#include "schema/validate/validate.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using Level = AdmissionPolicy::Level;
using testing::decode_good;

Object from(const std::string& yaml, const std::string& file, int line) {
  Provenance provenance;
  provenance.file = file;
  provenance.line = line;
  return decode_good(yaml).with_provenance(std::move(provenance));
}

// Errors as "file:line field reason".
std::vector<std::string> judge(const std::vector<Object>& objects,
                               const AdmissionPolicy& policy = {}) {
  Diagnostics diagnostics;
  validate_commit(objects, policy, diagnostics);
  std::vector<std::string> out;
  for (const auto& error : diagnostics.errors()) {
    out.push_back(error.place.file + ":" + std::to_string(error.place.line) + " " +
                  error.place.field + " " + error.reason);
  }
  return out;
}

using Errors = std::vector<std::string>;

std::string config_map(const std::string& name, const std::string& space = "shop") {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + space +
         "}\n";
}

std::string deployment(const std::string& name, const std::string& app,
                       const std::string& rest = "", const std::string& pod = "",
                       const std::string& space = "shop") {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", namespace: " +
         space + "}\nspec:\n" + rest + "  selector: {matchLabels: {app: " + app + "}}\n" +
         "  template:\n    metadata: {labels: {app: " + app + "}}\n    spec:\n" + pod +
         "      containers: [{name: c, image: a:1}]\n";
}

TEST_CASE("an object that is written twice names both places") {
  Diagnostics diagnostics;
  validate_commit({from(config_map("a"), "one.yaml", 1), from(config_map("b"), "one.yaml", 9),
                   from(config_map("a"), "two.yaml", 4)},
                  {}, diagnostics);
  REQUIRE(diagnostics.error_count() == 1);
  const auto& error = diagnostics.errors().front();
  CHECK(error.reason == "DuplicateObject");
  CHECK(error.place == Place{"two.yaml", 4, 0, "metadata.name"});
  CHECK(error.message.find("one.yaml:1") != std::string::npos);
}

TEST_CASE("the same name in another namespace or kind is another object") {
  CHECK(judge({from(config_map("a"), "f", 1), from(config_map("a", "other"), "f", 5),
               from("apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: shop}\n", "f",
                    9)})
            .empty());
}

TEST_CASE("an object that is written three times is told twice") {
  CHECK(judge({from(config_map("a"), "f", 1), from(config_map("a"), "f", 5),
               from(config_map("a"), "f", 9)}) ==
        Errors{"f:5 metadata.name DuplicateObject", "f:9 metadata.name DuplicateObject"});
}

TEST_CASE("limits of replicas and objects belong to the operator") {
  AdmissionPolicy policy;
  policy.max_replicas = 10;
  CHECK(judge({from(deployment("a", "a", "  replicas: 10\n"), "f", 1)}, policy).empty());
  CHECK(judge({from(deployment("a", "a", "  replicas: 11\n"), "f", 1)}, policy) ==
        Errors{"f:1 spec.replicas LimitExceeded"});
  policy.max_objects = 2;
  CHECK(judge({from(config_map("a"), "f", 1), from(config_map("b"), "f", 5),
               from(config_map("c"), "g", 7)},
              policy) == Errors{"g:7  LimitExceeded"});
}

TEST_CASE("two workloads cannot have one selector in one namespace") {
  const auto one = from(deployment("one", "x"), "f", 1);
  CHECK(judge({one, from(deployment("two", "x"), "f", 20)}) ==
        Errors{"f:20 spec.selector InvalidValue"});
  CHECK(judge({one, from(deployment("two", "z"), "f", 20)}).empty());
  CHECK(judge({one, from(deployment("two", "x", "", "", "other"), "f", 20)}).empty());
}

TEST_CASE("policy is judged per namespace, with the path of the template") {
  const std::string host = "      hostPID: true\n";
  const auto bad = from(deployment("a", "a", "", host), "f", 3);
  CHECK(judge({bad}) == Errors{"f:3 spec.template.spec.hostPID Forbidden"});
  AdmissionPolicy policy;
  policy.namespace_levels["shop"] = Level::privileged;
  CHECK(judge({bad}, policy).empty());
  const auto elsewhere = from(deployment("a", "a", "", host, "other"), "f", 3);
  CHECK(judge({elsewhere}, policy) == Errors{"f:3 spec.template.spec.hostPID Forbidden"});
  policy.default_level = Level::privileged;
  policy.namespace_levels["shop"] = Level::restricted;
  CHECK(judge({elsewhere}, policy).empty());
  CHECK(judge({bad}, policy).size() == 5);
}

TEST_CASE("a way to treat drift that does not exist is refused where it stands") {
  const auto annotate = [](std::string yaml, const std::string& word) {
    const std::string labels = "metadata: {labels: {app: x}}";
    const auto at = yaml.find(labels);
    return yaml.replace(at, labels.size(),
                        "metadata: {labels: {app: x}, annotations: {moored.dev/drift: " + word +
                            "}}");
  };
  for (const auto* word : {"\"off\"", "report", "correct"}) {
    CHECK(judge({from(annotate(deployment("a", "x"), word), "a.yaml", 1)}).empty());
  }
  CHECK(judge({from(annotate(deployment("a", "x"), "Report"), "a.yaml", 1)}) ==
        Errors{"a.yaml:1 spec.template.metadata.annotations[\"moored.dev/drift\"] InvalidValue"});
  const std::string pod =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {moored.dev/drift: never}}\n"
      "spec:\n  containers: [{name: c, image: a:1}]\n";
  CHECK(judge({from(pod, "p.yaml", 1)}) ==
        Errors{"p.yaml:1 metadata.annotations[\"moored.dev/drift\"] InvalidValue"});
}

TEST_CASE("labels of a namespace do not change the policy") {
  CHECK(judge({from("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: "
                    "{pod-security.kubernetes.io/enforce: privileged}\n", "f", 1),
               from(deployment("a", "a", "", "      hostIPC: true\n"), "f", 9)}) ==
        Errors{"f:9 spec.template.spec.hostIPC Forbidden"});
}

TEST_CASE("two Services cannot have one address") {
  const auto service = [](const std::string& name, const std::string& address) {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\n" +
           "spec: {clusterIP: " + address + ", ports: [{port: 80}]}\n";
  };
  CHECK(judge({from(service("a", "10.210.0.9"), "f", 1),
               from(service("b", "10.210.0.9"), "f", 7)}) ==
        Errors{"f:7 spec.clusterIP InvalidValue"});
  CHECK(judge({from(service("a", "None"), "f", 1), from(service("b", "None"), "f", 7)}).empty());
}

TEST_CASE("a unit takes its source from its own namespace") {
  const std::string source =
      "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n"
      "metadata: {name: a, namespace: one}\nspec: {url: \"https://git.test/a\", interval: 1m}\n";
  const auto unit = [](const std::string& space, const std::string& name) {
    return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
           "metadata: {name: u, namespace: " + space + "}\n" +
           "spec: {interval: 1m, sourceRef: {kind: GitRepository, name: " + name + "}}\n";
  };
  CHECK(judge({from(source, "f", 1), from(unit("one", "a"), "f", 9)}).empty());
  CHECK(judge({from(source, "f", 1), from(unit("two", "a"), "f", 9)}) ==
        Errors{"f:9 spec.sourceRef.name InvalidValue"});
  // It may come from another unit.
  CHECK(judge({from(unit("two", "b"), "f", 9)}).empty());
}

TEST_CASE("pod specifications are found in every kind by the rows alone") {
  std::vector<std::string> paths;
  const auto visit = [&](const PodSpec&, const ObjectMeta& meta, const std::string& path) {
    paths.push_back(path + " " + (meta.labels.empty() ? "none" : meta.labels.begin()->second));
  };
  visit_pod_specs(from(deployment("a", "x"), "f", 1), visit);
  visit_pod_specs(from(config_map("a"), "f", 1), visit);
  visit_pod_specs(decode_good(testing::container_yaml("")), visit);
  CHECK(paths == std::vector<std::string>{"spec.template.spec x", "spec none"});
}

TEST_CASE("members are found by path and type") {
  const auto object = from(deployment("a", "x", "  replicas: 4\n"), "f", 1);
  const auto& wanted = TypeOf<std::optional<std::int32_t>>::value;
  const auto* found =
      static_cast<const std::optional<std::int32_t>*>(find_member(object, "spec.replicas", wanted));
  REQUIRE(found != nullptr);
  CHECK(*found == 4);
  CHECK(find_member(object, "spec.replicas", TypeOf<std::int32_t>::value) == nullptr);
  CHECK(find_member(object, "spec.nothing", wanted) == nullptr);
  CHECK(find_member(object, "spec.selector.matchLabels", TypeOf<Labels>::value) == nullptr);
}

}  // namespace
}  // namespace moored
