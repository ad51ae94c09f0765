// Discovery in both forms: what kubectl learns about the server.
#include <catch2/catch.hpp>

#include <set>

#include "net/api/discovery.hpp"
#include "tests/unit/net/api_fake.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;

const Value* find_named(const Value& list, std::string_view field, std::string_view name) {
  for (const auto& item : list.items) {
    if (at(item, std::string(field)) == name) return &item;
  }
  return nullptr;
}

constexpr auto kNewForm =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

TEST_CASE("api discovery: the version claims the level that is implemented") {
  test::FakeApi api;
  const auto body = body_of(api.get("/version"));
  CHECK(at(body, "gitVersion").rfind("v1.32.0+moored.", 0) == 0);
  CHECK(at(body, "major") == "1");
  CHECK(at(body, "minor") == "32");
  for (const auto* name :
       {"gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"}) {
    CHECK(at(body, name) != "?");
  }
}

TEST_CASE("api discovery: the old form lists groups, versions and resources") {
  test::FakeApi api;
  const auto core = body_of(api.get("/api"));
  CHECK(at(core, "kind") == "APIVersions");
  CHECK(at(core, "versions.0") == "v1");
  CHECK(at(core, "serverAddressByClientCIDRs.0.serverAddress") == "127.0.0.1:6446");
  const auto groups = body_of(api.get("/apis/"));
  CHECK(at(groups, "kind") == "APIGroupList");
  const auto* apps = find_named(*groups.find("groups"), "name", "apps");
  REQUIRE(apps != nullptr);
  CHECK(at(*apps, "preferredVersion.groupVersion") == "apps/v1");
  CHECK(at(*apps, "versions.0.version") == "v1");
  const auto group = body_of(api.get("/apis/apps"));
  CHECK(at(group, "kind") == "APIGroup");
  CHECK(at(group, "name") == "apps");
  CHECK(api.get("/apis/nosuch").status == 404);
  CHECK(api.get("/apis/apps/v9").status == 404);
  CHECK(api.get("/api/v2").status == 404);
}

TEST_CASE("api discovery: a resource says what can be done with it") {
  test::FakeApi api;
  const auto core = body_of(api.get("/api/v1"));
  CHECK(at(core, "kind") == "APIResourceList");
  CHECK(at(core, "groupVersion") == "v1");
  const auto& resources = *core.find("resources");
  const auto* pods = find_named(resources, "name", "pods");
  REQUIRE(pods != nullptr);
  CHECK(at(*pods, "singularName") == "pod");
  CHECK(at(*pods, "namespaced") == "true");
  CHECK(at(*pods, "kind") == "Pod");
  CHECK(at(*pods, "shortNames.0") == "po");
  CHECK(at(*pods, "categories.0") == "all");
  CHECK(write_json(*pods->find("verbs")) == R"(["get","list","watch"])");
  REQUIRE(find_named(resources, "name", "pods/log") != nullptr);
  const auto* nodes = find_named(resources, "name", "nodes");
  REQUIRE(nodes != nullptr);
  CHECK(at(*nodes, "namespaced") == "false");
  CHECK(nodes->find("categories") == nullptr);
  const auto apps = body_of(api.get("/apis/apps/v1"));
  const auto* scale = find_named(*apps.find("resources"), "name", "deployments/scale");
  REQUIRE(scale != nullptr);
  CHECK(at(*scale, "kind") == "Scale");
  CHECK(at(*scale, "group") == "autoscaling");
  CHECK(write_json(*scale->find("verbs")) == R"(["get"])");
  const auto reviews = body_of(api.get("/apis/authorization.k8s.io/v1"));
  const auto* review = find_named(*reviews.find("resources"), "name", "selfsubjectaccessreviews");
  REQUIRE(review != nullptr);
  CHECK(write_json(*review->find("verbs")) == R"(["create"])");
}

TEST_CASE("api discovery: the aggregated form repeats its parameters in the type") {
  test::FakeApi api;
  const auto core = api.get("/api", kNewForm);
  CHECK(core.content_type ==
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  const auto body = body_of(core);
  CHECK(at(body, "kind") == "APIGroupDiscoveryList");
  CHECK(at(body, "apiVersion") == "apidiscovery.k8s.io/v2");
  CHECK(at(body, "items.0.metadata.name").empty());
  const auto& resources =
      *body.find("items")->items[0].find("versions")->items[0].find("resources");
  const auto* pods = find_named(resources, "resource", "pods");
  REQUIRE(pods != nullptr);
  CHECK(at(*pods, "scope") == "Namespaced");
  CHECK(at(*pods, "responseKind.kind") == "Pod");
  REQUIRE(pods->find("subresources") != nullptr);
  CHECK(find_named(*pods->find("subresources"), "subresource", "log") != nullptr);
  const auto beta =
      api.get("/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList");
  CHECK(beta.content_type.find("v=v2beta1") != std::string::npos);
  CHECK(at(body_of(beta), "apiVersion") == "apidiscovery.k8s.io/v2beta1");
}

TEST_CASE("api discovery: both forms list the same resources") {
  test::FakeApi api;
  std::set<std::string> old_names;
  std::set<std::string> new_names;
  const auto groups = body_of(api.get("/apis"));
  std::vector<std::string> versions{"/api/v1"};
  for (const auto& group : groups.find("groups")->items) {
    for (const auto& version : group.find("versions")->items) {
      versions.push_back("/apis/" + at(version, "groupVersion"));
    }
  }
  for (const auto& path : versions) {
    const auto list = body_of(api.get(path));
    for (const auto& item : list.find("resources")->items) {
      const auto name = at(item, "name");
      if (name.find('/') == std::string::npos) old_names.insert(path + "/" + name);
    }
  }
  for (const auto* root : {"/api", "/apis"}) {
    const auto tree = body_of(api.get(root, kNewForm));
    for (const auto& group : tree.find("items")->items) {
      const auto name = at(group, "metadata.name");
      for (const auto& version : group.find("versions")->items) {
        const auto path = name.empty() ? "/api/" + at(version, "version")
                                       : "/apis/" + name + "/" + at(version, "version");
        for (const auto& item : version.find("resources")->items) {
          new_names.insert(path + "/" + at(item, "resource"));
        }
      }
    }
  }
  CHECK(old_names == new_names);
  CHECK(old_names.count("/api/v1/pods") == 1);
  CHECK(old_names.count("/apis/events.k8s.io/v1/events") == 1);
  CHECK(old_names.count("/apis/discovery.k8s.io/v1beta1/endpointslices") == 0);
}

TEST_CASE("api discovery: core events come before those of the newer group") {
  std::size_t core = 0;
  std::size_t newer = 0;
  const auto& rows = all_resources();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].plural == "events") (rows[i].group.empty() ? core : newer) = i;
  }
  CHECK(core < newer);
}

TEST_CASE("api discovery: every advertised resource answers an empty list and a Table") {
  test::FakeApi api;
  for (const auto& row : all_resources()) {
    if (row.stored == nullptr) continue;
    const auto prefix =
        row.group.empty() ? std::string("/api/v1/") : "/apis/" + row.api_version() + "/";
    INFO(prefix << row.plural);
    const auto list = api.get(prefix + std::string(row.plural));
    CHECK(list.status == 200);
    CHECK(at(body_of(list), "kind") == std::string(row.kind) + "List");
    CHECK(at(body_of(list), "apiVersion") == row.api_version());
    CHECK(write_json(body_of(list)).find("\"items\":[]") != std::string::npos);
    const auto table = body_of(
        api.get(prefix + std::string(row.plural), "application/json;as=Table;v=v1;g=meta.k8s.io"));
    CHECK(at(table, "kind") == "Table");
    int names = 0;
    for (const auto& column : table.find("columnDefinitions")->items) {
      names += at(column, "format") == "name" ? 1 : 0;
    }
    CHECK(names == 1);
  }
}

TEST_CASE("api discovery: the root lists the paths") {
  test::FakeApi api;
  const auto body = body_of(api.get("/"));
  std::set<std::string> paths;
  for (const auto& path : body.find("paths")->items)
    paths.insert(path.scalar);
  for (const auto* path : {"/api", "/api/v1", "/apis", "/apis/apps/v1", "/version", "/status"}) {
    CHECK(paths.count(path) == 1);
  }
}

}  // namespace
}  // namespace moored::net::api
