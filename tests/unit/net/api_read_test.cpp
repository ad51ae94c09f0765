// GET and LIST: objects, lists, Tables, metadata, selectors, paging and versions.
#include <catch2/catch.hpp>

#include "net/api/read.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;
using test::FakeApi;
using test::make_pod;
using test::names_of;
using Names = std::vector<std::string>;

constexpr auto kTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
constexpr auto kMetadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";

// Two namespaces, four pods, one Deployment.
void fill(FakeApi& api) {
  api.state.put(test::make_namespace("shop"));
  api.state.put(make_pod("web-1", "Pending"));
  api.state.put(make_pod("web-0", "Running"));
  api.state.put(make_pod("db-0", "Running", "db"));
  api.state.put(make_pod("web-0", "Succeeded", "web", "other"));
  api.state.put(test::make_deployment("web"));
}

TEST_CASE("api read: an object by name") {
  FakeApi api;
  fill(api);
  const auto pod = api.get("/api/v1/namespaces/shop/pods/web-0");
  CHECK(pod.status == 200);
  CHECK(pod.content_type == "application/json");
  const auto body = body_of(pod);
  CHECK(at(body, "apiVersion") == "v1");
  CHECK(at(body, "kind") == "Pod");
  CHECK(at(body, "metadata.namespace") == "shop");
  CHECK(at(body, "metadata.resourceVersion") == "3");
  CHECK(at(body, "status.phase") == "Running");
  const auto space = body_of(api.get("/api/v1/namespaces/shop"));
  CHECK(at(space, "kind") == "Namespace");
  CHECK(at(body_of(api.get("/api/v1/namespaces/shop/status")), "kind") == "Namespace");
  CHECK(at(body_of(api.get("/apis/apps/v1/namespaces/shop/deployments/web/status")), "kind") ==
        "Deployment");
}

TEST_CASE("api read: what is missing is named as kubectl expects") {
  FakeApi api;
  fill(api);
  const auto pod = body_of(api.get("/api/v1/namespaces/shop/pods/x"));
  CHECK(at(pod, "kind") == "Status");
  CHECK(at(pod, "message") == "pods \"x\" not found");
  CHECK(at(pod, "reason") == "NotFound");
  CHECK(at(pod, "details.kind") == "pods");
  CHECK(at(pod, "details.name") == "x");
  CHECK(at(pod, "details.group") == "?");
  CHECK(at(pod, "code") == "404");
  const auto deployment = body_of(api.get("/apis/apps/v1/namespaces/shop/deployments/x"));
  CHECK(at(deployment, "message") == "deployments.apps \"x\" not found");
  CHECK(at(deployment, "details.group") == "apps");
  for (const auto* path : {"/api/v1/nosuch", "/api/v1/pods/x", "/api/v1/namespaces/shop/nodes",
                           "/api/v1/namespaces/shop/pods/web-0/nosuch",
                           "/apis/apps/v1/namespaces/shop/deployments/web/log",
                           "/api/v1/namespaces/shop/pods/web-0/log/more", "/api/v1/watch/pods"}) {
    INFO(path);
    const auto response = api.get(path);
    CHECK(response.status == 404);
    CHECK(at(body_of(response), "message") == "the server could not find the requested resource");
  }
}

TEST_CASE("api read: lists are ordered and carry the version of the store") {
  FakeApi api;
  fill(api);
  const auto all = body_of(api.get("/api/v1/pods"));
  CHECK(at(all, "kind") == "PodList");
  CHECK(at(all, "apiVersion") == "v1");
  CHECK(at(all, "metadata.resourceVersion") == "6");
  CHECK(names_of(all) == Names{"web-0", "db-0", "web-0", "web-1"});
  CHECK(at(all, "items.0.metadata.namespace") == "other");
  CHECK(names_of(body_of(api.get("/api/v1/namespaces/shop/pods"))) ==
        Names{"db-0", "web-0", "web-1"});
  const auto none = body_of(api.get("/api/v1/namespaces/nowhere/pods"));
  REQUIRE(none.find("items") != nullptr);
  CHECK(none.find("items")->items.empty());
}

TEST_CASE("api read: selectors narrow a list") {
  FakeApi api;
  fill(api);
  struct Row {
    const char* query;
    Names names;
  };
  for (const auto& row : std::vector<Row>{
           {"labelSelector=app%3Dweb", {"web-0", "web-0", "web-1"}},
           {"labelSelector=app+in+%28db%2Ccache%29", {"db-0"}},
           {"labelSelector=app!=web", {"db-0"}},
           {"fieldSelector=status.phase%3DRunning", {"db-0", "web-0"}},
           {"fieldSelector=metadata.name=web-0,metadata.namespace=other", {"web-0"}},
           {"fieldSelector=spec.nodeName%3Dnode1,status.phase%21%3DSucceeded&labelSelector=app=web",
            {"web-0", "web-1"}},
           {"labelSelector=app=nobody", {}}}) {
    INFO(row.query);
    CHECK(names_of(body_of(api.get(std::string("/api/v1/pods?") + row.query))) == row.names);
  }
  for (const auto* query :
       {"labelSelector=a%3D%3D%3D%3Db", "labelSelector=((((", "fieldSelector=spec.foo=x",
        "fieldSelector=spec.nodeName%3D%00", "limit=-1", "limit=99999999999999999999",
        "continue=Z2FyYmFnZQ", "continue=!", "resourceVersion=garbage", "resourceVersion=-1",
        "includeObject=Some", "resourceVersionMatch=Newest"}) {
    INFO(query);
    const auto response = api.get(std::string("/api/v1/pods?") + query);
    CHECK(response.status == 400);
    CHECK(at(body_of(response), "reason") == "BadRequest");
  }
  CHECK(at(body_of(api.get("/api/v1/pods?fieldSelector=spec.foo=x")), "message") ==
        "field label not supported: spec.foo");
}

TEST_CASE("api read: pages together make the list, at the version of the first") {
  FakeApi api;
  fill(api);
  Names names;
  std::string token;
  int pages = 0;
  do {
    auto target = std::string("/api/v1/pods?limit=1");
    std::string escaped;
    for (const char c : token)
      escaped += c == '=' ? std::string("%3D") : std::string(1, c);
    if (!token.empty()) target += "&continue=" + escaped;
    const auto page = body_of(api.get(target));
    CHECK(at(page, "metadata.resourceVersion") == "6");
    for (const auto& name : names_of(page))
      names.push_back(name);
    if (pages == 0) CHECK(at(page, "metadata.remainingItemCount") == "3");
    token = at(page, "metadata.continue") == "?" ? "" : at(page, "metadata.continue");
    // What changes between two pages is not seen by the later ones.
    if (++pages == 1) api.state.put(make_pod("zzz"));
  } while (!token.empty() && pages < 10);
  CHECK(pages == 4);
  CHECK(names == Names{"web-0", "db-0", "web-0", "web-1"});
}

TEST_CASE("api read: a page whose history is gone is told so") {
  FakeApi api;
  fill(api);
  auto token = at(body_of(api.get("/api/v1/pods?limit=1")), "metadata.continue");
  api.state.pass(5);
  api.state.forget_before(9);
  while (!token.empty() && token.back() == '=')
    token.pop_back();
  const auto padded = token + (token.size() % 4 == 2   ? "%3D%3D"
                               : token.size() % 4 == 3 ? "%3D"
                                                       : "");
  const auto response = api.get("/api/v1/pods?limit=1&continue=" + padded);
  CHECK(response.status == 410);
  CHECK(at(body_of(response), "reason") == "Expired");
}

TEST_CASE("api read: versions asked for") {
  FakeApi api;
  fill(api);
  struct Row {
    const char* query;
    int status;
  };
  for (const auto& row :
       std::vector<Row>{{"resourceVersion=0", 200},
                        {"resourceVersion=3", 200},
                        {"resourceVersion=6", 200},
                        {"resourceVersion=7", 504},
                        {"resourceVersion=6&resourceVersionMatch=Exact", 200},
                        {"resourceVersion=3&resourceVersionMatch=Exact", 200},
                        {"resourceVersion=3&resourceVersionMatch=NotOlderThan", 200}}) {
    INFO(row.query);
    CHECK(api.get(std::string("/api/v1/pods?") + row.query).status == row.status);
  }
  const auto exact = body_of(api.get("/api/v1/pods?resourceVersion=3&resourceVersionMatch=Exact"));
  CHECK(names_of(exact) == Names{"web-0", "web-1"});
  CHECK(at(exact, "metadata.resourceVersion") == "3");
  const auto future = api.get("/api/v1/namespaces/shop/pods/web-0?resourceVersion=1000");
  CHECK(future.status == 504);
  CHECK(at(body_of(future), "details.causes.0.reason") == "ResourceVersionTooLarge");
  CHECK(at(body_of(future), "reason") == "Timeout");
  api.state.forget_before(5);
  CHECK(api.get("/api/v1/pods?resourceVersion=3&resourceVersionMatch=Exact").status == 410);
}

TEST_CASE("api read: a Table has columns, cells and what rides along") {
  FakeApi api;
  fill(api);
  const auto table = body_of(api.get("/api/v1/namespaces/shop/pods", kTable));
  CHECK(at(table, "kind") == "Table");
  CHECK(at(table, "apiVersion") == "meta.k8s.io/v1");
  CHECK(at(table, "metadata.resourceVersion") == "6");
  CHECK(at(table, "columnDefinitions.0.name") == "Name");
  CHECK(at(table, "columnDefinitions.0.format") == "name");
  CHECK(names_of(table) == Names{"db-0", "web-0", "web-1"});
  CHECK(at(table, "rows.1.cells.1") == "1/1");
  CHECK(at(table, "rows.2.cells.2") == "ContainerCreating");
  CHECK(at(table, "rows.0.object.kind") == "PartialObjectMetadata");
  CHECK(at(table, "rows.0.object.apiVersion") == "meta.k8s.io/v1");
  CHECK(at(table, "rows.0.object.metadata.labels.app") == "db");
  CHECK(at(table, "rows.0.object.spec") == "?");
  const auto whole = body_of(api.get("/api/v1/namespaces/shop/pods?includeObject=Object", kTable));
  CHECK(at(whole, "rows.0.object.kind") == "Pod");
  CHECK(at(whole, "rows.0.object.spec.nodeName") == "node1");
  const auto none = body_of(api.get("/api/v1/namespaces/shop/pods?includeObject=None", kTable));
  CHECK(at(none, "rows.0.object") == "?");
  const auto done = body_of(api.get("/api/v1/namespaces/other/pods", kTable));
  CHECK(at(done, "rows.0.conditions.0.type") == "Completed");
  CHECK(at(done, "rows.0.conditions.0.reason") == "Succeeded");
  const auto beta =
      body_of(api.get("/api/v1/pods", "application/json;as=Table;v=v1beta1;g=meta.k8s.io"));
  CHECK(at(beta, "apiVersion") == "meta.k8s.io/v1beta1");
}

TEST_CASE("api read: a single object as a Table has its own version") {
  FakeApi api;
  fill(api);
  const auto table = body_of(api.get("/api/v1/namespaces/shop/pods/web-0", kTable));
  CHECK(at(table, "kind") == "Table");
  CHECK(at(table, "metadata.resourceVersion") == "3");
  CHECK(names_of(table) == Names{"web-0"});
}

TEST_CASE("api read: only metadata, alone and in lists") {
  FakeApi api;
  fill(api);
  const auto one = body_of(api.get("/api/v1/namespaces/shop/pods/web-0", kMetadata));
  CHECK(at(one, "kind") == "PartialObjectMetadata");
  CHECK(at(one, "metadata.name") == "web-0");
  CHECK(one.find("spec") == nullptr);
  const auto list = body_of(api.get("/api/v1/namespaces/shop/pods", kMetadata));
  CHECK(at(list, "kind") == "PartialObjectMetadataList");
  CHECK(names_of(list) == Names{"db-0", "web-0", "web-1"});
  CHECK(at(list, "items.0.status") == "?");
}

TEST_CASE("api read: what cannot be accepted is refused") {
  FakeApi api;
  fill(api);
  const auto response = api.get("/api/v1/pods", "application/vnd.kubernetes.protobuf");
  CHECK(response.status == 406);
  CHECK(at(body_of(response), "reason") == "NotAcceptable");
}

TEST_CASE("api read: the scale of a workload") {
  FakeApi api;
  fill(api);
  const auto path = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
  const auto scale = body_of(api.get(path));
  CHECK(at(scale, "kind") == "Scale");
  CHECK(at(scale, "apiVersion") == "autoscaling/v1");
  CHECK(at(scale, "metadata.name") == "web");
  CHECK(at(scale, "metadata.resourceVersion") == "6");
  CHECK(at(scale, "spec.replicas") == "2");
  CHECK(at(scale, "status.replicas") == "2");
  CHECK(at(scale, "status.selector") == "a=b,app=web");
  const auto table = body_of(api.get(path, kTable));
  CHECK(at(table, "columnDefinitions.1.name") == "Created At");
  CHECK(at(table, "rows.0.cells.1") == "2026-01-01T00:00:00Z");
  CHECK(api.get("/apis/apps/v1/namespaces/shop/deployments/x/scale").status == 404);
}

TEST_CASE("api read: secrets show keys, never values, in every form") {
  FakeApi api;
  const std::string canary = "canary-5d1f";
  const std::string encoded = "Y2FuYXJ5LTVkMWY=";
  api.state.put(test::make_secret("key", canary));
  const std::string one = "/api/v1/namespaces/shop/secrets/key";
  for (const auto& target :
       {one, std::string("/api/v1/secrets"), std::string("/api/v1/secrets?includeObject=Object")}) {
    for (const auto* accept : {"", kTable, kMetadata}) {
      const auto body = *api.get(target, accept).body;
      CHECK(body.find(canary) == std::string::npos);
      CHECK(body.find(encoded) == std::string::npos);
      CHECK(body.find("\"key\"") != std::string::npos);
    }
  }
  const auto secret = body_of(api.get(one));
  CHECK(at(secret, "data.password").empty());
  CHECK(at(secret, "data.user").empty());
  CHECK(at(secret, "type") == "Opaque");
  CHECK(secret.find("metadata")->find("annotations")->find(kWithheldAnnotation) != nullptr);
  const auto table = body_of(api.get("/api/v1/secrets", kTable));
  CHECK(at(table, "rows.0.cells.2") == "2");
  CHECK(names_of(body_of(api.get("/api/v1/secrets?fieldSelector=type=Opaque"))) == Names{"key"});
}

TEST_CASE("api read: the address of a source is shown without credentials") {
  FakeApi api;
  api.state.put(test::make_source("default", "https://bob:hunter2@git.test/shop.git"));
  const auto path = "/apis/source.toolkit.fluxcd.io/v1/gitrepositories";
  for (const auto* accept : {"", kTable}) {
    const auto body = *api.get(path, accept).body;
    CHECK(body.find("hunter2") == std::string::npos);
    CHECK(body.find("https://***@git.test/shop.git") != std::string::npos);
  }
  struct Row {
    const char* url;
    const char* shown;
  };
  for (const auto& row : std::vector<Row>{{"https://git.test/a", "https://git.test/a"},
                                          {"https://u@git.test", "https://***@git.test"},
                                          {"ssh://git@git.test/a@b", "ssh://***@git.test/a@b"},
                                          {"https://git.test/a@b", "https://git.test/a@b"},
                                          {"https://u:p@x@git.test/a", "https://***@git.test/a"},
                                          {"/srv/git/a@b", "/srv/git/a@b"}}) {
    CHECK(hide_credentials(row.url) == row.shown);
  }
}

TEST_CASE("api read: node leases are computed and renewed at every reading") {
  FakeApi api;
  api.state.put(test::make_node("node1"));
  const auto path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node1";
  const auto first = body_of(api.get(path));
  CHECK(at(first, "kind") == "Lease");
  CHECK(at(first, "spec.holderIdentity") == "node1");
  CHECK(at(first, "spec.leaseDurationSeconds") == "40");
  CHECK(at(first, "spec.acquireTime") == "2026-01-01T00:00:00.000000Z");
  CHECK(at(first, "spec.renewTime") == "2026-01-01T01:00:00.000000Z");
  CHECK(at(first, "metadata.uid").size() == 36);
  CHECK(at(first, "metadata.resourceVersion") == "1");
  api.clock.advance(std::chrono::seconds(10));
  const auto second = body_of(api.get(path));
  CHECK(at(second, "spec.renewTime") == "2026-01-01T01:00:10.000000Z");
  CHECK(at(second, "metadata.uid") == at(first, "metadata.uid"));
  const auto list = body_of(api.get("/apis/coordination.k8s.io/v1/leases"));
  CHECK(names_of(list) == Names{"node1"});
  CHECK(at(list, "items.0.spec.renewTime") == "2026-01-01T01:00:10.000000Z");
  CHECK(names_of(body_of(api.get("/apis/coordination.k8s.io/v1/namespaces/shop/leases"))).empty());
  CHECK(api.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/x").status == 404);
}

TEST_CASE("api read: conditions of a node tell that it is alive now") {
  FakeApi api;
  auto node = test::make_node("node1");
  for (const char* type : {"MemoryPressure", "Ready"}) {
    Condition condition;
    condition.type = type;
    condition.status = "True";
    node.status.conditions.push_back(condition);
  }
  api.state.put(node);
  for (const auto* time : {"2026-01-01T01:00:00Z", "2026-01-01T01:00:10Z"}) {
    const auto one = body_of(api.get("/api/v1/nodes/node1"));
    CHECK(at(one, "status.conditions.0.lastHeartbeatTime") == time);
    CHECK(at(one, "status.conditions.1.lastHeartbeatTime") == time);
    CHECK(at(one, "metadata.resourceVersion") == "1");
    CHECK(at(body_of(api.get("/api/v1/nodes")), "items.0.status.conditions.1.lastHeartbeatTime") ==
          time);
    api.clock.advance(std::chrono::seconds(10));
  }
}

TEST_CASE("api read: old versions answer reads without being advertised") {
  FakeApi api;
  EndpointSlice slice;
  slice.metadata.name = "web-1";
  slice.metadata.namespace_name = "shop";
  api.state.put(slice);
  const auto body =
      body_of(api.get("/apis/discovery.k8s.io/v1beta1/namespaces/shop/endpointslices/web-1"));
  CHECK(at(body, "apiVersion") == "discovery.k8s.io/v1beta1");
  CHECK(at(body, "kind") == "EndpointSlice");
  CHECK(at(body_of(api.get("/apis/discovery.k8s.io/v1/endpointslices")), "items.0.apiVersion") ==
        "discovery.k8s.io/v1");
}

}  // namespace
}  // namespace moored::net::api
