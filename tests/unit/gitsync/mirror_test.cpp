#include "gitsync/repo/mirror.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/repo/disk_use.hpp"
#include "gitsync/repo/library.hpp"
#include "gitsync/repo/remote.hpp"
#include "schema/base/random.hpp"
#include "servers.hpp"

using namespace moored;
using namespace moored::git;
namespace fs = std::filesystem;

namespace {

const std::string kMain = "refs/heads/main";

// A mirror of a URL below a directory of the test.
std::unique_ptr<Mirror> mirror_of(const std::string& url, const TempDirectory& directory,
                                  MirrorOptions options = {}) {
  const auto checked = check_source_url(url, true);
  REQUIRE(checked);
  options.access.allow_local = true;
  options.directory = directory / "mirror";
  auto mirror = Mirror::open(*checked, std::move(options));
  if (!mirror) FAIL(mirror.error().text());
  return *std::move(mirror);
}

std::string blob_text(Mirror& mirror, const std::string& id) {
  const auto text = mirror.read_blob(*ObjectId::from_hex(id));
  return text ? *text : "error: " + text.error().reason;
}

std::string reason_of(const Result<Head>& head) {
  return head ? "found " + head->commit.id.hex() : head.error().reason;
}

}  // namespace

TEST_CASE("a remote is fetched, followed and read over every transport", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  const std::string transport = GENERATE(std::string("http"), std::string("git"),
                                         std::string("file"), std::string("path"));
  CAPTURE(transport);
  std::unique_ptr<TestServer> server;
  std::string url = remote.path();
  if (transport == "file") url = "file://" + remote.path();
  if (transport == "http") server = std::make_unique<TestServer>(http_backend(directory.path()));
  if (transport == "git") server = std::make_unique<TestServer>(git_protocol(directory.path()));
  if (server) {
    url = transport + "://127.0.0.1:" + std::to_string(server->port()) + "/shop.git";
  }
  const auto mirror = mirror_of(url, directory);
  CHECK(mirror->is_copy() == (server != nullptr));
  const auto head = mirror->fetch(kMain, "");
  REQUIRE(reason_of(head) == "found " + first);
  CHECK(head->changed);
  CHECK_FALSE(head->history_rewritten);
  CHECK(head->commit.author == "tester <tester@example.test>");
  CHECK(head->commit.subject == "change");
  REQUIRE(head->commit.committed_at);
  CHECK(format_time(*head->commit.committed_at) == "2023-11-14T22:13:20Z");
  CHECK(blob_text(*mirror, remote.blob("a: 1\n")) == "a: 1\n");

  const std::string second = remote.push({{"a.yaml", "a: 2\n"}});
  const auto moved = mirror->fetch(kMain, first);
  REQUIRE(reason_of(moved) == "found " + second);
  CHECK(moved->changed);
  CHECK_FALSE(moved->history_rewritten);
  CHECK(mirror->read_blob_size(*ObjectId::from_hex(remote.blob("a: 2\n"))).value_or(0) == 5);
  const auto still = mirror->fetch(kMain, second);
  REQUIRE(still);
  CHECK_FALSE(still->changed);
  CHECK(fs::exists(directory / "mirror") == (server != nullptr));
}

TEST_CASE("nothing is fetched while the reference stays", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  TestServer server(http_backend(directory.path()));
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  const auto mirror = mirror_of(url, directory);
  REQUIRE(mirror->fetch(kMain, ""));
  const auto packs = count_packs(directory / "mirror");
  CHECK(packs == 1);
  for (int i = 0; i < 3; ++i) REQUIRE(mirror->fetch(kMain, first));
  CHECK(count_packs(directory / "mirror") == packs);
}

TEST_CASE("branches, tags, commits and full names are followed", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  const std::string second = remote.push({{"a.yaml", "a: 2\n"}});
  remote.git({"tag", "light", first});
  remote.git({"tag", "-a", "-m", "signed off", "heavy", first});
  // A tag named as the branch, a branch named as another commit, and names that look like options.
  remote.git({"tag", "main", first});
  remote.set_ref("refs/heads/" + second, first);
  remote.set_ref("refs/heads/-x", first);
  remote.set_ref("refs/heads/$(touch${IFS}x)", first);
  remote.set_ref("refs/heads/é", second);
  const bool over_http = GENERATE(true, false);
  std::unique_ptr<TestServer> server;
  std::string url = remote.path();
  if (over_http) {
    server = std::make_unique<TestServer>(http_backend(directory.path()));
    url = "http://127.0.0.1:" + std::to_string(server->port()) + "/shop.git";
  }
  struct Row {
    std::string reference;
    std::string found;
  };
  for (const auto& row : {Row{kMain, second}, Row{"refs/tags/light", first},
                          Row{"refs/tags/heavy", first}, Row{"refs/tags/main", first},
                          Row{"HEAD", second}, Row{first, first}, Row{second, second},
                          Row{first.substr(0, 7), first}, Row{second.substr(0, 39), second},
                          Row{"refs/heads/" + second, first}, Row{"refs/heads/-x", first},
                          Row{"refs/heads/$(touch${IFS}x)", first},
                          Row{"refs/heads/é", second}}) {
    CAPTURE(row.reference);
    const auto mirror = mirror_of(url, directory);
    CHECK(reason_of(mirror->fetch(row.reference, "")) == "found " + row.found);
  }
  const auto mirror = mirror_of(url, directory);
  CHECK(reason_of(mirror->fetch("refs/heads/none", "")) == "RefNotFound");
  CHECK(reason_of(mirror->fetch(std::string(40, '3'), "")) == "RefNotFound");
  CHECK(reason_of(mirror->fetch(std::string(7, '3'), "")) == "RefNotFound");
  CHECK(reason_of(mirror->fetch(remote.blob("a: 1\n").substr(0, 9), "")) == "NotACommit");
  for (const char* bad : {"main", "refs/heads/a..b", "refs/heads/", "refs/heads/a b", "-x",
                          "refs/heads/a\nb", "refs/heads/*", "", "abc123", "ABCDEF01"}) {
    CAPTURE(bad);
    CHECK(reason_of(mirror->fetch(bad, "")) == "InvalidValue");
  }
}

TEST_CASE("digits that several objects begin with are refused", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  // Found by trying: the ids of both begin with 1dceecc.
  const std::string one = "a: 13610\n";
  const std::string other = "a: 32312\n";
  remote.push({{"a.yaml", one}, {"b.yaml", other}});
  const auto digits = remote.blob(one).substr(0, 7);
  REQUIRE(digits == remote.blob(other).substr(0, 7));
  const auto mirror = mirror_of(remote.path(), directory);
  CHECK(reason_of(mirror->fetch(digits, "")) == "AmbiguousReference");
  CHECK(reason_of(mirror->fetch(remote.blob(one).substr(0, 12), "")) == "NotACommit");
}

TEST_CASE("an empty repository has no reference, until the first push", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  TestServer server(http_backend(directory.path()));
  const std::string over_http = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  for (const std::string& url : {over_http, remote.path()}) {
    const auto mirror = mirror_of(url, directory);
    CHECK(reason_of(mirror->fetch(kMain, "")) == "RefNotFound");
    CHECK(reason_of(mirror->fetch("HEAD", "")) == "RefNotFound");
  }
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  const auto mirror = mirror_of(over_http, directory);
  CHECK(reason_of(mirror->fetch(kMain, "")) == "found " + first);
}

TEST_CASE("history that was rewritten is followed and noticed", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string tree = remote.tree_of({{"a.yaml", "a: 1\n"}});
  const std::string one = remote.commit(tree, {}, "one");
  const std::string two = remote.commit(tree, {one}, "two");
  const std::string three = remote.commit(tree, {two, one}, "three");
  const std::string foreign = remote.commit(tree, {}, "unrelated");
  struct Row {
    std::string from;
    std::string to;
    bool rewritten;
  };
  const auto mirror = mirror_of(remote.path(), directory);
  for (const auto& row : {Row{one, two, false}, Row{one, three, false}, Row{two, one, true},
                          Row{three, foreign, true}, Row{two, two, false},
                          Row{std::string(40, '5'), two, true}, Row{"", two, false}}) {
    remote.set_ref(kMain, row.to);
    const auto head = mirror->fetch(kMain, row.from);
    REQUIRE(reason_of(head) == "found " + row.to);
    CHECK(head->history_rewritten == row.rewritten);
    CHECK(head->changed == (row.from != row.to));
  }
}

TEST_CASE("a branch leads to a commit, a tag in at most eight steps", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string commit = remote.push({{"a.yaml", "a: 1\n"}});
  const auto tag_of = [&](const std::string& id, const std::string& type) {
    return remote.raw_object("tag", "object " + id + "\ntype " + type +
                                        "\ntag t\ntagger t <t@x> 1700000000 +0000\n\nx\n");
  };
  std::string chain = tag_of(commit, "commit");
  for (int i = 1; i < 8; ++i) chain = tag_of(chain, "tag");
  remote.set_ref("refs/tags/eight", chain);
  remote.set_ref("refs/tags/nine", tag_of(chain, "tag"));
  remote.set_ref("refs/tags/blob", tag_of(remote.blob("x"), "blob"));
  remote.set_ref("refs/tags/tree", remote.tree_of({{"a", "b"}}));
  std::ofstream(remote.path() + "/refs/heads/chain") << chain << '\n';
  const auto mirror = mirror_of(remote.path(), directory);
  CHECK(reason_of(mirror->fetch("refs/tags/eight", "")) == "found " + commit);
  for (const char* name : {"refs/tags/nine", "refs/tags/blob", "refs/tags/tree",
                           "refs/heads/chain"}) {
    CAPTURE(name);
    CHECK(reason_of(mirror->fetch(name, "")) == "NotACommit");
  }
}

TEST_CASE("hostile commit headers are read and shown without harm", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string tree = remote.tree_of({{"a.yaml", "a: 1\n"}});
  const std::string id = remote.raw_object(
      "commit", "tree " + tree +
                    "\nauthor E\x1b[2Jvil\xff <e@example.test> 99999999999999999 +9999\n"
                    "committer C\xe2\x80\xae <c@example.test> -5 -2500\n\n"
                    "subject \x1b]52;c;eA==\x07\r fake\n\n" + std::string(2 << 20, 'm'));
  remote.set_ref(kMain, id);
  const auto mirror = mirror_of(remote.path(), directory);
  const auto head = mirror->fetch(kMain, "");
  REQUIRE(reason_of(head) == "found " + id);
  CHECK(head->commit.author == "E\\x1b[2Jvil\\xff <e@example.test>");
  CHECK(head->commit.subject == "subject \\x1b]52;c;eA==\\x07\\x0d fake");
  CHECK_FALSE(head->commit.committed_at);
}

TEST_CASE("broken objects are told apart and work again once repaired", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string id = remote.blob(std::string(3000, '#'));
  const std::string file = remote.path() + "/objects/" + id.substr(0, 2) + '/' + id.substr(2);
  std::string whole;
  {
    std::ifstream in(file, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  fs::permissions(file, fs::perms::owner_all);
  std::string broken = whole;
  broken.replace(12, 3, "\xff\x01\xff");
  std::ofstream(file, std::ios::binary) << broken;
  CHECK(blob_text(*mirror_of(remote.path(), directory), id) == "error: ObjectCorrupt");
  std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  CHECK(blob_text(*mirror_of(remote.path(), directory), id) == std::string(3000, '#'));
  const auto mirror = mirror_of(remote.path(), directory);
  const auto missing = mirror->read_blob(*ObjectId::from_hex(std::string(40, '2')));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().reason == "ObjectMissing");
  CHECK(missing.error().message.find("2222222") != std::string::npos);
  const auto tree = mirror->read_tree(*ObjectId::from_hex(id));
  REQUIRE_FALSE(tree);
  CHECK(tree.error().reason == "ObjectCorrupt");
}

TEST_CASE("the size of a gigabyte is known without inflating it", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  // 64 MiB is enough to tell: reading it would show in the peak of the resident memory.
  const std::string id = remote.blob(std::string(64U << 20U, '\0'));
  const auto mirror = mirror_of(remote.path(), directory);
  const auto size = mirror->read_blob_size(*ObjectId::from_hex(id));
  REQUIRE(size);
  CHECK(*size == 64U << 20U);
}

TEST_CASE("a mirror that is no repository any more is made anew", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  fs::create_directories(directory / "mirror/objects");
  std::ofstream(directory / "mirror/HEAD") << "garbage";
  TestServer server(http_backend(directory.path()));
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  CHECK(reason_of(mirror_of(url, directory)->fetch(kMain, "")) == "found " + first);
  REQUIRE(discard_mirror(directory / "mirror"));
  CHECK_FALSE(fs::exists(directory / "mirror"));
  CHECK(reason_of(mirror_of(url, directory)->fetch(kMain, first)) == "found " + first);
}

TEST_CASE("many packs become one, and nothing is lost", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  TestServer server(http_backend(directory.path()));
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  MirrorOptions options;
  options.max_packs = 3;
  const auto mirror = mirror_of(url, directory, options);
  std::string known;
  for (int i = 0; i < 6; ++i) {
    const std::string text = "a: " + std::to_string(i) + "\n";
    const std::string next = remote.push({{"a.yaml", text}});
    const auto head = mirror->fetch(kMain, known);
    REQUIRE(reason_of(head) == "found " + next);
    CHECK_FALSE(head->history_rewritten);
    CHECK(blob_text(*mirror, remote.blob(text)) == text);
    CHECK(count_packs(directory / "mirror") <= 3);
    known = next;
  }
  CHECK(blob_text(*mirror, remote.blob("a: 0\n")) == "a: 0\n");
  CHECK_FALSE(fs::exists(directory / "mirror.new"));
}

TEST_CASE("an annotated tag outlives the joining of packs", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  TestServer server(http_backend(directory.path()));
  MirrorOptions options;
  options.max_packs = 2;
  const auto mirror = mirror_of(
      "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git", directory, options);
  for (int i = 0; i < 5; ++i) {
    const std::string next = remote.push({{"a.yaml", "a: " + std::to_string(i) + "\n"}});
    remote.git({"tag", "-f", "-a", "-m", "number " + std::to_string(i), "release", next});
    CHECK(reason_of(mirror->fetch("refs/tags/release", "")) == "found " + next);
    CHECK(count_packs(directory / "mirror") <= 2);
  }
}

TEST_CASE("a mirror keeps within its space", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  TestServer server(http_backend(directory.path()));
  MirrorOptions options;
  options.space = 3U << 20U;
  const auto mirror = mirror_of(
      "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git", directory, options);
  SeededRandom random(7);
  const auto large = [&] {
    std::string noise(1'200'000, '\0');
    for (char& byte : noise) byte = static_cast<char>(random.below(256));
    return remote.tree_of({{"noise.bin", noise}});
  };
  std::string last;
  for (int i = 0; i < 2; ++i) {
    last = remote.commit(large());
    remote.set_ref(kMain, last);
    REQUIRE(reason_of(mirror->fetch(kMain, "")) == "found " + last);
  }
  // No room for a third, but the first was rewritten: without it there is.
  last = remote.commit(large());
  remote.set_ref(kMain, last);
  const auto refused = mirror->fetch(kMain, "");
  REQUIRE(reason_of(refused) == "DiskBudget");
  CHECK(refused.error().code == Code::exhausted);
  CHECK(refused.error().text().find("left for this source") != std::string::npos);
  CHECK_FALSE(refused.error().fix.empty());
  CHECK(reason_of(mirror->fetch(kMain, "")) == "found " + last);
  // History that belongs to the branch stays, so there is an end.
  last = remote.commit(large(), {last});
  remote.set_ref(kMain, last);
  CHECK(reason_of(mirror->fetch(kMain, "")) == "DiskBudget");
  REQUIRE(reason_of(mirror->fetch(kMain, "")) == "found " + last);
  remote.set_ref(kMain, remote.commit(large(), {last}));
  for (int i = 0; i < 3; ++i) CHECK(reason_of(mirror->fetch(kMain, "")) == "DiskBudget");
  mirror->set_space(8U << 20U);
  CHECK(mirror->fetch(kMain, ""));
}

TEST_CASE("what a killed fetch has left is removed", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  TestServer server(http_backend(directory.path()));
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  REQUIRE(mirror_of(url, directory)->fetch(kMain, ""));
  const std::string packs = directory / "mirror/objects/pack/";
  std::ofstream(packs + "pack_git2_0a1b2c") << std::string(100'000, 'x');
  std::ofstream(packs + "pack-" + std::string(40, '1') + ".idx") << "x";
  const auto mirror = mirror_of(url, directory);
  CHECK(std::distance(fs::directory_iterator(packs), fs::directory_iterator()) == 2);
  CHECK(reason_of(mirror->fetch(kMain, first)) == "found " + first);
}

TEST_CASE("disk use counts names as well as bytes, and follows no link", "[mirror]") {
  TempDirectory directory;
  fs::create_directories(directory / "a/b");
  std::ofstream(directory / "a/b/file") << std::string(5000, 'x');
  for (int i = 0; i < 10; ++i) std::ofstream(directory / ("a/" + std::to_string(i)));
  fs::create_symlink("/usr", directory / "a/link");
  CHECK(measure_disk_use(directory / "a") == 4096U * (2 + 1 + 11 + 1));
  CHECK(measure_disk_use(directory / "absent") == 0);
}

TEST_CASE("a path without a repository says so", "[mirror]") {
  TempDirectory directory;
  const auto mirror = Mirror::open(*check_source_url(directory.path(), true), {});
  REQUIRE_FALSE(mirror);
  CHECK(mirror.error().reason == "RepositoryNotFound");
  CHECK(mirror.error().code == Code::not_found);
}

TEST_CASE("configuration in a home directory redirects nobody", "[mirror]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string first = remote.push({{"a.yaml", "a: 1\n"}});
  TestServer elsewhere([](int connection) { read_request(connection); });
  TestServer server(http_backend(directory.path()));
  const std::string base = "http://127.0.0.1:" + std::to_string(server.port()) + "/";
  std::ofstream(directory / ".gitconfig")
      << "[url \"" << elsewhere.url() << "\"]\n\tinsteadOf = " << base << "\n";
  // The search paths were emptied when the library started, so a later HOME changes nothing.
  REQUIRE(start_library());
  const char* old_home = ::getenv("HOME");
  const std::string home = old_home == nullptr ? "" : old_home;
  ::setenv("HOME", directory.path().c_str(), 1);
  const auto head = mirror_of(base + "shop.git", directory)->fetch(kMain, "");
  ::setenv("HOME", home.c_str(), 1);
  CHECK(reason_of(head) == "found " + first);
  CHECK(elsewhere.connections() == 0);
}
