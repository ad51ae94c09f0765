// Whole manifests through readers, rows and engine: what people write and what they are told.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"

using namespace moored;

namespace {

struct Reading {
  std::vector<Object> objects;
  Diagnostics diagnostics;
};

Reading read(const std::string& yaml) {
  Reading out;
  for (const auto& document : read_yaml(yaml, "m.yaml", out.diagnostics)) {
    if (auto object = decode_manifest(document, "m.yaml", out.diagnostics)) {
      out.objects.push_back(std::move(*object));
    }
  }
  return out;
}

std::string all_errors(const Diagnostics& diagnostics) {
  std::string out;
  for (const auto& error : diagnostics.errors()) out += error.text() + "\n";
  return out;
}

const char* const kDeployment = R"(apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: nginx
          ports: [{containerPort: 80}]
          resources: {limits: {cpu: 500m, memory: 64Mi}}
          readinessProbe: {httpGet: {port: 80}}
)";

std::string with(std::string text, const std::string& before, const std::string& after) {
  const auto at = text.find(before);
  REQUIRE(at != std::string::npos);
  return text.replace(at, before.size(), after);
}

}  // namespace

TEST_CASE("a Deployment comes out with Kubernetes' defaults") {
  const auto reading = read(kDeployment);
  INFO(all_errors(reading.diagnostics));
  REQUIRE(reading.objects.size() == 1);
  const auto& spec = reading.objects[0].as<Deployment>().spec;
  CHECK(spec.replicas == 1);
  CHECK(spec.revision_history_limit == 10);
  CHECK(spec.progress_deadline_seconds == 600);
  CHECK(spec.strategy.type == "RollingUpdate");
  CHECK(spec.strategy.rolling_update->max_surge == IntOrString::of("25%"));
  const auto& pod = spec.pod_template.spec;
  CHECK(pod.restart_policy == "Always");
  CHECK(pod.dns_policy == "ClusterFirst");
  CHECK(pod.termination_grace_period_seconds == 30);
  const auto& container = pod.containers.at(0);
  CHECK(container.image_pull_policy == "Always");
  CHECK(container.termination_message_path == "/dev/termination-log");
  CHECK(container.ports.at(0).protocol == "TCP");
  CHECK(container.resources.requests.at("cpu").milli() == 500);
  CHECK(container.readiness_probe->period_seconds == 10);
  CHECK(container.readiness_probe->http_get->path == "/");
}

TEST_CASE("mistakes in a Deployment are named where they stand") {
  struct Row {
    const char* before;
    const char* after;
    const char* reason;
    const char* place;
    const char* field;
  };
  const Row rows[] = {
      {"spec:\n  selector", "spec:\n  replica: 3\n  selector", "UnknownField", "6:3",
       "spec.replica"},
      {"image: nginx", "image: 7", "WrongType", "12:18", "spec.template.spec.containers[0].image"},
      {"image: nginx", "image: 'Bad Name'", "", "12:18",
       "spec.template.spec.containers[0].image"},
      {"kind: Deployment", "kind: Deploymnt", "UnknownKind", "2:7", "kind"},
      {"apiVersion: apps/v1", "apiVersion: apps/v1beta1", "UnknownKind", "", ""},
      {"name: web\nspec", "name: Web_1\nspec", "InvalidName", "4:9", "metadata.name"},
      {"containerPort: 80", "containerPort: 99999", "InvalidValue", "",
       "spec.template.spec.containers[0].ports[0].containerPort"},
      {"{app: web}}\n  template", "{app: other}}\n  template", "InvalidValue", "", "spec.selector"},
      {"          image: nginx\n", "", "InvalidValue", "",
       "spec.template.spec.containers[0].image"},
  };
  for (const auto& row : rows) {
    const auto reading = read(with(kDeployment, row.before, row.after));
    INFO(row.after << " gave " << all_errors(reading.diagnostics));
    CHECK(reading.objects.empty());
    REQUIRE(reading.diagnostics.error_count() >= 1);
    const auto& error = reading.diagnostics.errors().front();
    if (*row.reason != '\0') CHECK(error.reason == row.reason);
    if (*row.place != '\0') {
      CHECK(std::to_string(error.place.line) + ":" + std::to_string(error.place.column) ==
            row.place);
    }
    if (*row.field != '\0') CHECK(error.place.field == row.field);
  }
}

TEST_CASE("a key that is wrong is named where it stands") {
  const auto reading = read("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
                            "  ../../etc/cron.d/x: boo\n  \"..\": there\n");
  REQUIRE(reading.diagnostics.error_count() == 2);
  for (const auto& error : reading.diagnostics.errors()) {
    CHECK(error.reason == "InvalidName");
    CHECK(error.place.column == 3);
  }
}

TEST_CASE("a required text that is empty is told by its check") {
  const struct {
    const char* image;
    const char* reason;
  } rows[] = {{"image: \"\"", "ReferenceInvalid"}, {"image:", "InvalidValue"}};
  for (const auto& row : rows) {
    const auto reading = read(with(kDeployment, "image: nginx", row.image));
    INFO(all_errors(reading.diagnostics));
    REQUIRE(reading.diagnostics.error_count() == 1);
    CHECK(reading.diagnostics.errors().front().reason == row.reason);
    CHECK(reading.diagnostics.errors().front().place.line == 12);
  }
}

TEST_CASE("what the server writes is dropped with a warning when pasted") {
  const auto reading = read(
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  uid: abc\n"
      "  resourceVersion: '1'\n  creationTimestamp: 2026-01-01T00:00:00Z\ndata: {k: v}\n");
  INFO(all_errors(reading.diagnostics));
  REQUIRE(reading.objects.size() == 1);
  CHECK(reading.diagnostics.warning_count() == 3);
  CHECK(reading.objects[0].meta().uid.empty());
}

TEST_CASE("every object of the example reads and comes back unchanged from the store") {
  const auto directory = std::filesystem::path(MOORED_SOURCE_DIR) / "examples/guestbook/manifests";
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const auto reading = read(text.str());
    INFO(entry.path() << ": " << all_errors(reading.diagnostics));
    CHECK(reading.diagnostics.ok());
    for (const auto& object : reading.objects) {
      ++count;
      const auto again = decode_stored_json(object.kind(), encode_json(object));
      REQUIRE(again);
      CHECK(diff(object, *again, true).empty());
      CHECK(encode_json(*again) == encode_json(object));
    }
  }
  CHECK(count >= 6);
}

// Fifty thousand keys: a walk that looks at all keys for each key would not come to an end here.
TEST_CASE("a map of many keys is read, written, compared and checked for doubles") {
  std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: many}\ndata:\n";
  constexpr int kKeys = 50'000;
  for (int i = 0; i < kKeys; ++i) text += "  k" + std::to_string(i) + ": v\n";
  const auto before = read(text);
  REQUIRE(before.diagnostics.errors().empty());
  REQUIRE(before.objects.size() == 1);
  const auto& data = before.objects.front().as<ConfigMap>().data;
  CHECK(data.size() == kKeys);
  CHECK(data.at("k49999") == "v");

  const auto after = read(with(text, "  k49999: v\n", "  k49999: w\n"));
  REQUIRE(after.objects.size() == 1);
  const auto changes = diff(before.objects.front(), after.objects.front(), false);
  REQUIRE(changes.size() == 1);
  CHECK(changes.front().path == "data.k49999");

  const auto doubled = read(text + "  k7: again\n");
  CHECK_THAT(all_errors(doubled.diagnostics), Catch::Contains("m.yaml:50005:3") &&
                                                  Catch::Contains("already given at line 12"));
}

TEST_CASE("a kind that Kubernetes knows is refused with the reason") {
  const auto reading =
      read("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\nspec: {}\n");
  REQUIRE(reading.diagnostics.error_count() == 1);
  const auto& error = reading.diagnostics.errors().front();
  CHECK(error.reason == "UnknownKind");
  CHECK(error.text().find("not carried out") != std::string::npos);
}
