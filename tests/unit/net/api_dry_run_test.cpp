// Dry runs: what a manifest would become, and that nothing is stored.
#include "net/api/dry_run.hpp"

#include <catch2/catch.hpp>

#include "schema/ports/preview.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

// Takes identity over from what is recorded; refuses what is called forbidden.
struct FakePreview final : Preview {
  Result<Object> preview(const Object& declared, const StateView& view) const override {
    if (declared.meta().name == "forbidden") return fail(Code::invalid, "policy says no");
    auto config = declared.as<ConfigMap>();
    if (const auto recorded = view.find(declared.key())) {
      config.metadata.uid = recorded->meta().uid;
      config.metadata.resource_version = recorded->meta().resource_version;
    }
    return make_object(std::move(config));
  }
};

struct DryApi {
  test::FakeApi api;
  FakePreview preview;
  DryApi() {
    api.context.preview = &preview;
    ConfigMap config;
    config.metadata.name = "settings";
    config.metadata.namespace_name = "shop";
    config.data["text"] = "first";
    api.state.put(config);
  }
  Response patch(const std::string& body, const std::string& name = "settings",
                 const std::string& type = "application/apply-patch+yaml") {
    return api.ask("PATCH", kMaps + "/" + name + "?dryRun=All&fieldManager=kubectl&force=false", {},
                   body, type);
  }
  Response post(const std::string& body, const std::string& query = "?dryRun=All") {
    return api.ask("POST", kMaps + query, {}, body);
  }
  const std::string kMaps = "/api/v1/namespaces/shop/configmaps";
};

std::string manifest(const std::string& name, const std::string& text) {
  return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name +
         R"("},"data":{"text":")" + text + "\"}}";
}

std::string message_of(const Response& response) {
  const auto body = read_json(*response.body);
  REQUIRE(body);
  const auto* message = body->find("message");
  return message != nullptr ? message->scalar : std::string();
}

TEST_CASE("dry run: the answer is the object as it would be, and nothing is stored") {
  DryApi with;
  const auto before = *with.api.get("/api/v1/configmaps").body;
  const auto changed = with.patch(manifest("settings", "second"));
  CHECK(changed.status == 200);
  const auto body = read_json(*changed.body);
  REQUIRE(body);
  CHECK(body->find("data")->find("text")->scalar == "second");
  CHECK(body->find("metadata")->find("resourceVersion")->scalar == "1");
  CHECK(body->find("metadata")->find("namespace")->scalar == "shop");
  CHECK(with.patch(manifest("new", "x"), "new").status == 201);
  CHECK(with.post(manifest("other", "x")).status == 201);
  CHECK(*with.api.get("/api/v1/configmaps").body == before);
}

TEST_CASE("dry run: a body that is wrong is refused with all its mistakes") {
  DryApi with;
  const auto wrong = with.patch(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"dat":{},"data":{"a":1}})");
  CHECK(wrong.status == 422);
  CHECK(message_of(wrong).find("dat") != std::string::npos);
  CHECK(message_of(wrong).find("data") != std::string::npos);
  CHECK(with.patch(manifest("other", "x")).status == 400);  // not the name in the path
  CHECK(with.post(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}})").status == 400);
  CHECK(
      with.post(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"s","namespace":"a"}})")
          .status == 400);
  CHECK(with.post("{").status == 400);
  CHECK(with.patch("kind: ConfigMap\n").status == 415);
  const auto forbidden = with.post(manifest("forbidden", "x"));
  CHECK(forbidden.status == 422);
  CHECK(message_of(forbidden).find("policy says no") != std::string::npos);
}

TEST_CASE("dry run: other patches, other values and other paths stay refused") {
  DryApi with;
  for (const char* type : {"application/strategic-merge-patch+json", "application/json-patch+json",
                           "application/merge-patch+json", ""}) {
    INFO(type);
    const auto refused = with.patch(manifest("settings", "x"), "settings", type);
    CHECK(refused.status == 405);
    CHECK(message_of(refused).find("--server-side") != std::string::npos);
    CHECK(message_of(refused).find("moorctl plan") != std::string::npos);
  }
  for (const char* query : {"", "?dryRun=", "?dryRun=Some", "?dryrun=All"}) {
    INFO(query);
    CHECK(with.post(manifest("other", "x"), query).status == 405);
  }
  CHECK(with.api.ask("PUT", with.kMaps + "/settings?dryRun=All", {}, manifest("settings", "x"))
            .status == 405);
  CHECK(with.api.ask("DELETE", with.kMaps + "/settings?dryRun=All").status == 405);
  CHECK(with.api
            .ask("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/scale?dryRun=All", {},
                 "{}", "application/apply-patch+yaml")
            .status == 405);
  test::FakeApi without;
  CHECK(without.ask("POST", with.kMaps + "?dryRun=All", {}, manifest("other", "x")).status == 405);
}

}  // namespace
}  // namespace moored::net::api
