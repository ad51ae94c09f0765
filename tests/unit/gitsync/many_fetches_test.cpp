// What a year of pushes leaves behind: run with [.long] for ten thousand, else a hundred.
#include <catch2/catch.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/repo/mirror.hpp"
#include "gitsync/repo/remote.hpp"
#include "servers.hpp"

using namespace moored;
using namespace moored::git;
namespace fs = std::filesystem;

namespace {

// Resident bytes of this process.
std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t count_in(const std::string& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

// Commits first, all at once: what is measured is fetching.
void write_history(const TestRepository& remote, int commits) {
  std::string stream;
  for (int i = 0; i < commits; ++i) {
    const std::string text = "a: " + std::to_string(i) + "\n";
    stream += "commit refs/history/all\ncommitter A <a@b> " + std::to_string(1'700'000'000 + i) +
              " +0000\ndata 1\nx\nM 100644 inline a.yaml\ndata " + std::to_string(text.size()) +
              "\n" + text + "\n";
  }
  remote.git({"fast-import", "--quiet"}, stream);
}

void fetch_many(int commits) {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  write_history(remote, commits);
  const std::string ids = remote.git({"rev-list", "--reverse", "refs/history/all"});
  TestServer server(git_protocol(directory.path()));
  MirrorOptions options;
  options.directory = directory / "mirror";
  options.max_packs = 20;
  const std::string url = "git://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  auto mirror = Mirror::open(*check_source_url(url, true), options);
  REQUIRE(mirror);
  std::string known;
  std::size_t settled = 0;
  const int warm = commits / 4;
  for (int i = 0; i < commits; ++i) {
    const std::string next = ids.substr(static_cast<std::size_t>(i) * 41, 40);
    std::ofstream(directory / "shop.git/refs/heads/main") << next << '\n';
    const auto head = (*mirror)->fetch("refs/heads/main", known);
    if (!head) FAIL(head.error().text());
    REQUIRE(head->commit.id.hex() == next);
    REQUIRE_FALSE(head->history_rewritten);
    known = next;
    if (i == warm) settled = resident_bytes();
    if (i % 50 != 0) continue;
    REQUIRE(count_packs(directory / "mirror") <= options.max_packs + 1);
    REQUIRE(count_in("/proc/self/fd") < 200);
  }
  // libgit2 keeps 32 MiB of objects, and windows onto packs.
  CHECK(resident_bytes() < settled + (64U << 20U));
  CHECK(count_in(directory / "mirror/objects") < 10);
}

std::string nth(const std::string& ids, int n) {
  return ids.substr(static_cast<std::size_t>(n) * 41, 40);
}

}  // namespace

TEST_CASE("a commit that is long in coming leaves few packs", "[many]") {
  constexpr int kPushes = 150;
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  write_history(remote, kPushes + 1);
  const std::string ids = remote.git({"rev-list", "--reverse", "refs/history/all"});
  TestServer server(git_protocol(directory.path()));
  MirrorOptions options;
  options.directory = directory / "mirror";
  options.max_packs = 40;
  const std::string url = "git://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  auto mirror = Mirror::open(*check_source_url(url, true), options);
  REQUIRE(mirror);
  const std::string wanted = nth(ids, kPushes);
  for (int i = 0; i < kPushes; ++i) {
    std::ofstream(directory / "shop.git/refs/heads/main") << nth(ids, i) << '\n';
    const auto head = (*mirror)->fetch(wanted, "");
    REQUIRE_FALSE(head);
    REQUIRE(head.error().reason == "RefNotFound");
    REQUIRE(count_packs(directory / "mirror") <= options.max_packs);
  }
  // Looking again while nothing was pushed brings nothing.
  const auto packs = count_packs(directory / "mirror");
  REQUIRE_FALSE((*mirror)->fetch(wanted, ""));
  CHECK(count_packs(directory / "mirror") == packs);
  std::ofstream(directory / "shop.git/refs/heads/main") << wanted << '\n';
  const auto head = (*mirror)->fetch(wanted, nth(ids, 3));
  REQUIRE(head);
  CHECK_FALSE(head->history_rewritten);
  // A branch that is gone is not kept for ever.
  CHECK(fs::exists(directory / "mirror/refs/moored/heads/main"));
  fs::rename(directory / "shop.git/refs/heads/main", directory / "shop.git/refs/heads/other");
  REQUIRE_FALSE((*mirror)->fetch(std::string(40, '6'), ""));
  CHECK_FALSE(fs::exists(directory / "mirror/refs/moored/heads/main"));
}

TEST_CASE("a hundred fetches leave little behind", "[many]") { fetch_many(100); }

TEST_CASE("ten thousand fetches leave little behind", "[.long]") { fetch_many(10'000); }
