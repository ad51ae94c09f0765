// Access reviews: the POSTs that are answered, in JSON and in protobuf.
#include "net/api/reviews.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/net/api_fake.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;
using test::FakeApi;

constexpr auto kAccess = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
constexpr auto kRules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
constexpr auto kWhoAmI = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
constexpr auto kProtobuf = "application/vnd.kubernetes.protobuf";

// One length-delimited field.
std::string field(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number * 8 + 2));
  for (auto size = bytes.size();; size >>= 7U) {
    if (size < 0x80) {
      out.push_back(static_cast<char>(size));
      break;
    }
    out.push_back(static_cast<char>((size & 0x7FU) | 0x80U));
  }
  return out + bytes;
}

std::string envelope(const std::string& spec) {
  const auto type = field(1, "authorization.k8s.io/v1") + field(2, "SelfSubjectAccessReview");
  return std::string("k8s\0", 4) + field(1, type) + field(2, field(1, "") + field(2, spec));
}

TEST_CASE("api reviews: reading is allowed, everything else is not") {
  FakeApi api;
  struct Row {
    const char* verb;
    const char* allowed;
  };
  for (const auto& row : std::vector<Row>{{"get", "true"},
                                          {"list", "true"},
                                          {"watch", "true"},
                                          {"create", "false"},
                                          {"delete", "false"},
                                          {"patch", "false"},
                                          {"*", "false"},
                                          {"", "false"}}) {
    INFO(row.verb);
    const auto json = std::string(R"({"kind":"SelfSubjectAccessReview","apiVersion":)") +
                      R"("authorization.k8s.io/v1","spec":{"resourceAttributes":{"verb":")" +
                      row.verb + R"(","resource":"pods","namespace":"shop"}}})";
    const auto from_json = api.ask("POST", kAccess, "application/json", json);
    CHECK(from_json.status == 201);
    const auto spec = field(1, field(1, "shop") + field(2, row.verb) + field(5, "pods"));
    const auto from_wire = api.ask("POST", kAccess, "application/json", envelope(spec), kProtobuf);
    CHECK(from_wire.status == 201);
    for (const auto& body : {body_of(from_json), body_of(from_wire)}) {
      CHECK(at(body, "kind") == "SelfSubjectAccessReview");
      CHECK(at(body, "status.allowed") == row.allowed);
      CHECK(at(body, "spec.resourceAttributes.resource") == "pods");
      CHECK(at(body, "spec.resourceAttributes.namespace") == "shop");
      if (std::string(row.allowed) == "false") {
        CHECK(at(body, "status.reason") == "moored is read-only");
      }
    }
  }
}

TEST_CASE("api reviews: paths outside the resources") {
  FakeApi api;
  const auto spec = field(2, field(1, "/healthz") + field(2, "get"));
  const auto body = body_of(api.ask("POST", kAccess, "", envelope(spec), kProtobuf));
  CHECK(at(body, "status.allowed") == "true");
  CHECK(at(body, "spec.nonResourceAttributes.path") == "/healthz");
}

TEST_CASE("api reviews: rules and identity") {
  FakeApi api;
  const auto rules = body_of(api.ask("POST", kRules, "", R"({"spec":{"namespace":"shop"}})"));
  CHECK(at(rules, "spec.namespace") == "shop");
  CHECK(write_json(*rules.find("status")->find("resourceRules")) ==
        R"([{"verbs":["get","list","watch"],"apiGroups":["*"],"resources":["*"]}])");
  CHECK(write_json(*rules.find("status")->find("nonResourceRules")) ==
        R"([{"verbs":["get"],"nonResourceURLs":["*"]}])");
  CHECK(at(rules, "status.incomplete") == "false");
  const auto wire = std::string("k8s\0", 4) + field(2, field(2, field(1, "shop")));
  CHECK(at(body_of(api.ask("POST", kRules, "", wire, kProtobuf)), "spec.namespace") == "shop");
  const auto who = body_of(api.ask("POST", kWhoAmI, "", "{}"));
  CHECK(at(who, "status.userInfo.username") == "system:anonymous");
  CHECK(at(who, "status.userInfo.groups.0") == "system:unauthenticated");
}

TEST_CASE("api reviews: bodies that are not") {
  FakeApi api;
  CHECK(api.ask("POST", kAccess, "", "{").status == 400);
  CHECK(api.ask("POST", kAccess, "", "k8s", kProtobuf).status == 400);
  CHECK(api.ask("POST", kAccess, "", "json", kProtobuf).status == 400);
  CHECK(api.ask("GET", kAccess).status == 405);
  CHECK(api.ask("DELETE", kAccess).status == 405);
}

TEST_CASE("api reviews: types and codings that are not read") {
  FakeApi api;
  CHECK(api.ask("POST", kAccess, "", "spec: {}", "application/yaml").status == 415);
  CHECK(api.ask("POST", kAccess, "", "{}", "text/plain").status == 415);
  CHECK(api.ask("POST", kAccess, "", "{}", "application/json; charset=utf-8").status == 201);
  Request request;
  request.method = "POST";
  request.path = kAccess;
  request.headers = {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}};
  request.body = "\x1f\x8b";
  const auto response = answer(request, api.context);
  CHECK(response.status == 415);
  CHECK(at(body_of(response), "reason") == "UnsupportedMediaType");
}

TEST_CASE("api reviews: no cut of a protobuf body is read past its end") {
  const auto whole = envelope(field(1, field(1, "shop") + field(2, "get") + field(5, "pods")));
  REQUIRE(decode_review_spec(whole, false));
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto spec = decode_review_spec(std::string_view(whole).substr(0, size), false);
    refused += spec ? 0 : 1;
    if (!spec) CHECK(spec.error().code == Code::invalid);
  }
  CHECK(refused > 0);
}

TEST_CASE("api reviews: odd wire types are skipped or refused, never followed") {
  const std::string start("k8s\0", 4);
  struct Row {
    std::string bytes;
    bool good;
  };
  for (const auto& row :
       std::vector<Row>{{start, true},
                        {start + "\x08\x05", true},                              // a number
                        {start + std::string("\x09\0\0\0\0\0\0\0\0", 9), true},  // eight bytes
                        {start + std::string("\x0d\0\0\0\0", 5), true},          // four bytes
                        {start + std::string("\x09\0\0", 3), false},             // eight bytes, cut
                        {start + "\x0b", false},                                 // a group
                        {start + "\x12\x7f", false},               // longer than what is left
                        {start + std::string(12, '\xff'), false},  // a number without end
                        {start + "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", false}}) {
    CHECK(decode_review_spec(row.bytes, false).has_value() == row.good);
  }
}

}  // namespace
}  // namespace moored::net::api
