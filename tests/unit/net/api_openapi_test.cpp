// OpenAPI v3 made from the tables: complete, closed under references, and fit for explain.
#include "net/api/openapi.hpp"

#include <catch2/catch.hpp>

#include <set>

#include "tests/unit/net/api_fake.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;
using test::FakeApi;

void collect_references(const Value& node, std::set<std::string>& found) {
  if (const auto* reference = node.find("$ref")) {
    found.insert(reference->scalar.substr(reference->scalar.rfind('/') + 1));
  }
  for (const auto& [key, value] : node.members)
    collect_references(value, found);
  for (const auto& item : node.items)
    collect_references(item, found);
}

TEST_CASE("api openapi: the index names a document for every version that has objects") {
  FakeApi api;
  const auto index = body_of(api.get("/openapi/v3"));
  const auto* paths = index.find("paths");
  REQUIRE(paths != nullptr);
  std::set<std::string> names;
  for (const auto& [name, entry] : paths->members) {
    names.insert(name.scalar);
    const auto url = at(entry, "serverRelativeURL");
    INFO(url);
    CHECK(url.rfind("/openapi/v3/" + name.scalar + "?hash=", 0) == 0);
    const auto document = api.get(url);
    CHECK(document.status == 200);
    CHECK(at(body_of(document), "openapi") == "3.0.0");
  }
  CHECK(names.count("api/v1") == 1);
  CHECK(names.count("apis/apps/v1") == 1);
  CHECK(names.count("apis/authorization.k8s.io/v1") == 0);
  CHECK(api.get("/openapi/v3/apis/nosuch/v1").status == 404);
  CHECK(api.get("/openapi/v3/api").status == 404);
}

TEST_CASE("api openapi: every reference leads somewhere and every kind is marked") {
  FakeApi api;
  const auto index = body_of(api.get("/openapi/v3"));
  for (const auto& [name, entry] : index.find("paths")->members) {
    INFO(name.scalar);
    const auto document = body_of(api.get(at(entry, "serverRelativeURL")));
    const auto* schemas = document.find("components")->find("schemas");
    REQUIRE(schemas != nullptr);
    std::set<std::string> references;
    collect_references(*schemas, references);
    for (const auto& reference : references) {
      INFO(reference);
      CHECK(schemas->find(reference) != nullptr);
    }
    std::set<std::string> marked;
    for (const auto& [schema_name, schema] : schemas->members) {
      if (const auto* mark = schema.find("x-kubernetes-group-version-kind")) {
        marked.insert(at(mark->items[0], "kind"));
        CHECK(schema.find("properties")->find("apiVersion") != nullptr);
        CHECK(schema.find("properties")->find("metadata") != nullptr);
      }
    }
    for (const auto& [path, operations] : document.find("paths")->members) {
      const auto kind = at(operations, "get.x-kubernetes-group-version-kind.kind");
      CHECK(marked.count(kind) == 1);
    }
  }
}

TEST_CASE("api openapi: a patch announces that the server validates") {
  FakeApi api;
  const auto document = body_of(api.get("/openapi/v3/apis/apps/v1"));
  const auto* path =
      document.find("paths")->find("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
  REQUIRE(path != nullptr);
  CHECK(at(*path, "patch.x-kubernetes-action") == "patch");
  CHECK(at(*path, "patch.parameters.1.name") == "fieldValidation");
  CHECK(at(*path, "patch.responses.405.description") == "moored is read-only");
  CHECK(at(*path, "get.x-kubernetes-action") == "get");
}

TEST_CASE("api openapi: fields have types, documents and defaults, refused ones are left out") {
  FakeApi api;
  const auto document = body_of(api.get("/openapi/v3/api/v1"));
  const auto& schemas = *document.find("components")->find("schemas");
  const auto* container = schemas.find("io.moored.Container");
  REQUIRE(container != nullptr);
  const auto& fields = *container->find("properties");
  CHECK(at(fields, "image.type") == "string");
  CHECK_FALSE(at(fields, "image.description").empty());
  CHECK(at(fields, "command.type") == "array");
  CHECK(at(fields, "command.items.type") == "string");
  CHECK(at(fields, "ports.items.allOf.0.$ref") == "#/components/schemas/io.moored.ContainerPort");
  for (const auto& row : find_kind("v1", "Pod")->schema().fields) {
    const bool refused = (row.flags & kUnset) != 0;
    const auto& pod = *schemas.find("io.moored.Pod")->find("properties");
    CHECK((pod.find(row.name) == nullptr) == refused);
  }
}

TEST_CASE("api openapi: a document carries its hash") {
  FakeApi api;
  const auto first = api.get("/openapi/v3/api/v1");
  const auto again = api.get("/openapi/v3/api/v1");
  CHECK(first.body.get() == again.body.get());
  REQUIRE(first.headers.size() == 1);
  CHECK(first.headers[0].name == "ETag");
  const auto index = write_json(body_of(api.get("/openapi/v3")));
  const auto hash = first.headers[0].value.substr(1, first.headers[0].value.size() - 2);
  CHECK(index.find(hash) != std::string::npos);
}

}  // namespace
}  // namespace moored::net::api
