// The rest of the routes: refused writes, health, reports, and what does not exist.
#include "net/api/routes.hpp"

#include <catch2/catch.hpp>

#include "net/api/failure.hpp"
#include "net/api/report_routes.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;
using test::FakeApi;

std::string allow_of(const Response& response) {
  for (const auto& [name, value] : response.headers) {
    if (name == "Allow") return value;
  }
  return {};
}

TEST_CASE("api routes: every write on every path is refused readably") {
  FakeApi api;
  api.state.put(test::make_pod("web"));
  for (const auto* method :
       {"POST", "PUT", "PATCH", "DELETE", "PURGE", "OPTIONS", "TRACE", "get"}) {
    for (const auto* path :
         {"/", "/healthz", "/api", "/apis", "/api/v1", "/nosuch", "/api/v1/namespaces/shop/pods",
          "/api/v1/namespaces/shop/pods/web", "/apis/nosuch/v1/things",
          "/apis/apps/v1/namespaces/shop/deployments", "/status", "/metrics"}) {
      INFO(method << " " << path);
      const auto response = api.ask(method, path, "", "{}");
      CHECK(response.status == 405);
      CHECK(allow_of(response) == "GET, HEAD");
      const auto body = body_of(response);
      CHECK(at(body, "kind") == "Status");
      CHECK(at(body, "reason") == "MethodNotAllowed");
      CHECK(at(body, "message") == "moored is read-only: change the Git repository instead");
    }
  }
  CHECK(api.state.view()->resource_version() == 1);
}

TEST_CASE("api routes: a refused write names the repository and branch it belongs to") {
  FakeApi api;
  api.state.put(test::make_source("shop", "https://u:p@git.test/shop.git"));
  const auto path = "/api/v1/namespaces/shop/pods/web";
  CHECK(at(body_of(api.ask("DELETE", path)), "message") ==
        "moored is read-only: change https://***@git.test/shop.git branch main instead");
  auto other = test::make_source("other", "ssh://git@git.test/other.git");
  other.spec.ref = GitRepositoryRef{"", "v1.2", "", ""};
  api.state.put(other);
  // Two sources: an object that came from one of them names it, others name none.
  CHECK(at(body_of(api.ask("DELETE", path)), "message") ==
        "moored is read-only: change the Git repository instead");
  Provenance from;
  from.source = "moored-system/other";
  api.state.come_from(from);
  api.state.put(test::make_pod("web"));
  const auto body = body_of(api.ask("DELETE", path));
  CHECK(at(body, "message") ==
        "moored is read-only: change ssh://***@git.test/other.git tag v1.2 instead");
  CHECK(at(body, "details.name") == "web");
  CHECK(at(body, "details.kind") == "pods");
  const auto patch = body_of(api.ask("PATCH", "/apis/apps/v1/namespaces/shop/deployments/x"));
  CHECK(at(patch, "details.group") == "apps");
}

TEST_CASE("api routes: subresources that open connections are not served by any method") {
  FakeApi api;
  for (const auto* sub : {"exec", "attach", "portforward", "proxy"}) {
    for (const auto* method : {"GET", "POST"}) {
      const auto response = api.ask(method, std::string("/api/v1/namespaces/shop/pods/web/") + sub);
      CHECK(response.status == 405);
      const std::string instead = sub == std::string("exec") ? ", use moorctl exec" : "";
      CHECK(at(body_of(response), "message") ==
            std::string("pods/") + sub + " is not served" + instead);
    }
  }
}

TEST_CASE("api routes: overriding the method changes nothing") {
  FakeApi api;
  api.state.put(test::make_pod("web"));
  Request request;
  request.method = "GET";
  request.path = "/api/v1/namespaces/shop/pods/web";
  request.query = "_method=DELETE";
  request.headers = {{"X-HTTP-Method-Override", "DELETE"}, {"X-Method-Override", "DELETE"}};
  CHECK(answer(request, api.context).status == 200);
  CHECK(api.state.view()->list(kind_of<Pod>()).size() == 1);
}

TEST_CASE("api routes: HEAD is answered like GET") {
  FakeApi api;
  const auto get = api.get("/api/v1/pods");
  const auto head = api.ask("HEAD", "/api/v1/pods");
  CHECK(head.status == 200);
  CHECK(*head.body == *get.body);
}

TEST_CASE("api routes: health as a whole, by name and in full") {
  FakeApi api;
  for (const auto* path : {"/healthz", "/livez", "/readyz", "/readyz/ping", "/livez/store"}) {
    const auto response = api.get(path);
    CHECK(response.status == 200);
    CHECK(response.content_type == "text/plain");
    CHECK(*response.body == "ok");
  }
  CHECK(*api.get("/readyz?verbose").body ==
        "[+]ping ok\n[+]store ok\n[+]status ok\nreadyz check passed\n");
  CHECK(api.get("/readyz/nosuch").status == 404);
  CHECK(api.get("/readyz/ping/more").status == 404);
}

TEST_CASE("api routes: a failing check makes the whole fail") {
  struct Broken final : Reports {
    Result<Value> read_status() const override { return fail(Code::unavailable, "no store"); }
    Result<Value> read_receipt(const std::string&) const override {
      return fail(Code::unavailable, "no store");
    }
    Result<Value> read_history(const std::string&, std::size_t) const override {
      return fail(Code::exhausted, "too much");
    }
    Result<Value> read_drift(std::size_t) const override { return fail(Code::internal, "broken"); }
  };
  FakeApi api;
  Broken broken;
  ApiContext context{api.state, broken, api.clock, api.cache, api.streams, api.feed, {}, {}};
  Request request;
  request.method = "GET";
  struct Row {
    const char* path;
    int status;
  };
  for (const auto& row :
       std::vector<Row>{{"/healthz", 500}, {"/status", 503}, {"/history", 429}, {"/drift", 500}}) {
    request.path = row.path;
    CHECK(answer(request, context).status == row.status);
  }
}

TEST_CASE("api routes: reports are asked for what the request says") {
  FakeApi api;
  CHECK(body_of(api.get("/status")).find("status") != nullptr);
  CHECK(at(body_of(api.get("/status/revisions/abc1234")), "receipt") == "abc1234");
  CHECK(at(body_of(api.get("/history?object=Pod/shop/web&limit=5")), "history") ==
        "Pod/shop/web/5");
  CHECK(at(body_of(api.get("/history")), "history") == "/" + std::to_string(kReportLimit));
  CHECK(at(body_of(api.get("/drift?limit=3")), "drift") == "3");
  CHECK(at(body_of(api.get("/drift?limit=99999999")), "drift") == std::to_string(kReportLimitMost));
  CHECK(api.get("/drift?limit=0").status == 400);
  CHECK(api.get("/history?limit=x").status == 400);
  const auto missing = api.get("/status/revisions/unknown");
  CHECK(missing.status == 404);
  CHECK(at(body_of(missing), "message") == "revision unknown was never seen");
  CHECK(api.get("/status/revisions").status == 404);
  CHECK(api.get("/status/nosuch/x").status == 404);
}

TEST_CASE("api routes: what does not exist") {
  FakeApi api;
  for (const auto* path : {"/nosuch", "/API/V1/pods", "/api/v1/pods/", "/apis/nosuch/v1",
                           "/api/v9/pods", "/version/x", "/metrics/x"}) {
    INFO(path);
    CHECK(api.get(path).status == 404);
  }
  const auto document = api.get("/openapi/v2");
  CHECK(document.status == 404);
  CHECK(at(body_of(document), "kind") == "Status");
}

TEST_CASE("api routes: paths and queries that are not are told so") {
  FakeApi api;
  for (const auto* target : {"/api/../etc/passwd", "/healthz%00.json", "//api/v1",
                             "/api/v1/pods?labelSelector=%", "/api/v1/pods?%00=1"}) {
    INFO(target);
    const auto response = api.get(target);
    CHECK(response.status == 400);
    CHECK(at(body_of(response), "kind") == "Status");
  }
}

TEST_CASE("api failure: codes, reasons and details of a Status") {
  struct Row {
    Error error;
    int code;
    const char* reason;
  };
  for (const auto& row :
       std::vector<Row>{{{Code::invalid, "m", {}, {}, {}}, 400, "BadRequest"},
                        {{Code::not_found, "m", {}, {}, {}}, 404, "NotFound"},
                        {{Code::denied, "m", {}, {}, {}}, 403, "Forbidden"},
                        {{Code::unavailable, "m", {}, {}, {}}, 503, "ServiceUnavailable"},
                        {{Code::timeout, "m", {}, {}, {}}, 504, "Timeout"},
                        {{Code::exhausted, "m", {}, {}, {}}, 429, "TooManyRequests"},
                        {{Code::exhausted, "m", "Expired", {}, {}}, 410, "Expired"},
                        {{Code::conflict, "m", "Ambiguous", {}, {}}, 409, "Ambiguous"},
           {{Code::internal, "m", {}, {}, {}}, 500, "InternalError"}}) {
    const auto failure = failure_of(row.error);
    CHECK(failure.code == row.code);
    CHECK(failure.reason == row.reason);
    CHECK(at(*read_json(status_json(failure)), "code") == std::to_string(row.code));
  }
  Failure failure = bad_request("a \"quoted\" word\n");
  CHECK(status_json(failure) ==
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
        R"("message":"a \"quoted\" word\n","reason":"BadRequest","code":400})");
}

}  // namespace
}  // namespace moored::net::api
