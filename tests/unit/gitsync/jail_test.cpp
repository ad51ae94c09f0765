// What a worker can still do: seen from inside, from /proc, and on the disk.
#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "git_fixture.hpp"
#include "gitsync/follow/jail.hpp"
#include "gitsync/follow/mirror_home.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "gitsync/repo/mirror.hpp"
#include "servers.hpp"
#include "tests/unit/confined.hpp"

using namespace moored;
using namespace moored::git;
using namespace moored::confined;
namespace fs = std::filesystem;

namespace {

// A directory that other users may pass through, which a temporary one is not by itself.
struct OpenDirectory : TempDirectory {
  OpenDirectory() { ::chmod(path().c_str(), 0755); }
};

// Bit n: attempt n went well.
int try_in_jail(const Jail& jail, const std::string& directory,
                const std::vector<Attempt>& attempts) {
  return try_after([&] { return enter_jail(jail); }, directory, attempts);
}

SourceSpec source_of(const std::string& url) {
  SourceSpec source;
  source.id = "flux/shop";
  source.url = url;
  source.reference = "refs/heads/main";
  source.allow_local = true;
  return source;
}

WorkerReader::Options options_in(const TempDirectory& directory) {
  WorkerReader::Options options;
  options.program = std::string(MOORED_BIN_DIR) + "/moored-git";
  options.mirror_root = directory / "mirrors";
  return options;
}

std::string config_map(const std::string& name) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n";
}

// Owners of everything below a directory, that itself included, each once.
std::set<unsigned> owners_below(const std::string& directory) {
  std::set<unsigned> owners;
  struct stat found {};
  REQUIRE(::lstat(directory.c_str(), &found) == 0);
  owners.insert(found.st_uid);
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    REQUIRE(::lstat(entry.path().c_str(), &found) == 0);
    owners.insert(found.st_uid);
  }
  return owners;
}

}  // namespace

TEST_CASE("a worker for servers writes its mirror and nothing else", "[jail]") {
  if (!is_confinable()) return;
  OpenDirectory directory;
  const std::string mirror = directory / "mirror";
  fs::create_directory(mirror);
  fs::create_directory(mirror + "-beside");
  fs::permissions(mirror + "-beside", fs::perms::all);
  REQUIRE(::chown(mirror.c_str(), kNobody, kNobody) == 0);
  std::ofstream(mirror + "/closed") << "of root";
  fs::permissions(mirror + "/closed", fs::perms::owner_read);
  const Jail jail{mirror, {}, kUser};
  CHECK(try_in_jail(jail, mirror, {kWriteInside, kReadSystem, kInternet}) == 7);
  CHECK(try_in_jail(jail, mirror, {kWriteOutside, kReadInside, kReadShadow, kExecute, kFork,
                                   kUnixSocket, kListen}) == 0);
  CHECK(try_in_jail(jail, mirror, {kSignal}) == 0);
}

TEST_CASE("a worker for a directory reads that and nothing else", "[jail]") {
  if (!is_confinable()) return;
  TempDirectory directory;  // closed to others, as the directories of people are
  const std::string local = directory / "tree";
  fs::create_directory(local);
  std::ofstream(local + "/closed") << "of root";
  fs::permissions(local + "/closed", fs::perms::owner_read);
  const Jail jail{{}, local, kUser};
  CHECK(try_in_jail(jail, local, {kReadInside}) == 1);
  CHECK(try_in_jail(jail, local, {kWriteInside, kWriteOutside, kReadSystem, kReadShadow, kExecute,
                                  kFork, kInternet, kUnixSocket}) == 0);
  // Without another user the same holds.
  CHECK(try_in_jail({{}, local, {}}, local, {kReadInside, kWriteInside, kInternet}) == 1);
}

TEST_CASE("a running worker shows its user, its filter and no rights", "[jail]") {
  if (!is_confinable()) return;
  OpenDirectory directory;
  TestRepository remote(directory / "shop.git");
  remote.push({{"a.yaml", config_map("one")}});
  TestServer server(http_backend(directory.path()));
  const bool local = GENERATE(true, false);
  auto options = options_in(directory);
  options.user = kUser;
  WorkerReader reader(options);
  const std::string url =
      local ? remote.path() : "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  const auto head = reader.fetch(source_of(url), "");
  if (!head) FAIL(head.error().text());
  const auto tree = reader.load(source_of(url), {head->commit.sha, "", ""});
  REQUIRE(tree);
  CHECK(tree->complete);
  // CAP_DAC_READ_SEARCH is the third bit, for directories of this machine alone.
  check_confined(status_of_child("moored-git"), local ? "0000000000000004" : "0000000000000000");
  if (!local) CHECK(owners_below(directory / "mirrors/flux_shop") == std::set<unsigned>{kNobody});
}

TEST_CASE("a mirror of root is handed to the worker's user, and back", "[jail]") {
  if (!is_confinable()) return;
  OpenDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push({{"a.yaml", config_map("one")}});
  const std::string home = directory / "mirrors/flux_shop";
  fs::create_directories(directory / "mirrors");
  fs::permissions(directory / "mirrors", fs::perms(0711));
  std::string url;
  {
    TestServer server(http_backend(directory.path()));
    url = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
    // As it was laid out when the worker was root: the mirror is the directory of the source.
    MirrorOptions options;
    options.directory = home;
    options.access.allow_local = true;
    auto mirror = Mirror::open(*check_source_url(url, true), options);
    REQUIRE(mirror);
    REQUIRE((*mirror)->fetch("refs/heads/main", ""));
  }
  // The server is away from here on: what is loaded was moved and not fetched again.
  const unsigned owner = GENERATE(kNobody, 0U);
  auto options = options_in(directory);
  for (const unsigned uid : {owner, kNobody - owner, owner}) {
    options.user = {uid, uid};
    WorkerReader reader(options);
    const auto tree = reader.load(source_of(url), {sha, "", ""});
    if (!tree) FAIL(tree.error().text());
    CHECK(tree->complete);
    CHECK(owners_below(home) == std::set<unsigned>{uid});
  }
}

TEST_CASE("a mirror that holds what no mirror holds is thrown away", "[jail]") {
  if (!is_confinable()) return;
  TempDirectory directory;
  const std::string home = directory / "home";
  const std::string outside = directory / "outside";
  fs::create_directories(home + "/repository/refs");
  std::ofstream(outside) << "of root";
  const int row = GENERATE(0, 1, 2);
  if (row == 0) fs::create_hard_link(outside, home + "/repository/refs/x");
  if (row == 1) fs::create_symlink(outside, home + "/repository/refs/x");
  if (row == 2) REQUIRE(::mkfifo((home + "/repository/refs/x").c_str(), 0600) == 0);
  REQUIRE(prepare_mirror_home(home, kNobody, kNobody));
  CHECK(owners_below(home) == std::set<unsigned>{kNobody});
  CHECK_FALSE(fs::exists(home + "/repository"));
  struct stat found {};
  REQUIRE(::stat(outside.c_str(), &found) == 0);
  CHECK(found.st_uid == 0);
}

TEST_CASE("a move that was interrupted is finished", "[jail]") {
  TempDirectory directory;
  const std::string home = directory / "home";
  fs::create_directories(home + ".moving");
  std::ofstream(home + ".moving/HEAD") << "ref: refs/heads/main\n";
  REQUIRE(prepare_mirror_home(home, ::geteuid(), ::getegid()));
  CHECK(fs::exists(home + "/repository/HEAD"));
  CHECK_FALSE(fs::exists(home + ".moving"));
  // Twice changes nothing.
  REQUIRE(prepare_mirror_home(home, ::geteuid(), ::getegid()));
  CHECK(fs::exists(home + "/repository/HEAD"));
}

TEST_CASE("a worker that cannot reach its mirror says so", "[jail]") {
  if (!is_confinable()) return;
  TempDirectory directory;  // 0700: closed to the worker's user
  auto options = options_in(directory);
  options.user = kUser;
  WorkerReader reader(options);
  for (int i = 0; i < 2; ++i) {
    const auto head = reader.fetch(source_of("http://127.0.0.1:1/x.git"), "");
    REQUIRE_FALSE(head);
    CHECK(head.error().code == Code::denied);
    CHECK(head.error().text().find("mirrors/flux_shop") != std::string::npos);
  }
}
