// Selectors: what matches, and what is refused before it reaches anything.
#include "net/api/selector.hpp"

#include <catch2/catch.hpp>

#include "net/api/encoding.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

const Resource& pods() {
  return *find_served("", "v1", "pods");
}

TEST_CASE("api selector: labels match as Kubernetes words them") {
  const Labels web{{"app", "web"}, {"tier", "front"}, {"empty", ""}};
  struct Row {
    const char* selector;
    bool matches;
  };
  for (const auto& row : std::vector<Row>{{"", true},
                                          {"app=web", true},
                                          {"app==web", true},
                                          {"app=db", false},
                                          {"app!=db", true},
                                          {"app!=web", false},
                                          {"absent!=x", true},
                                          {"app in (web,db)", true},
                                          {"app in (db)", false},
                                          {"app notin (db,cache)", true},
                                          {"app notin (web)", false},
                                          {"absent notin (web)", true},
                                          {"app", true},
                                          {"absent", false},
                                          {"!absent", true},
                                          {"!app", false},
                                          {"empty=", true},
                                          {"empty in ()", true},
                                          {"app=", false},
                                          {"app=web,tier=front", true},
                                          {"app=web,tier=back", false},
                                          {"app in (web,db),tier,!absent", true},
                                          {" app = web , tier ", true},
                                          {"app in ( web , db )", true},
                                          {"example.com/part=x", false}}) {
    INFO(row.selector);
    Selection selection;
    auto terms = parse_label_selector(row.selector);
    REQUIRE(terms);
    selection.labels = *terms;
    CHECK(selection.matches_labels(web) == row.matches);
  }
}

TEST_CASE("api selector: label selectors that are not are refused") {
  for (const auto* text : {"a====b", "(((((((", "a in (b", "a in b", "a b", "=b", "!", "a,,b", "a,",
                           ",a", "a!b", "app in (web'); DROP TABLE objects;--)", "a=b)",
                           "a in (b))", "a>5", "a=\xC3\xA9", "!a=b"}) {
    INFO(text);
    const auto terms = parse_label_selector(text);
    REQUIRE_FALSE(terms);
    CHECK(terms.error().code == Code::invalid);
  }
}

TEST_CASE("api selector: what no label can be is a mistake") {
  const std::string longest(63, 'a');
  CHECK(parse_label_selector(longest + "=" + longest));
  for (const auto& text : std::vector<std::string>{longest + "a=b", "a=" + longest + "b", "a/b/c=d",
                                                   "-a=b", "a=-b", "a in (b,c.)", "A B/c",
                                                   "!" + longest + "/" + longest + "a"}) {
    INFO(text);
    CHECK_FALSE(parse_label_selector(text));
  }
}

TEST_CASE("api selector: fields match by the paths of the kind") {
  test::make_pod("x");
  auto value = test::make_pod("web-0", "Running");
  value.metadata.uid = "u";
  const auto object = make_object(value);
  const auto encoded = encode_for(pods(), object);
  struct Row {
    const char* selector;
    bool matches;
  };
  for (const auto& row : std::vector<Row>{{"", true},
                                          {"metadata.name=web-0", true},
                                          {"metadata.name==web-0", true},
                                          {"metadata.name!=web-0", false},
                                          {"metadata.name=web-1", false},
                                          {"metadata.namespace=shop", true},
                                          {"metadata.namespace=", false},
                                          {"spec.nodeName=node1", true},
                                          {"spec.nodeName=", false},
                                          {"spec.nodeName!=node1", false},
                                          {"status.phase=Running", true},
                                          {"status.phase!=Failed,status.phase!=Succeeded", true},
                                          {"status.phase=Running,metadata.name=web-1", false},
                                          {"status.podIP=", true},
                                          {"metadata.name=web\\,0", false}}) {
    INFO(row.selector);
    auto terms = parse_field_selector(pods(), row.selector);
    REQUIRE(terms);
    Selection selection;
    selection.fields = *terms;
    CHECK(selection.matches_fields(object, &encoded) == row.matches);
  }
}

TEST_CASE("api selector: unknown field paths are named in the refusal") {
  struct Row {
    const char* text;
    const char* message;
  };
  for (const auto& row :
       std::vector<Row>{{"spec.foo=bar", "field label not supported: spec.foo"},
                        {"metadata.uid=x", "field label not supported: metadata.uid"},
                        {"spec.nodeName",
                         "invalid field selector: spec.nodeName; can't understand "
                         "'spec.nodeName'"},
                        {"=x", "invalid field selector: =x; can't understand '=x'"},
                        {"metadata.name=a\\b",
                         "invalid field selector: bad escape in the value of "
                         "metadata.name"}}) {
    INFO(row.text);
    const auto terms = parse_field_selector(pods(), row.text);
    REQUIRE_FALSE(terms);
    CHECK(terms.error().message == row.message);
  }
  const auto& nodes = *find_served("", "v1", "nodes");
  CHECK_FALSE(parse_field_selector(nodes, "metadata.namespace=x"));
}

TEST_CASE("api selector: escaped commas and equals signs belong to the value") {
  const auto terms = parse_field_selector(pods(), "metadata.name=a\\,b\\=c\\\\d");
  REQUIRE(terms);
  REQUIRE(terms->size() == 1);
  CHECK((*terms)[0].value == "a,b=c\\d");
}

TEST_CASE("api selector: a false or zero field reads as such although it is not written") {
  auto value = test::make_node("node1");
  const auto object = make_object(value);
  const auto& nodes = *find_served("", "v1", "nodes");
  const auto encoded = encode_for(nodes, object);
  auto terms = parse_field_selector(nodes, "spec.unschedulable=false");
  REQUIRE(terms);
  Selection selection;
  selection.fields = *terms;
  CHECK(selection.needs_encoding());
  CHECK(selection.matches_fields(object, &encoded));
}

TEST_CASE("api selector: events of the newer group are found by regarding") {
  const auto pod = make_object(test::make_pod("web-0"));
  const auto object = make_object(test::make_event("e", pod));
  const auto& events = *find_served("events.k8s.io", "v1", "events");
  const auto encoded = encode_for(events, object);
  auto terms = parse_field_selector(events, "regarding.name=web-0,regarding.kind=Pod");
  REQUIRE(terms);
  Selection selection;
  selection.fields = *terms;
  CHECK(selection.matches_fields(object, &encoded));
  CHECK(encoded.whole.find("\"note\":\"Started container web\"") != std::string::npos);
  CHECK(encoded.whole.find("\"involvedObject\"") == std::string::npos);
}

}  // namespace
}  // namespace moored::net::api
