// What a year of pushes leaves behind: a hundred, or as many as MOORED_FETCHES says.
#include <catch2/catch.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "gitsync/repo/disk_use.hpp"
#include "gitsync/repo/mirror.hpp"
#include "gitsync/repo/remote.hpp"
#include "schema/host/confinement.hpp"
#include "servers.hpp"

using namespace moored;
using namespace moored::git;
namespace fs = std::filesystem;

namespace {

// The process id of the one worker that this process has.
std::string find_worker() {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    std::string id;
    std::string name;
    std::string state;
    int parent = 0;
    if (stat >> id >> name >> state >> parent && name == "(moored-git)" && parent == ::getpid()) {
      return id;
    }
  }
  return {};
}

// Proportional bytes of a process; 0 when it cannot be seen.
std::size_t proportional_bytes(const std::string& process) {
  std::ifstream file("/proc/" + process + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("Pss:", 0) == 0) return std::stoul(line.substr(4)) << 10U;
  }
  return 0;
}

std::size_t count_in(const std::string& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

// Commits first, all at once: what is measured is fetching.
void write_history(const TestRepository& remote, int commits) {
  std::string stream;
  for (int i = 0; i < commits; ++i) {
    const std::string text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {number: \"" + std::to_string(i) +
        "\"}\n";
    stream += "commit refs/history/all\ncommitter A <a@b> " + std::to_string(1'700'000'000 + i) +
              " +0000\ndata 1\nx\nM 100644 inline a.yaml\ndata " + std::to_string(text.size()) +
              "\n" + text + "\n";
  }
  remote.git({"fast-import", "--quiet"}, stream);
}

std::string nth(const std::string& ids, int n) {
  return ids.substr(static_cast<std::size_t>(n) * 41, 40);
}

// How often to fetch: a hundred times, or what MOORED_FETCHES says.
int count_fetches() {
  const char* wanted = ::getenv("MOORED_FETCHES");
  return wanted == nullptr ? 100 : std::atoi(wanted);
}

// What is measured from time to time; the largest of each is what counts.
struct Peak {
  std::size_t settled = 0;  // bytes of the worker after a quarter of the fetches
  std::size_t memory = 0;
  std::size_t descriptors = 0;
  std::size_t disk = 0;
  std::size_t packs = 0;

  void look(const std::string& worker, const std::string& mirror) {
    memory = std::max(memory, proportional_bytes(worker));
    descriptors = std::max(descriptors, count_in("/proc/" + worker + "/fd"));
    disk = std::max(disk, measure_disk_use(mirror));
    packs = std::max(packs, count_packs(mirror + "/repository"));
  }
  void tell(int fetches) const {
    std::printf("%d fetches: worker at most %zu KiB (%zu when warm), %zu descriptors, mirror at most "
                "%zu KiB in %zu packs\n", fetches, memory >> 10U, settled >> 10U, descriptors,
                disk >> 10U, packs);
    std::fflush(stdout);
  }
};

SourceSpec source_at(const std::string& url) {
  SourceSpec source;
  source.id = "flux/shop";
  source.url = url;
  source.reference = "refs/heads/main";
  source.allow_local = true;
  return source;
}

// As the daemon does: through a worker that lives long, and every commit is loaded.
void fetch_many(const std::string& transport, int commits) {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  write_history(remote, commits);
  const std::string ids = remote.git({"rev-list", "--reverse", "refs/history/all"});
  TestServer server(transport == "git" ? git_protocol(directory.path())
                                       : http_backend(directory.path()));
  WorkerReader::Options options;
  options.program = std::string(MOORED_BIN_DIR) + "/moored-git";
  options.mirror_root = directory / "mirrors";
  options.idle_limit = std::chrono::minutes(2);
  WorkerReader reader(options);
  const SourceSpec source = source_at(transport + "://127.0.0.1:" + std::to_string(server.port()) +
                                      "/shop.git");
  const std::string mirror = directory / "mirrors/flux_shop";
  Peak peak;
  std::string known;
  std::string worker;
  for (int i = 0; i < commits; ++i) {
    std::ofstream(directory / "shop.git/refs/heads/main") << nth(ids, i) << '\n';
    const auto head = reader.fetch(source, known);
    if (!head) FAIL(head.error().text());
    REQUIRE(head->commit.sha == nth(ids, i));
    REQUIRE_FALSE(head->history_rewritten);
    known = head->commit.sha;
    const auto tree = reader.load(source, {known, "", ""});
    if (!tree) FAIL(tree.error().text());
    if (!tree->complete) FAIL(tree->diagnostics.errors().at(0).text());
    if (i == 0) worker = find_worker();
    if (i % 25 == 0) peak.look(worker, mirror);
    if (i == commits / 4) peak.settled = proportional_bytes(worker);
    if (i % 1000 == 999) peak.tell(i + 1);
  }
  peak.tell(commits);
  // The worker that began has also ended it.
  CHECK(find_worker() == worker);
  REQUIRE(peak.settled > 0);
  // libgit2 keeps 32 MiB of objects, and windows onto packs; a sanitizer keeps what was freed.
  if (!kSanitized) CHECK(peak.memory < peak.settled + (64U << 20U));
  CHECK(peak.packs <= MirrorOptions().max_packs);
  CHECK(peak.descriptors < 2 * MirrorOptions().max_packs + 50);
  CHECK(peak.disk < (16U << 20U) + static_cast<std::size_t>(commits) * 4096);
}

}  // namespace

TEST_CASE("a commit that is long in coming leaves few packs", "[many]") {
  constexpr int kPushes = 60;
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  write_history(remote, kPushes + 1);
  const std::string ids = remote.git({"rev-list", "--reverse", "refs/history/all"});
  TestServer server(git_protocol(directory.path()));
  MirrorOptions options;
  options.directory = directory / "mirror";
  options.max_packs = 15;
  options.access.allow_local = true;
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

TEST_CASE("many fetches over http leave little behind", "[many]") {
  fetch_many("http", count_fetches());
}

TEST_CASE("many fetches over git leave little behind", "[many]") {
  fetch_many("git", count_fetches());
}
