#include "gitsync/repo/names.hpp"

#include <catch2/catch.hpp>

using namespace moored;
using namespace moored::git;

TEST_CASE("foreign text is shown without harm", "[names]") {
  struct Row {
    std::string text;
    std::string shown;
  };
  const std::vector<Row> rows{
      {"plain.yaml", "plain.yaml"},
      {"zwölf €", "zwölf €"},
      {"a\nb\tc", "a\\nb\\tc"},
      {"z\x1b[2J\x1b]0;pwn\x07.yaml", "z\\x1b[2J\\x1b]0;pwn\\x07.yaml"},
      {"z\xff\xfe", "z\\xff\\xfe"},
      {"z\xe2\x80\xaelmay", "z\\u{202e}lmay"},
      {".g\xe2\x80\x8cit", ".g\\u{200c}it"},
      {"\xc0\xaf", "\\xc0\\xaf"},          // overlong slash
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, // surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
      {"\xe2\x82", "\\xe2\\x82"},
      {"\xc2\x85", "\\u{0085}"},
      {"\xf0\x9f\x9a\xa2", "\xf0\x9f\x9a\xa2"},
      {"\xef\xbb\xbf", "\\u{feff}"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.shown);
    CHECK(show_text(row.text) == row.shown);
  }
  CHECK(show_text(std::string(50, 'x'), 10) == std::string(10, 'x') + "…");
}

TEST_CASE("every spelling of .git is known", "[names]") {
  for (const char* name : {".git", ".GIT", ".Git ", ".git.", ".git . .", "git~1", "GIT~1",
                           ".g\xe2\x80\x8cit", "\xef\xbb\xbf.git", ".git:stream",
                           ".git::$INDEX_ALLOCATION"}) {
    CAPTURE(name);
    CHECK(is_dot_git(name));
  }
  for (const char* name : {".gitignore", ".gitmodules", "git", "git~2", ".github", "x.git", ""}) {
    CAPTURE(name);
    CHECK_FALSE(is_dot_git(name));
  }
}

TEST_CASE("the name of an entry is judged", "[names]") {
  struct Row {
    std::string name;
    std::string reason;  // empty: may stand in a tree
  };
  const std::vector<Row> rows{
      {"a.yaml", ""},        {"-rf.yaml", ""},          {"z\nlevel=info.yaml", ""},
      {"..yaml", ""},        {"...", ""},               {"", "MalformedTree"},
      {"a/b", "MalformedTree"}, {"../../x", "MalformedTree"}, {".", "UnsafeTreeEntry"},
      {"..", "UnsafeTreeEntry"}, {".git", "UnsafeTreeEntry"}, {"a\\.git", "UnsafeTreeEntry"},
      {".GIT\\hooks", "UnsafeTreeEntry"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto error = check_entry_name(row.name);
    CHECK((error ? error->reason : "") == row.reason);
  }
}

TEST_CASE("manifests are known by their names", "[names]") {
  for (const char* name : {"a.yaml", "b.yml", "c.json"}) CHECK(is_manifest_name(name));
  for (const char* name : {".sops.yaml", "a.yaml.bak", "README.md", "yaml", ""}) {
    CAPTURE(name);
    CHECK_FALSE(is_manifest_name(name));
  }
  CHECK(is_kustomization_name("kustomization.yaml"));
  CHECK(is_kustomization_name("kustomization.yml"));
  CHECK(is_kustomization_name("Kustomization"));
  CHECK_FALSE(is_kustomization_name("my-kustomization.yaml"));
}

TEST_CASE("a source path stays below the root", "[names]") {
  using Parts = std::vector<std::string>;
  CHECK(*split_source_path("") == Parts{});
  CHECK(*split_source_path("./") == Parts{});
  CHECK(*split_source_path("/") == Parts{});
  CHECK(*split_source_path("./deploy//prod/") == Parts{"deploy", "prod"});
  for (const std::string& bad : {std::string("../x"), std::string("a/../../b"),
                                 std::string(".git/x"), std::string(2000, 'a')}) {
    CAPTURE(bad);
    const auto parts = split_source_path(bad);
    REQUIRE_FALSE(parts);
    CHECK(parts.error().reason == "InvalidValue");
  }
}

TEST_CASE("a link is resolved by its text alone", "[names]") {
  using Parts = std::vector<std::string>;
  CHECK(*resolve_link({"a", "b"}, "../c.yaml") == Parts{"a", "c.yaml"});
  CHECK(*resolve_link({}, "common/./real.txt") == Parts{"common", "real.txt"});
  const std::string nul("b\0c.yaml", 8);
  for (const std::string& target : {std::string("/etc/shadow"), std::string("../../x"),
                                    std::string("a/../../.."), std::string(), nul}) {
    CAPTURE(target);
    const auto parts = resolve_link({"a"}, target);
    REQUIRE_FALSE(parts);
    CHECK(parts.error().reason == "SymlinkRefused");
    CHECK(parts.error().message.find("shadow") == std::string::npos);
  }
}
