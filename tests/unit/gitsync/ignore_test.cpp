// Patterns as git itself reads them, compared with git's own answers.
#include <catch2/catch.hpp>

#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/repo/ignore.hpp"
#include "schema/base/random.hpp"
#include "schema/host/spawn.hpp"

using namespace moored;
using namespace moored::git;

namespace {

struct Row {
  std::string patterns;
  std::string path;
  bool ignored;
};

const std::vector<Row> kRows{
    {"", "a.yaml", false},
    {"# a.yaml\n\n", "a.yaml", false},
    {"a.yaml", "a.yaml", true},
    {"a.yaml", "deep/down/a.yaml", true},
    {"/a.yaml", "a.yaml", true},
    {"/a.yaml", "deep/a.yaml", false},
    {"*.json", "x/y.json", true},
    {"*.json", "x/y.jsonl", false},
    {"ci/", "ci/a.yaml", true},
    {"ci/", "deep/ci/a.yaml", true},
    {"ci/", "ci", false},
    {"deep/ci", "deep/ci/a.yaml", true},
    {"deep/ci", "other/deep/ci/a.yaml", false},
    {"**/ci", "other/deep/ci/a.yaml", true},
    {"deep/**", "deep/ci/a.yaml", true},
    {"deep/**/a.yaml", "deep/a.yaml", true},
    {"deep/**/a.yaml", "deep/1/2/3/a.yaml", true},
    {"deep/*/a.yaml", "deep/1/2/a.yaml", false},
    {"a?.yaml", "ab.yaml", true},
    {"a?.yaml", "a/.yaml", false},
    {"[a-c].yaml", "b.yaml", true},
    {"[!a-c].yaml", "b.yaml", false},
    {"[]x].yaml", "].yaml", true},
    {"[a.yaml", "[a.yaml", false},
    {"*\n!keep.yaml", "keep.yaml", false},
    {"*\n!keep.yaml", "other.yaml", true},
    {"/*\n!/deploy/", "deploy/a.yaml", false},
    {"/*\n!/deploy/", "ci/a.yaml", true},
    {"ci/\n!ci/a.yaml", "ci/a.yaml", true},
    {"\\!odd.yaml", "!odd.yaml", true},
    {"\\#odd.yaml", "#odd.yaml", true},
    {"a.yaml   ", "a.yaml", true},
    {"a.yaml\r\n", "a.yaml", true},
    {"a*b*c*d.yaml", "a1b2c3d.yaml", true},
    {"a*b*c*d.yaml", "a1b2c3.yaml", false},
};

// What git itself says: exit code 0 is ignored, 1 is not.
bool git_ignores(const TempDirectory& directory, const std::string& patterns,
                 const std::string& path) {
  std::ofstream(directory / "tree/.git/info/exclude", std::ios::trunc) << patterns;
  SpawnRequest request;
  request.program = "/usr/bin/git";
  request.arguments = {"git", "-C", directory / "tree", "check-ignore", "-q", "--no-index", path};
  request.environment = {"PATH=/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent"};
  const auto answer = run_command(request, {}, std::chrono::seconds(60));
  REQUIRE(answer);
  REQUIRE(answer->status.code);
  REQUIRE(*answer->status.code <= 1);
  return *answer->status.code == 0;
}

void make_tree(const TempDirectory& directory) {
  SpawnRequest request;
  request.program = "/usr/bin/git";
  request.arguments = {"git", "init", "-q", directory / "tree"};
  request.environment = {"PATH=/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent"};
  const auto made = run_command(request, {}, std::chrono::seconds(60));
  REQUIRE(made);
  REQUIRE(made->status.code == 0);
}

}  // namespace

TEST_CASE("patterns mean what they mean to git", "[ignore]") {
  TempDirectory directory;
  make_tree(directory);
  for (const auto& row : kRows) {
    CAPTURE(row.patterns, row.path);
    CHECK(IgnorePatterns(row.patterns).matches(row.path) == row.ignored);
    // Without a tree on disk git cannot know that ci is no directory, so that row is ours alone.
    if (row.path != "ci") CHECK(git_ignores(directory, row.patterns, row.path) == row.ignored);
  }
}

TEST_CASE("patterns of all sorts agree with git", "[ignore]") {
  TempDirectory directory;
  make_tree(directory);
  SeededRandom random(7);
  const std::vector<std::string> pieces{"a", "b", "*", "?", "/", "**", "/**/", "[ab]", "!", "a/"};
  const std::vector<std::string> names{"a", "b", "ab"};
  for (int i = 0; i < 150; ++i) {
    std::string pattern;
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
      pattern += pieces[random.below(pieces.size())];
    }
    std::string path = names[random.below(3)];
    for (std::uint64_t n = random.below(3); n > 0; --n) path += '/' + names[random.below(3)];
    CAPTURE(pattern, path);
    CHECK(IgnorePatterns(pattern).matches(path) == git_ignores(directory, pattern, path));
  }
}

TEST_CASE("many stars take no more than their product", "[ignore]") {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  const std::string path(1000, 'a');
  CHECK_FALSE(IgnorePatterns(pattern + "b").matches(path));
  CHECK(IgnorePatterns(pattern).matches(path));
}
