// The collected hostile repositories, where this machine has them: MOORED_BAD_INPUT names their
// directory. Each is built, its good state loaded, then its bad one.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>

#include "git_fixture.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"
#include "schema/model/core.hpp"

using namespace moored;
using namespace moored::git;
namespace fs = std::filesystem;

namespace {

std::string collected() {
  const char* named = std::getenv("MOORED_BAD_INPUT");
  const std::string directory = named != nullptr ? named : MOORED_SOURCE_DIR "/../shared/badinput";
  if (fs::exists(directory + "/_lib/git.sh")) return directory;
  WARN("left out: no collected inputs at " + directory);
  return {};
}

// Runs a case's make.sh; the bare repository it built. The good state that comes with the cases
// is taken without the files whose kinds are not carried out.
std::string build(const std::string& directory, const std::string& name, const TempDirectory& out) {
  fs::copy(directory + "/_lib", out / "_lib", fs::copy_options::recursive);
  fs::copy(directory + '/' + name, out / name, fs::copy_options::recursive);
  fs::create_directories(out / "_baseline/repo");
  for (const auto& file : fs::directory_iterator(directory + "/_baseline/repo")) {
    const auto text = read_file(file.path().string());
    const bool ingress = text && text->find("kind: Ingress") != std::string::npos;
    if (ingress && find_kind("networking.k8s.io/v1", "Ingress") == nullptr) continue;
    fs::copy(file.path(), out / "_baseline/repo");
  }
  SpawnRequest request;
  request.program = "/bin/bash";
  request.arguments = {"bash", out / name + "/make.sh", out / "repository"};
  request.environment = {"PATH=/usr/local/bin:/usr/bin:/bin"};
  const auto made = run_command(request, {}, std::chrono::seconds(240));
  if (!made || made->status.code != 0) FAIL(name + ": " + (made ? made->err : "not run"));
  return out / "repository";
}

SourceSpec source_at(const std::string& path, const std::string& reference) {
  SourceSpec source;
  source.id = "flux/bad";
  source.url = path;
  source.reference = reference;
  source.allow_local = true;
  return source;
}

// Everything that a load says, as one text.
std::string words_of(const Result<LoadedTree>& tree) {
  if (!tree) return tree.error().reason + ' ' + tree.error().text();
  std::string text = tree->complete ? "complete\n" : "refused\n";
  for (const auto& error : tree->diagnostics.errors()) {
    text += error.reason + ' ' + error.text() + '\n';
  }
  for (const auto& warning : tree->diagnostics.warnings()) {
    text += "warning " + warning.reason + ' ' + warning.text() + '\n';
  }
  return text;
}

struct World {
  explicit World(const std::string& path) : repository(path) {
    WorkerReader::Options options;
    options.program = std::string(MOORED_BIN_DIR) + "/moored-git";
    options.mirror_root = directory / "mirrors";
    reader.emplace(options);
  }
  Result<SourceHead> fetch(const std::string& reference, const std::string& known = {}) {
    return reader->fetch(source_at(repository, reference), known);
  }
  Result<LoadedTree> load(const std::string& reference, const std::string& path = {}) {
    MOORED_TRY(const SourceHead head, fetch(reference));
    return reader->load(source_at(repository, reference), {head.commit.sha, path, {}});
  }

  TempDirectory directory;
  std::string repository;
  std::optional<WorkerReader> reader;
};

bool has_config_map(const Result<LoadedTree>& tree, const std::string& name) {
  if (!tree) return false;
  for (const auto& object : tree->objects) {
    if (object.is<ConfigMap>() && object.meta().name == name) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("collected repositories that must be refused are refused", "[collected]") {
  const std::string inputs = collected();
  if (inputs.empty()) return;
  struct Row {
    std::string name;
    std::string path;
    std::vector<std::string> words;      // all of them appear
    std::vector<std::string> not_words;  // none of them appears
  };
  const std::vector<Row> rows{
      {"g-dotdot-entry", "", {"refused", "UnsafeTreeEntry .:", "UnsafeTreeEntry ..:"}, {}},
      {"g-dotgit-hook", "", {"refused", "UnsafeTreeEntry", ".git"}, {}},
      {"g-dotgit-spellings",
       "",
       {"UnsafeTreeEntry .GIT:", "UnsafeTreeEntry .Git :", "UnsafeTreeEntry .g\\u{200c}it:",
        "UnsafeTreeEntry git~1:"},
       {"\xe2\x80\x8c"}},
      {"g-duplicate-entries", "", {"refused", "MalformedTree z.yaml"}, {"DuplicateObject"}},
      {"g-hostile-file-names",
       "",
       {"SyntaxError -rf.yaml", "SyntaxError z\\nlevel=info msg=accepted.yaml",
        "SyntaxError z\\x1b[2J\\x1b]0;pwn\\x07.yaml", "SyntaxError z\\u{202e}lmay.yaml",
        "SyntaxError z\\xff\\xfe.yaml"},
       {"\x1b", "\xe2\x80\xae", "\xff"}},
      {"g-lfs-pointer", "", {"refused", "LfsPointer zbig.yaml"}, {}},
      {"g-missing-blob", "", {"ObjectMissing", "2222222", "z.yaml"}, {}},
      {"g-corrupt-object", "", {"ObjectCorrupt", "z.yaml"}, {}},
      {"g-odd-modes", "", {"refused", "MalformedTree suid", "MalformedTree weird",
                           "MalformedTree x.yaml"}, {}},
      {"g-slash-in-name", "", {"refused", "MalformedTree ../../escape.yaml"}, {}},
      {"g-symlink-directory", "deploy", {"refused", "SymlinkRefused"}, {"etc"}},
      {"g-symlink-loop", "", {"SymlinkRefused a.yaml", "SymlinkRefused b.yaml",
                              "SymlinkRefused self.yaml"}, {}},
      {"g-symlink-outside", "", {"SymlinkRefused s1.yaml", "SymlinkRefused s2.yaml",
                                 "SymlinkRefused s3.yaml"}, {"root:", "shadow", "passwd"}},
      {"g-tree-bomb", "", {"refused", "TreeLimit"}, {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    TempDirectory out;
    World world(build(inputs, row.name, out));
    const auto good = world.load("refs/heads/main");
    CAPTURE(words_of(good));
    REQUIRE(good);
    CHECK(good->complete);
    const std::string words = words_of(world.load("refs/test/bad", row.path));
    CAPTURE(words);
    for (const auto& word : row.words) CHECK(words.find(word) != std::string::npos);
    for (const auto& word : row.not_words) CHECK(words.find(word) == std::string::npos);
    // The worker lives on and the good state loads as before.
    const auto again = world.load("refs/heads/main");
    REQUIRE(again);
    CHECK(again->complete);
  }
}

TEST_CASE("collected repositories that must be accepted are accepted", "[collected]") {
  const std::string inputs = collected();
  if (inputs.empty()) return;
  struct Row {
    std::string name;
    std::string config_map;
    std::string warning;
  };
  for (const auto& row : {Row{"g-attributes", "attrs", ""}, Row{"g-symlink-inside", "linked", ""},
                          Row{"g-submodule-commands", "", "warning SubmoduleNotSupported sub"},
                          Row{"g-hostile-commit-header", "", ""},
                          Row{"g-branch-names", "right", ""}}) {
    CAPTURE(row.name);
    TempDirectory out;
    World world(build(inputs, row.name, out));
    const auto tree = world.load("refs/test/bad");
    const std::string words = words_of(tree);
    CAPTURE(words);
    CHECK(words.compare(0, 8, "complete") == 0);
    CHECK(words.find(row.warning) != std::string::npos);
    if (!row.config_map.empty()) CHECK(has_config_map(tree, row.config_map));
  }
}

TEST_CASE("collected references are looked up by their full names", "[collected]") {
  const std::string inputs = collected();
  if (inputs.empty()) return;
  {
    TempDirectory out;
    World world(build(inputs, "g-branch-names", out));
    const auto head = world.fetch("refs/test/bad");
    REQUIRE(head);
    CHECK_FALSE(has_config_map(world.load("refs/heads/" + head->commit.sha), "right"));
    CHECK_FALSE(has_config_map(world.load("refs/tags/main"), "right"));
    CHECK(world.fetch("refs/heads/-x"));
    CHECK(world.fetch("refs/heads/$(touch${IFS}ref-ran)"));
    CHECK_FALSE(fs::exists("ref-ran"));
  }
  {
    TempDirectory out;
    World world(build(inputs, "g-tag-chain", out));
    const auto head = world.fetch("refs/heads/chain");
    REQUIRE_FALSE(head);
    CHECK(head.error().reason == "NotACommit");
  }
  {
    TempDirectory out;
    World world(build(inputs, "g-empty-repository", out));
    const auto head = world.fetch("refs/heads/main");
    REQUIRE_FALSE(head);
    CHECK(head.error().reason == "RefNotFound");
  }
  {
    TempDirectory out;
    World world(build(inputs, "g-force-push-back", out));
    const auto first = world.fetch("refs/heads/main");
    REQUIRE(first);
    const auto back = world.fetch("refs/test/step1", first->commit.sha);
    REQUIRE(back);
    CHECK(back->history_rewritten);
    const auto unrelated = world.fetch("refs/test/step2", back->commit.sha);
    REQUIRE(unrelated);
    CHECK(unrelated->history_rewritten);
  }
}

// These take minutes to build, so they run only when asked for.
TEST_CASE("collected giants are refused by their headers", "[collected][.slow]") {
  const std::string inputs = collected();
  if (inputs.empty()) return;
  struct Row {
    std::string name;
    std::string words;
  };
  for (const auto& row : {Row{"g-gigabyte-blob", "BlobLimit z.yaml"},
                          Row{"g-deep-tree", "TreeLimit"}}) {
    CAPTURE(row.name);
    TempDirectory out;
    World world(build(inputs, row.name, out));
    const std::string words = words_of(world.load("refs/test/bad"));
    CAPTURE(words);
    CHECK(words.find(row.words) != std::string::npos);
  }
}
