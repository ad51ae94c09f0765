// Which objects are for this machine, and which a source may declare.
#include <catch2/catch.hpp>

#include "gitsync/load/parse.hpp"
#include "gitsync/load/selection.hpp"

using namespace moored;
using namespace moored::git;

namespace {

Object object_with(const std::string& hosts) {
  const auto parsed = parse_manifests(
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n"
      "    sync.moored.dev/hosts: \"" + hosts + "\"\n", "a.yaml", "");
  REQUIRE(parsed.objects.size() == 1);
  return parsed.objects[0];
}

std::vector<Object> objects_of(const std::string& text) {
  const auto parsed = parse_manifests(text, "a.yaml", "");
  REQUIRE(parsed.diagnostics.ok());
  return parsed.objects;
}

// How many of the objects are refused.
std::size_t refused(const std::string& text, const SourceRights& rights) {
  Diagnostics diagnostics;
  check_rights(objects_of(text), rights, diagnostics);
  for (const auto& error : diagnostics.errors()) {
    CHECK(error.reason == "Forbidden");
    CHECK(error.place.line > 0);
  }
  return diagnostics.error_count();
}

const std::string kMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n";
const std::string kSpace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
const std::string kForeign = "apiVersion: v1\nkind: ConfigMap\n"
                             "metadata: {name: a, namespace: bank}\n";
const std::string kSource =
    "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n"
    "metadata: {name: a, namespace: shop}\nspec: {url: \"https://x.test/a\", interval: 1m}\n";

}  // namespace

TEST_CASE("an object names the machines that it is for", "[selection]") {
  struct Row {
    std::string hosts;
    std::string host;
    bool wanted;
  };
  const std::vector<Row> rows{
      {"web-1", "web-1", true},          {"web-1", "web-2", false},
      {"web-*", "web-2", true},          {"web-*, db-1", "db-1", true},
      {"web-*,!web-3", "web-3", false},  {"web-*,!web-3", "web-2", true},
      {"!web-3", "db-1", true},          {"!web-3", "web-3", false},
      {"web-?", "web-10", false},        {"*", "anything.example.org", true},
      {"web-1", "", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.hosts, row.host);
    const auto wanted = is_for_host(object_with(row.hosts), row.host);
    REQUIRE(wanted);
    CHECK(*wanted == row.wanted);
  }
  for (const char* wrong : {"", "Web-1", "a b", "a,,b", "[ab]", "!", "a,"}) {
    CAPTURE(wrong);
    const auto refusal = is_for_host(object_with(wrong), "web-1");
    if (std::string(wrong) == "a,") continue;  // a comma at the end is no name
    REQUIRE_FALSE(refusal);
    CHECK(refusal.error().reason == "InvalidValue");
    CHECK(refusal.error().place.line == 1);
  }
  CHECK(is_for_host(objects_of(kMap)[0], "web-1").value_or(false));
}

TEST_CASE("a source declares what it may", "[selection]") {
  CHECK(refused(kMap + "---\n" + kForeign + "---\n" + kSource, {}) == 0);
  const SourceRights shop{{"shop"}, {}};
  CHECK(refused(kMap + "---\n" + kSpace, shop) == 0);
  CHECK(refused(kForeign, shop) == 1);
  CHECK(refused("apiVersion: v1\nkind: Namespace\nmetadata: {name: bank}\n", shop) == 1);
  const SourceRights maps{{}, {"ConfigMap"}};
  CHECK(refused(kMap + "---\n" + kForeign, maps) == 0);
  CHECK(refused(kSpace, maps) == 1);
  // A limited source does not make itself another one.
  CHECK(refused(kSource, shop) == 1);
  CHECK(refused(kSource, maps) == 1);
  CHECK(refused(kSource, {{"shop"}, {"GitRepository.source.toolkit.fluxcd.io"}}) == 0);
  CHECK(refused(kSource, {{"bank"}, {"GitRepository"}}) == 1);
}
