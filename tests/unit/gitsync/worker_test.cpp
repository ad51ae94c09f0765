// The worker and its protocol: in memory first, then the real program.
#include <catch2/catch.hpp>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "git_fixture.hpp"
#include "gitsync/follow/messages.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "schema/base/random.hpp"
#include "schema/host/file.hpp"
#include "schema/host/frame_channel.hpp"
#include "schema/model/core.hpp"
#include "servers.hpp"

using namespace moored;
using namespace moored::git;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    left.reset(ends[0]);
    right.reset(ends[1]);
  }
  UniqueFd left;
  UniqueFd right;
};

std::string config_map(const std::string& name, const std::string& value = "x") {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {a: \"" + value +
         "\"}\n";
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

std::vector<std::string> names_of(const LoadedTree& tree) {
  std::vector<std::string> names;
  for (const auto& object : tree.objects) {
    names.push_back(object.key().text() + ' ' + object.provenance().file + ':' +
                    std::to_string(object.provenance().line) + ' ' + object.provenance().source);
  }
  return names;
}

using Names = std::vector<std::string>;

// A program that the reader takes for its worker.
std::string script(const TempDirectory& directory, const std::string& body) {
  const std::string path = directory / "worker.sh";
  std::ofstream(path) << "#!/bin/sh\n" << body << '\n';
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

}  // namespace

TEST_CASE("messages travel whole, and the end is an error", "[channel]") {
  Pair pair;
  const FrameChannel left(std::move(pair.left), -1);
  {
    const FrameChannel right(std::move(pair.right), -1);
    REQUIRE(left.send(""));
    REQUIRE(left.send("two\0words"));
    CHECK(right.await(seconds(10)));
    CHECK(right.receive(seconds(10)).value_or("none") == "");
    CHECK(right.receive(seconds(10)).value_or("none") == "two");
    // Longer than any socket buffer, so it must go through in pieces.
    const std::string large(3U << 20U, 'x');
    std::thread sender([&] { static_cast<void>(left.send(large).has_value()); });
    const auto got = right.receive(seconds(60));
    sender.join();
    CHECK((got && *got == large));
    CHECK(right.await(milliseconds(0)).error().code == Code::timeout);
    const auto nothing = right.receive(milliseconds(0));
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().code == Code::timeout);
  }
  CHECK(left.receive(seconds(10)).error().code == Code::unavailable);
  CHECK_FALSE(left.send("anyone"));
}

TEST_CASE("a length past the limit is refused before memory is taken", "[channel]") {
  Pair pair;
  const FrameChannel left(std::move(pair.left), -1);
  REQUIRE(::send(pair.right.get(), "\xff\xff\xff\xff", 4, 0) == 4);
  CHECK(left.receive(seconds(10)).error().code == Code::corrupt);
  CHECK(left.send(std::string(FrameChannel::kMaxFrame + 1, 'x')).error().code == Code::exhausted);
}

TEST_CASE("nobody waits in send for a reader that does not read", "[channel]") {
  const std::string large(1U << 20U, 'x');
  Pair late;
  const FrameChannel patient(std::move(late.left), -1);
  CHECK(patient.send(large, milliseconds(20)).error().code == Code::timeout);
  Pair stopped;
  const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
  const FrameChannel channel(std::move(stopped.left), stop.get());
  CHECK(channel.send(large).error().code == Code::unavailable);
}

TEST_CASE("requests come back as they were", "[messages]") {
  LoadTreeRequest load;
  load.repository = {"/srv/x", true};
  load.sha = std::string(40, 'a');
  load.path = "./deploy";
  load.directory = "/tmp/x";
  load.target_namespace = "team";
  load.fresh = true;
  load.policy.default_level = AdmissionPolicy::Level::restricted;
  load.policy.namespace_levels["kube"] = AdmissionPolicy::Level::privileged;
  load.policy.max_objects = 7;
  load.policy.max_replicas = 9;
  load.host = "web-1";
  load.rights = {{"shop"}, {"ConfigMap"}};
  load.ignore = "ci/\n";
  const auto request = decode_request(encode_request(load));
  REQUIRE(request);
  const auto& back = std::get<LoadTreeRequest>(*request);
  CHECK(back.repository.url == "/srv/x");
  CHECK(back.repository.allow_local);
  CHECK(back.sha == load.sha);
  CHECK(back.path == "./deploy");
  CHECK(back.directory == "/tmp/x");
  CHECK(back.target_namespace == "team");
  CHECK(back.fresh);
  CHECK(back.policy.default_level == AdmissionPolicy::Level::restricted);
  CHECK(back.policy.namespace_levels == load.policy.namespace_levels);
  CHECK(back.policy.max_objects == 7);
  CHECK(back.policy.max_replicas == 9);
  CHECK(back.host == "web-1");
  CHECK(back.rights == load.rights);
  CHECK(back.ignore == "ci/\n");
  const Credentials credentials{"user", "pass", "token", "ca", "cert", "key", "identity", "hosts"};
  const Proxy proxy{"http://proxy.test", "me", "secret"};
  const auto fetch = decode_request(encode_request(
      FetchRequest{{"https://x/y", false}, "HEAD", load.sha, credentials, proxy, 77}));
  REQUIRE(fetch);
  CHECK(std::get<FetchRequest>(*fetch).reference == "HEAD");
  CHECK(std::get<FetchRequest>(*fetch).known_sha == load.sha);
  CHECK(std::get<FetchRequest>(*fetch).credentials == credentials);
  CHECK(std::get<FetchRequest>(*fetch).proxy == proxy);
  CHECK(std::get<FetchRequest>(*fetch).space == 77);
}

TEST_CASE("replies come back as they were", "[messages]") {
  LoadedReply loaded;
  loaded.diagnostics.add_error(Error{Code::invalid, "wrong \"quote\"", "WrongType",
                                     Place{"a b.yaml", 3, 4, "spec.x[0]"}, "quote it"});
  for (int i = 0; i < 150; ++i) loaded.diagnostics.add_warning(Error{Code::invalid, "w", {}, {}, {}});
  loaded.blobs_read = 2;
  loaded.blobs_total = 3;
  loaded.rendered_at = Time(Duration(1'700'000'000'123'456));
  loaded.validated_at = loaded.rendered_at + Duration(1);
  const auto reply = decode_reply(encode_reply(loaded));
  REQUIRE(reply);
  const auto& back = std::get<LoadedReply>(*reply);
  CHECK_FALSE(back.complete);
  REQUIRE(back.diagnostics.errors().size() == 1);
  const Error& error = back.diagnostics.errors()[0];
  CHECK(error.code == Code::invalid);
  CHECK(error.text() == loaded.diagnostics.errors()[0].text());
  CHECK(error.reason == "WrongType");
  CHECK(back.diagnostics.warnings().size() == 100);
  CHECK(back.diagnostics.warning_count() == 150);
  CHECK(back.blobs_total == 3);
  CHECK(back.rendered_at == loaded.rendered_at);
  CHECK(back.validated_at == loaded.validated_at);
  for (const auto wait : {std::optional<seconds>(), std::optional<seconds>(0),
                          std::optional<seconds>(77)}) {
    const auto failed = decode_reply(
        encode_reply(ErrorReply{Error{Code::unavailable, "busy", "FetchHTTP", {}, {}}, wait}));
    REQUIRE(failed);
    CHECK(std::get<ErrorReply>(*failed).wait == wait);
  }
  HeadReply head;
  head.commit = {std::string(40, 'b'), "A <a@b>", "subject", Time(seconds(1'700'000'000))};
  head.changed = head.history_rewritten = true;
  const auto head_back = decode_reply(encode_reply(head));
  REQUIRE(head_back);
  CHECK(std::get<HeadReply>(*head_back).commit.committed_at == head.commit.committed_at);
  CHECK(std::get<HeadReply>(*head_back).history_rewritten);
}

TEST_CASE("foreign bytes are corrupt and nothing worse", "[messages]") {
  const std::string good = encode_reply(ErrorReply{Error{Code::timeout, "m", "R", {}, {}}, {}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto cut = decode_reply(std::string_view(good).substr(0, size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == Code::corrupt);
  }
  SeededRandom random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string changed = good;
    for (int n = 0; n < 3; ++n) {
      changed[random.below(changed.size())] = static_cast<char>(random.below(256));
    }
    const auto reply = decode_reply(changed);
    if (!reply) CHECK(reply.error().code == Code::corrupt);
    const auto request = decode_request(changed);
    CHECK_FALSE(request);
  }
  for (const char* text : {"", "[]", "{}", "null", R"({"reply":"file"})", R"({"reply":"other"})",
                           R"({"reply":"loaded","complete":true})",
                           R"({"reply":"kept","skipped":-1,"kept":1})",
                           R"({"reply":"file","path":"a","id":"b","objects":[1]})",
                           R"({"reply":"file","path":"a","id":"b",)"
                           R"("objects":[{"line":1,"object":{"apiVersion":"v9","kind":"X"}}]})"}) {
    CAPTURE(text);
    CHECK_FALSE(decode_reply(text));
    CHECK_FALSE(decode_request(text));
  }
}

TEST_CASE("the worker fetches and loads, and sends only what changed", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  TestServer server(http_backend(directory.path()));
  const bool local = GENERATE(true, false);
  const std::string url =
      local ? remote.path()
            : "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  const std::string first = remote.push({{"app/a.yaml", config_map("one")},
                                         {"app/b.yaml", config_map("two")}});
  WorkerReader reader(options_in(directory));
  const SourceSpec source = source_of(url);
  const auto head = reader.fetch(source, "");
  if (!head) FAIL(head.error().text());
  CHECK(head->commit.sha == first);
  CHECK(head->changed);
  const auto tree = reader.load(source, {first, "app", ""});
  if (!tree) FAIL(tree.error().text());
  CHECK(tree->complete);
  CHECK(tree->blobs_read == 2);
  CHECK(names_of(*tree) == Names{"ConfigMap/default/one app/a.yaml:1 flux/shop",
                                 "ConfigMap/default/two app/b.yaml:1 flux/shop"});
  const std::string second = remote.push({{"app/a.yaml", config_map("one")},
                                          {"app/b.yaml", config_map("two", "new")}});
  REQUIRE(reader.fetch(source, first));
  const auto changed = reader.load(source, {second, "app", ""});
  REQUIRE(changed);
  CHECK(changed->blobs_read == 1);
  CHECK(changed->blobs_total == 2);
  REQUIRE(changed->objects.size() == 2);
  CHECK(changed->objects[1].as<ConfigMap>().data.at("a") == "new");
  // The unchanged object is the very same value: it did not travel again.
  CHECK(changed->objects[0].body() == tree->objects[0].body());
  const auto other = reader.load(source, {second, "app", "team"});
  REQUIRE(other);
  CHECK(names_of(*other)[0] == "ConfigMap/team/one app/a.yaml:1 flux/shop");
}

TEST_CASE("what an overloaded server asks for reaches the daemon", "[worker]") {
  struct Row {
    std::string status;
    std::string header;
    std::optional<seconds> wait;
  };
  for (const auto& row : {Row{"503 Busy", "Retry-After: 77\r\n", seconds(77)},
                          Row{"429 Slow Down", "", seconds(0)}, Row{"404 None", "", {}}}) {
    CAPTURE(row.status);
    TempDirectory directory;
    TestServer server([&](int connection) {
      read_request(connection);
      send_text(connection, http_response(row.status, "text/plain", "", row.header));
    });
    WorkerReader reader(options_in(directory));
    const auto answer = reader.fetch(source_of(server.url()), "");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().reason == "FetchHTTP");
    CHECK(answer.wait == row.wait);
  }
}

TEST_CASE("both sides forget the same units, however many there are", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push({{"a.yaml", config_map("one")}});
  WorkerReader reader(options_in(directory));
  const SourceSpec source = source_of(remote.path());
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < kMaxUnits + 3; ++i) {
      const std::string space = "team-" + std::to_string(i);
      const auto tree = reader.load(source, {sha, "", space});
      if (!tree) FAIL(tree.error().text());
      REQUIRE(tree->objects.size() == 1);
      CHECK(tree->objects[0].key().namespace_name == space);
    }
  }
}

TEST_CASE("a commit that is wrong comes back with all its errors", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string good = remote.push({{"a.yaml", config_map("one")}});
  const std::string bad = remote.push({{"a.yaml", config_map("one") + "spec: 1\n"},
                                       {"b.yaml", "a: [\n"}});
  WorkerReader reader(options_in(directory));
  const SourceSpec source = source_of(remote.path());
  const auto before = reader.load(source, {good, "", ""});
  REQUIRE(before);
  const auto refused = reader.load(source, {bad, "", ""});
  REQUIRE(refused);
  CHECK_FALSE(refused->complete);
  CHECK(refused->objects.empty());
  REQUIRE(refused->diagnostics.errors().size() >= 2);
  CHECK(refused->diagnostics.errors()[0].place.file == "a.yaml");
  // What was known before the refused commit is still known after it.
  const auto again = reader.load(source, {good, "", ""});
  REQUIRE(again);
  CHECK(again->complete);
  CHECK(again->objects[0].body() == before->objects[0].body());
  const auto missing = reader.load(source, {std::string(40, '4'), "", ""});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().reason == "ObjectMissing");
}

TEST_CASE("a source with a floor is judged by it, the others are not", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push(
      {{"pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: edge}\nspec:\n"
        "  hostPID: true\n  containers: [{name: c, image: 'a:1'}]\n"}});
  auto options = options_in(directory);
  options.policy.namespace_levels["edge"] = AdmissionPolicy::Level::privileged;
  options.source_floors["flux/held"] = AdmissionPolicy::Level::baseline;
  WorkerReader reader(options);
  SourceSpec source = source_of(remote.path());
  source.id = "flux/free";
  const auto accepted = reader.load(source, {sha, "", ""});
  REQUIRE(accepted);
  CHECK(accepted->complete);
  source.id = "flux/held";
  const auto refused = reader.load(source, {sha, "", ""});
  REQUIRE(refused);
  REQUIRE(refused->diagnostics.errors().size() == 1);
  const auto& error = refused->diagnostics.errors()[0];
  CHECK(error.reason == "Forbidden");
  CHECK(error.place.file == "pod.yaml");
  CHECK(error.place.line == 5);
  CHECK(error.place.field == "spec.hostPID");
}

TEST_CASE("a mirror with a broken object is thrown away and fetched again", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push({{"a.yaml", config_map("one")}});
  TestServer server(http_backend(directory.path()));
  const SourceSpec source =
      source_of("http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git");
  {
    // Its connection is kept while it lives, and this server answers one at a time.
    WorkerReader reader(options_in(directory));
    REQUIRE(reader.fetch(source, ""));
  }
  // Every pack of the mirror loses its middle while no handle to it is open.
  for (const auto& file : std::filesystem::directory_iterator(
           directory / "mirrors/flux_shop/repository/objects/pack")) {
    if (file.path().extension() != ".pack") continue;
    std::filesystem::permissions(file.path(), std::filesystem::perms::owner_all);
    std::filesystem::resize_file(file.path(), 40);
  }
  WorkerReader later(options_in(directory));
  const auto broken = later.load(source, {sha, "", ""});
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code == Code::corrupt);
  REQUIRE(later.fetch(source, sha));
  const auto tree = later.load(source, {sha, "", ""});
  REQUIRE(tree);
  CHECK(tree->complete);
}

TEST_CASE("a silent server is a timeout, and the source works afterwards", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push({{"a.yaml", config_map("one")}});
  TestServer silent([](int connection) {
    read_request(connection);
    char byte = 0;  // waits until the client gives up
    while (::recv(connection, &byte, 1, 0) > 0) {
    }
  });
  auto options = options_in(directory);
  options.idle_limit = milliseconds(300);
  WorkerReader reader(options);
  const auto late = reader.fetch(source_of(silent.url()), "");
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::timeout);
  CHECK(late.error().reason == "FetchTimeout");
  auto patient = options;
  patient.idle_limit = seconds(60);
  WorkerReader other(patient);
  const auto head = other.fetch(source_of(remote.path()), "");
  REQUIRE(head);
  CHECK(head->commit.sha == sha);
}

TEST_CASE("the total limit holds even when bytes keep coming", "[worker]") {
  TempDirectory directory;
  TestServer trickle([](int connection) {
    read_request(connection);
    const std::string text = http_response(
        "200 OK", "application/x-git-upload-pack-advertisement",
        packet("# service=git-upload-pack\n") + "0000" + std::string(1U << 20U, '0'));
    for (const char c : text) {
      if (::send(connection, &c, 1, MSG_NOSIGNAL) != 1) return;
      std::this_thread::yield();
    }
  });
  WorkerReader reader(options_in(directory));
  SourceSpec source = source_of(trickle.url());
  source.timeout = milliseconds(400);
  const auto late = reader.fetch(source, "");
  REQUIRE_FALSE(late);
}

TEST_CASE("a worker that dies or talks nonsense is an ordinary error", "[worker]") {
  struct Row {
    std::string body;
    std::string reason;
  };
  const std::vector<Row> rows{
      {"exit 3", "WorkerLost"},
      {"kill -9 $$", "WorkerLost"},
      {"printf '\\377\\377\\377\\377' >&3; cat <&3 >/dev/null", "WorkerLost"},
      {"printf '\\0\\0\\0\\002{}' >&3; cat <&3 >/dev/null", "WorkerLost"},
      {"printf '\\0\\0\\0\\005hello' >&3; cat <&3 >/dev/null", "WorkerLost"},
      {"exec sleep 600", "FetchTimeout"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    TempDirectory directory;
    auto options = options_in(directory);
    options.program = script(directory, row.body);
    options.idle_limit = milliseconds(500);
    options.load_limit = milliseconds(500);
    WorkerReader reader(options);
    for (int i = 0; i < 2; ++i) {
      const auto head = reader.fetch(source_of("https://git.example.org/x"), "");
      REQUIRE_FALSE(head);
      CHECK(head.error().reason == row.reason);
      const auto tree = reader.load(source_of("https://git.example.org/x"), {std::string(40, 'a'),
                                                                             "", ""});
      CHECK_FALSE(tree);
    }
  }
  TempDirectory directory;
  auto options = options_in(directory);
  options.program = directory / "absent";
  WorkerReader reader(options);
  const auto head = reader.fetch(source_of("https://git.example.org/x"), "");
  REQUIRE_FALSE(head);
  CHECK(head.error().code == Code::not_found);
}

TEST_CASE("a stopped worker holds nobody up, however long the request", "[worker]") {
  TempDirectory directory;
  auto options = options_in(directory);
  options.program = script(directory, "kill -STOP $$");
  options.idle_limit = milliseconds(200);
  SourceSpec source = source_of("https://git.example.org/x");
  source.secret = SourceSecret{"git", {{{"ca.crt", std::string(1U << 20U, 'x')}}}};
  {
    WorkerReader reader(options);
    const auto head = reader.fetch(source, "");
    REQUIRE_FALSE(head);
    CHECK(head.error().reason == "WorkerLost");
  }
  // Without a limit that would end it, stopping does.
  options.idle_limit = seconds(600);
  WorkerReader reader(options);
  reader.stop();
  const auto head = reader.fetch(source, "");
  REQUIRE_FALSE(head);
  CHECK(head.error().code == Code::unavailable);
}

TEST_CASE("mirrors that nobody asks for are removed", "[worker]") {
  TempDirectory directory;
  for (const char* name : {"flux_shop", "flux_bank", "flux_shop.moving", "flux_old.moving"}) {
    std::filesystem::create_directories(directory / ("mirrors/" + std::string(name) + "/x"));
  }
  WorkerReader reader(options_in(directory));
  REQUIRE(reader.remove_mirrors_except({"flux/shop"}));
  CHECK(std::filesystem::exists(directory / "mirrors/flux_shop/x"));
  CHECK(std::filesystem::exists(directory / "mirrors/flux_shop.moving"));
  CHECK_FALSE(std::filesystem::exists(directory / "mirrors/flux_bank"));
  CHECK_FALSE(std::filesystem::exists(directory / "mirrors/flux_old.moving"));
  TempDirectory empty;
  CHECK(WorkerReader(options_in(empty)).remove_mirrors_except({}));
}

TEST_CASE("a source that is forgotten leaves no process and no mirror", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  remote.push({{"a.yaml", config_map("one")}});
  TestServer server(http_backend(directory.path()));
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git";
  const auto children = [] {
    const auto listed = read_file("/proc/self/task/" + std::to_string(::gettid()) + "/children");
    return std::count(listed->begin(), listed->end(), ' ');
  };
  const auto before = children();
  WorkerReader reader(options_in(directory));
  REQUIRE(reader.fetch(source_of(url), ""));
  CHECK(children() == before + 1);
  CHECK(std::filesystem::exists(directory / "mirrors/flux_shop"));
  reader.forget("flux/shop");
  CHECK(children() == before);
  CHECK_FALSE(std::filesystem::exists(directory / "mirrors/flux_shop"));
  reader.forget("flux/shop");  // nothing is left to forget
  CHECK(reader.fetch(source_of(url), ""));
}

TEST_CASE("all mirrors together have a limit", "[worker]") {
  TempDirectory directory;
  SeededRandom random(5);
  const auto noise = [&] {
    std::string bytes(1'200'000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    return bytes;
  };
  TestRepository shop(directory / "shop.git");
  TestRepository bank(directory / "bank.git");
  shop.push({{"noise.bin", noise()}});
  bank.push({{"noise.bin", noise()}});
  TestServer server(git_protocol(directory.path()));
  auto options = options_in(directory);
  options.space = {std::size_t{8} << 20U, std::size_t{2} << 20U};
  WorkerReader reader(options);
  SourceSpec source = source_of("git://127.0.0.1:" + std::to_string(server.port()) + "/shop.git");
  REQUIRE(reader.fetch(source, ""));
  SourceSpec other = source_of("git://127.0.0.1:" + std::to_string(server.port()) + "/bank.git");
  other.id = "flux/bank";
  const auto refused = reader.fetch(other, "");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == "DiskBudget");
  CHECK(refused.error().message.find("all sources together may take 2 MiB") != std::string::npos);
  CHECK(refused.error().fix.find("remove a source") == 0);
  // The room of a source that is gone is free again.
  std::filesystem::remove_all(directory / "mirrors/flux_shop");
  CHECK(reader.fetch(other, ""));
}

TEST_CASE("stopping ends a call that hangs", "[worker]") {
  TempDirectory directory;
  std::atomic<bool> asked{false};
  TestServer silent([&](int connection) {
    read_request(connection);
    asked = true;
    char byte = 0;
    while (::recv(connection, &byte, 1, 0) > 0) {
    }
  });
  WorkerReader reader(options_in(directory));
  Result<SourceHead> head = SourceHead{};
  std::thread caller([&] { head = reader.fetch(source_of(silent.url()), ""); });
  while (!asked) std::this_thread::yield();
  reader.stop();
  caller.join();
  REQUIRE_FALSE(head);
  CHECK(head.error().code == Code::unavailable);
  CHECK_FALSE(reader.fetch(source_of(silent.url()), ""));
}

TEST_CASE("more sources than workers take turns", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  remote.push({{"a.yaml", config_map("one")}});
  auto options = options_in(directory);
  options.max_workers = 2;
  WorkerReader reader(options);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 4; ++i) {
      SourceSpec source = source_of(remote.path());
      source.id = "flux/s" + std::to_string(i);
      CHECK(reader.fetch(source, ""));
    }
  }
}

TEST_CASE("a directory on disk is loaded under the same rules", "[worker]") {
  TempDirectory directory;
  const std::string root = directory / "tree";
  std::filesystem::create_directories(root + "/sub/.hidden");
  std::ofstream(root + "/a.yaml") << config_map("one");
  std::ofstream(root + "/sub/b.json")
      << R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"}})";
  std::ofstream(root + "/sub/.hidden/c.yaml") << "a: [\n";
  std::ofstream(root + "/notes.txt") << "a: [\n";
  std::filesystem::create_symlink("sub/b.json", root + "/link.json");
  WorkerReader reader(options_in(directory));
  const auto tree = reader.load_directory(root, "");
  if (!tree) FAIL(tree.error().text());
  CHECK_FALSE(tree->complete);  // one object under two names
  std::filesystem::remove(root + "/link.json");
  const auto fixed = reader.load_directory(root, "");
  REQUIRE(fixed);
  CHECK(fixed->complete);
  CHECK(names_of(*fixed) == Names{"ConfigMap/default/one a.yaml:1 ",
                                  "ConfigMap/default/two sub/b.json:1 "});
  std::filesystem::create_symlink("/etc/passwd", root + "/out.yaml");
  const auto refused = reader.load_directory(root, "");
  REQUIRE(refused);
  REQUIRE(refused->diagnostics.errors().size() == 1);
  CHECK(refused->diagnostics.errors()[0].reason == "SymlinkRefused");
  CHECK(refused->diagnostics.errors()[0].place.file == "out.yaml");
  const auto absent = reader.load_directory(directory / "absent", "");
  REQUIRE_FALSE(absent);
  CHECK(absent.error().code == Code::not_found);
}

TEST_CASE("differences put together give what a new worker gives", "[worker]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  WorkerReader reader(options_in(directory));
  const SourceSpec source = source_of(remote.path());
  const auto load = [&](WorkerReader& by, const std::string& sha) {
    auto tree = by.load(source, {sha, "", ""});
    if (!tree) FAIL(tree.error().text());
    return *std::move(tree);
  };
  SeededRandom random(7);
  std::map<std::string, std::string> files;
  for (int turn = 0; turn < 25; ++turn) {
    for (std::size_t edits = random.below(4); edits > 0; --edits) {
      const std::string name(1, static_cast<char>('a' + random.below(9)));
      if (random.below(3) == 0) {
        files.erase(name + ".yaml");
      } else {
        files[name + ".yaml"] = config_map(name, std::to_string(random.below(3)));
      }
    }
    // Now and then one that is refused, after which the last good one is the measure.
    auto pushed = files;
    if (random.below(6) == 0) pushed["zz.yaml"] = "a: [\n";
    const std::string sha = remote.push({pushed.begin(), pushed.end()});
    TempDirectory other;
    WorkerReader anew(options_in(other));
    const LoadedTree wanted = load(anew, sha);
    const LoadedTree got = load(reader, sha);
    REQUIRE(got.complete == wanted.complete);
    REQUIRE(names_of(got) == names_of(wanted));
    for (std::size_t i = 0; i < got.objects.size(); ++i) {
      REQUIRE(got.objects[i].as<ConfigMap>().data == wanted.objects[i].as<ConfigMap>().data);
    }
  }
}
