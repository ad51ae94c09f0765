#include "gitsync/load/disk.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/load/loader.hpp"
#include "gitsync/render/plain.hpp"

using namespace moored;
using namespace moored::git;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

void put(const TempDirectory& directory, const std::string& name, const std::string& text = "#\n") {
  fs::create_directories(fs::path(directory / name).parent_path());
  std::ofstream(directory / name) << text;
}

ManifestSet list(const TempDirectory& directory) {
  auto set = list_directory_manifests(directory.path());
  if (!set) FAIL(set.error().text());
  return *std::move(set);
}

Names paths_of(const ManifestSet& set) {
  Names paths;
  for (const auto& file : set.files) paths.push_back(file.path);
  return paths;
}

Names reasons_of(const Diagnostics& diagnostics) {
  Names reasons;
  for (const auto& error : diagnostics.errors()) {
    reasons.push_back(error.reason + ' ' + error.place.file);
  }
  return reasons;
}

}  // namespace

TEST_CASE("manifests on disk are found by the rules of a commit", "[disk]") {
  TempDirectory directory;
  put(directory, "b.yaml");
  put(directory, "a.yml");
  put(directory, "sub/deep/c.json", "{}");
  put(directory, "README.md");
  put(directory, ".hidden.yaml");
  put(directory, ".git/config.yaml");
  put(directory, "sub/kustomization.yaml");
  const ManifestSet set = list(directory);
  CHECK(paths_of(set) == Names{"a.yml", "b.yaml", "sub/deep/c.json"});
  CHECK(set.kustomizations == Names{"sub/kustomization.yaml"});
  CHECK(set.diagnostics.ok());
}

TEST_CASE("equal content on disk has equal ids", "[disk]") {
  TempDirectory directory;
  put(directory, "a.yaml", "x: 1\n");
  put(directory, "b.yaml", "x: 1\n");
  put(directory, "c.yaml", "x: 2\n");
  const ManifestSet set = list(directory);
  REQUIRE(set.files.size() == 3);
  CHECK(set.files[0].id == set.files[1].id);
  CHECK(set.files[0].id != set.files[2].id);
}

TEST_CASE("links on disk lead inside the directory or are refused", "[disk]") {
  TempDirectory outside;
  put(outside, "secret.yaml");
  TempDirectory directory;
  put(directory, "real.txt");
  fs::create_symlink("real.txt", directory / "good.yaml");
  fs::create_symlink(outside / "secret.yaml", directory / "absolute.yaml");
  fs::create_symlink("nothing", directory / "dangling.yaml");
  fs::create_symlink("loop.yaml", directory / "loop.yaml");
  fs::create_directory(directory / "sub");
  fs::create_symlink("sub", directory / "directory.yaml");
  fs::create_directory_symlink(outside.path(), directory / "elsewhere");
  const ManifestSet set = list(directory);
  CHECK(paths_of(set) == Names{"good.yaml"});
  CHECK(reasons_of(set.diagnostics) ==
        Names{"SymlinkRefused absolute.yaml", "SymlinkRefused dangling.yaml",
              "SymlinkRefused directory.yaml", "SymlinkRefused loop.yaml"});
  for (const auto& error : set.diagnostics.errors()) {
    CHECK(error.text().find("secret") == std::string::npos);
  }
}

TEST_CASE("a file too large is never read", "[disk]") {
  TempDirectory directory;
  put(directory, "big.yaml");
  fs::resize_file(directory / "big.yaml", kMaxManifestBytes + 1);
  ManifestSet set = list(directory);
  DirectoryReader reader(directory.path());
  ManifestLoader loader;
  const auto loaded = loader.load(set, reader, {}, SystemClock{});
  REQUIRE(loaded);
  CHECK(reasons_of(loaded->diagnostics) == Names{"SizeLimit big.yaml"});
}

TEST_CASE("a directory too deep ends at a limit", "[disk]") {
  TempDirectory directory;
  std::string path;
  for (int i = 0; i < 70; ++i) path += "d/";
  put(directory, path + "a.yaml");
  const ManifestSet set = list(directory);
  CHECK(set.files.empty());
  REQUIRE(set.diagnostics.errors().size() == 1);
  CHECK(set.diagnostics.errors()[0].reason == "TreeLimit");
}

TEST_CASE("a directory that is not there is not found", "[disk]") {
  TempDirectory directory;
  const auto set = list_directory_manifests(directory / "absent");
  REQUIRE_FALSE(set);
  CHECK(set.error().code == Code::not_found);
}

TEST_CASE("directories that want rendering are judged one by one", "[plain]") {
  struct Row {
    Names files;
    Names reasons;
  };
  for (const auto& row :
       {Row{{}, {}},
        Row{{"kustomization.yaml"}, {"KustomizeNotSupported kustomization.yaml"}},
        Row{{"a/Kustomization", "b/kustomization.yml"},
            {"KustomizeNotSupported a/Kustomization", "KustomizeNotSupported b/kustomization.yml"}},
        Row{{"a/kustomization.yaml", "a/kustomization.yml"},
            {"AmbiguousKustomization a/kustomization.yml"}}}) {
    Diagnostics diagnostics;
    check_plain(row.files, diagnostics);
    CHECK(reasons_of(diagnostics) == row.reasons);
  }
}
