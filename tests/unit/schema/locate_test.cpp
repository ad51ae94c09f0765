// From a field path back to line and column.
#include <catch2/catch.hpp>

#include "schema/codec/locate.hpp"

namespace moored {
namespace {

Place refined(const FieldLocator& locator, int line, const std::string& field) {
  Place place{"f.yaml", line, 0, field};
  locator.refine(place);
  return place;
}

const std::string kText =
    "kind: A\n"
    "spec:\n"
    "  list:\n"
    "    - name: x\n"
    "      deep: {b: 1}\n"
    "---\n"
    "kind: List\n"
    "items:\n"
    "  - kind: B\n"
    "    spec: {a: 2}\n";

TEST_CASE("a field is found in its document, also inside a list") {
  const FieldLocator locator(kText, "f.yaml");
  CHECK(refined(locator, 1, "spec.list[0].name") == Place{"f.yaml", 4, 13, "spec.list[0].name"});
  CHECK(refined(locator, 1, "spec.list[0].deep.b") ==
        Place{"f.yaml", 5, 17, "spec.list[0].deep.b"});
  CHECK(refined(locator, 9, "spec.a") == Place{"f.yaml", 10, 15, "spec.a"});
}

TEST_CASE("a field that was not written leads to the nearest parent that was") {
  const FieldLocator locator(kText, "f.yaml");
  const auto place = refined(locator, 1, "spec.list[0].other");
  CHECK(place.line == 4);
  CHECK(place.field == "spec.list[0].other");
  CHECK(refined(locator, 1, "status.phase").line == 1);
}

TEST_CASE("places that are exact already, or of another document, stay") {
  const FieldLocator locator(kText, "f.yaml");
  CHECK(refined(locator, 3, "spec.list").line == 3);
  CHECK(refined(locator, 1, "") == Place{"f.yaml", 1, 0, ""});
  Place exact{"f.yaml", 1, 7, "spec"};
  locator.refine(exact);
  CHECK(exact == Place{"f.yaml", 1, 7, "spec"});
}

TEST_CASE("JSON and broken files") {
  const FieldLocator json("{\"kind\": \"A\",\n \"spec\": {\"a\": 1}}", "f.json");
  CHECK(refined(json, 1, "spec.a").line == 2);
  const FieldLocator broken("a: [", "f.yaml");
  CHECK(refined(broken, 1, "a").column == 0);
}

}  // namespace
}  // namespace moored
