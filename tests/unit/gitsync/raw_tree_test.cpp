#include "gitsync/repo/raw_tree.hpp"

#include <catch2/catch.hpp>

using namespace moored::git;

namespace {

std::string entry(const std::string& mode, const std::string& name) {
  return mode + ' ' + name + '\0' + std::string(20, '\x11');
}

}  // namespace

TEST_CASE("a well-formed tree is read whole", "[raw_tree]") {
  const RawTree tree = parse_tree(entry("100644", "a.yaml") + entry("100755", "b.sh") +
                                  entry("40000", "dir") + entry("120000", "link") +
                                  entry("160000", "sub"));
  CHECK(tree.problems.empty());
  REQUIRE(tree.entries.size() == 5);
  CHECK(tree.entries[0].type == EntryType::file);
  CHECK(tree.entries[1].type == EntryType::file);
  CHECK(tree.entries[2].type == EntryType::directory);
  CHECK(tree.entries[3].type == EntryType::link);
  CHECK(tree.entries[4].type == EntryType::submodule);
  CHECK(tree.entries[0].id.hex() == "1111111111111111111111111111111111111111");
  CHECK(parse_tree("").entries.empty());
}

TEST_CASE("a directory sorts as if its name ended with a slash", "[raw_tree]") {
  CHECK(parse_tree(entry("100644", "a.b") + entry("40000", "a")).problems.empty());
  CHECK(parse_tree(entry("100644", "a") + entry("40000", "a0")).problems.empty());
  CHECK(parse_tree(entry("40000", "a") + entry("100644", "a.b")).problems.size() == 1);
}

TEST_CASE("what git never writes is refused", "[raw_tree]") {
  struct Row {
    std::string raw;
    std::string reason;
    std::string file;
  };
  const std::vector<Row> rows{
      {entry("104755", "suid"), "MalformedTree", "suid"},
      {entry("140000", "weird"), "MalformedTree", "weird"},
      {entry("100664", "x.yaml"), "MalformedTree", "x.yaml"},
      {entry("040000", "padded"), "MalformedTree", "padded"},
      {entry("100644", ""), "MalformedTree", ""},
      {entry("100644", "../../escape.yaml"), "MalformedTree", "../../escape.yaml"},
      {entry("40000", ".."), "UnsafeTreeEntry", ".."},
      {entry("40000", "."), "UnsafeTreeEntry", "."},
      {entry("40000", ".GIT"), "UnsafeTreeEntry", ".GIT"},
      {entry("40000", ".g\xe2\x80\x8cit"), "UnsafeTreeEntry", ".g\\u{200c}it"},
      {entry("100644", "z") + entry("100644", "z"), "MalformedTree", "z"},
      {entry("100644", "z") + entry("40000", "z"), "MalformedTree", "z"},
      {entry("100644", "b") + entry("100644", "a"), "MalformedTree", "a"},
      {"100644 cut\0short", "MalformedTree", ""},
      {std::string("100644 no end of the name"), "MalformedTree", ""},
      {"nospaceatall", "MalformedTree", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.raw);
    const RawTree tree = parse_tree(row.raw);
    REQUIRE(tree.problems.size() == 1);
    CHECK(tree.problems[0].reason == row.reason);
    CHECK(tree.problems[0].place.file == row.file);
  }
}

TEST_CASE("an entry that is refused is not offered", "[raw_tree]") {
  const RawTree tree = parse_tree(entry("40000", ".git") + entry("100644", "a.yaml") +
                                  entry("104755", "b") + entry("100644", "c.yaml") +
                                  entry("100644", "c.yaml"));
  CHECK(tree.problems.size() == 3);
  REQUIRE(tree.entries.size() == 2);
  CHECK(tree.entries[0].name == "a.yaml");
  CHECK(tree.entries[1].name == "c.yaml");
}
