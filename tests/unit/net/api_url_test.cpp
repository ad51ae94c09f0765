// One path, one reading: what routes, messages and refusals see is the same text.
#include "net/api/url.hpp"

#include <catch2/catch.hpp>

#include "net/api/json_text.hpp"

namespace moored::net::api {
namespace {

TEST_CASE("api url: canonical paths are split and decoded") {
  struct Row {
    const char* path;
    std::vector<std::string> segments;
    bool trailing;
  };
  const std::vector<Row> rows{
      {"/", {}, false},
      {"/api", {"api"}, false},
      {"/api/", {"api"}, true},
      {"/api/v1/namespaces/shop/pods/web-0/log",
       {"api", "v1", "namespaces", "shop", "pods", "web-0", "log"},
       false},
      {"/apis/apps/v1/", {"apis", "apps", "v1"}, true},
      {"/api/v1/nodes/node%31", {"api", "v1", "nodes", "node1"}, false},
      {"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
       {"apis", "rbac.authorization.k8s.io", "v1", "clusterroles", "system:node"},
       false},
  };
  for (const auto& row : rows) {
    INFO(row.path);
    const auto path = parse_path(row.path);
    REQUIRE(path);
    CHECK(path->segments == row.segments);
    CHECK(path->trailing_slash == row.trailing);
  }
}

TEST_CASE("api url: paths that mean different things to different readers are refused") {
  const std::vector<std::string> paths{
      "",
      "api",
      "//api/v1",
      "/api//v1",
      "/api/../../etc/passwd",
      "/api/v1/%2e%2e/pods",
      "/api/v1/namespaces/shop/./pods",
      "/api/v1/namespaces/shop%2fsecrets",
      "/api/v1/namespaces/%252e%252e/pods",
      "/api/v1;x=y/pods",
      "/api/v1/namespaces/shop\\..\\x",
      "/healthz%00.json",
      "/healthz%0a",
      "/healthz%",
      "/healthz%2",
      "/healthz%zz",
      "/api/v1/pods/a b",
      "/api/v1/pods/\xC3\xA9",
  };
  for (const auto& path : paths) {
    INFO(path);
    const auto parsed = parse_path(path);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::invalid);
  }
}

TEST_CASE("api url: a query decodes plus and percent") {
  const auto query =
      Query::parse("labelSelector=app+in+%28web%2Cdb%29&empty=&flag&&limit=1&limit=2");
  REQUIRE(query);
  CHECK(query->get("labelSelector") == "app in (web,db)");
  REQUIRE(query->find("empty") != nullptr);
  CHECK(query->find("empty")->empty());
  REQUIRE(query->find("flag") != nullptr);
  CHECK(query->find("nothing") == nullptr);
  CHECK(query->get("limit") == "1");  // the first counts
  for (const auto* bad : {"a=%", "a=%0", "a=%zz", "a=1%00", "%00=a"}) {
    INFO(bad);
    CHECK_FALSE(Query::parse(bad));
  }
}

TEST_CASE("api url: a boolean parameter is true unless it says 0 or false") {
  struct Row {
    const char* query;
    bool truth;
  };
  for (const auto& row : std::vector<Row>{{"", false},
                                          {"watch=true", true},
                                          {"watch=True", true},
                                          {"watch=1", true},
                                          {"watch=", true},
                                          {"watch", true},
                                          {"watch=maybe", true},
                                          {"watch=0", false},
                                          {"watch=false", false},
                                          {"watch=FALSE", false}}) {
    INFO(row.query);
    const auto query = Query::parse(row.query);
    REQUIRE(query);
    CHECK(query->truth("watch") == row.truth);
  }
}

TEST_CASE("api url: numbers are whole, in range and nothing else") {
  struct Row {
    const char* query;
    bool good;
    std::optional<std::int64_t> number;
  };
  for (const auto& row : std::vector<Row>{{"", true, std::nullopt},
                                          {"n=", true, std::nullopt},
                                          {"n=0", true, 0},
                                          {"n=500", true, 500},
                                          {"n=9223372036854775807", true, INT64_MAX},
                                          {"n=-1", false, std::nullopt},
                                          {"n=9223372036854775808", false, std::nullopt},
                                          {"n=99999999999999999999", false, std::nullopt},
                                          {"n=1e9", false, std::nullopt},
                                          {"n=0x10", false, std::nullopt},
                                          {"n=+5", false, std::nullopt},  // a space, then 5
                                          {"n=%2B5", false, std::nullopt},
                                          {"n=5a", false, std::nullopt},
                                          {"n=abc", false, std::nullopt}}) {
    INFO(row.query);
    const auto query = Query::parse(row.query);
    REQUIRE(query);
    const auto number = query->integer("n", 0);
    REQUIRE(number.has_value() == row.good);
    if (number) CHECK(*number == row.number);
  }
  const auto one = Query::parse("n=0");
  CHECK_FALSE(one->integer("n", 1));
}

TEST_CASE("api json text: any bytes become a valid JSON string") {
  struct Row {
    std::string in;
    std::string out;
  };
  const std::string replacement = "\xEF\xBF\xBD";
  for (const auto& row : std::vector<Row>{
           {"", "\"\""},
           {"web-0", "\"web-0\""},
           {"a\"b\\c", "\"a\\\"b\\\\c\""},
           {"a\nb\tc\r", "\"a\\nb\\tc\\r\""},
           {std::string("\x00\x1b\x7f", 3), "\"\\u0000\\u001b\\u007f\""},
           {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
           {"\xFF", "\"" + replacement + "\""},
           {"\xC0\xAF", "\"" + replacement + replacement + "\""},                    // overlong
           {"\xED\xA0\x80", "\"" + replacement + replacement + replacement + "\""},  // surrogate
           {"\xF5\x80\x80\x80",
            "\"" + replacement + replacement + replacement + replacement + "\""},
           {"a\xE2\x82", "\"a" + replacement + replacement + "\""},  // cut short
       }) {
    CHECK(quoted(row.in) == row.out);
  }
  std::string object = "{";
  append_member(object, "a", "1");
  append_member(object, "b", "2");
  CHECK(object == R"({"a":"1","b":"2")");
}

}  // namespace
}  // namespace moored::net::api
