// Watches: start points, transitions, bookmarks, ends, and what is refused.
#include "net/api/watch.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;
using test::FakeApi;
using test::make_pod;
using Lines = std::vector<std::string>;

constexpr auto kTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

// "ADDED web-0", "BOOKMARK 7", … of each line, with the object's name or the bookmark's version.
Lines brief(const Lines& lines) {
  Lines out;
  for (const auto& line : lines) {
    const auto event = *read_json(line);
    const auto type = at(event, "type");
    auto name = at(event, "object.metadata.name");
    if (at(event, "object.kind") == "Table") name = at(event, "object.rows.0.cells.0");
    if (type == "BOOKMARK") name = at(event, "object.metadata.resourceVersion");
    if (type == "ERROR") name = at(event, "object.reason");
    out.push_back(type + " " + name);
  }
  return out;
}

// A watch that was accepted.
struct Watch {
  Watch(FakeApi& api_, const std::string& query, const std::string& accept = {})
      : api(api_), response(api.get("/api/v1/namespaces/shop/pods?watch=true&" + query, accept)) {
    REQUIRE(response.status == 200);
    REQUIRE(response.stream != nullptr);
  }
  Lines lines() { return test::pull_lines(*response.stream, api.clock.now(), &more); }
  Lines events() { return brief(lines()); }

  FakeApi& api;
  Response response;
  bool more = true;
};

TEST_CASE("api watch: without a start point what exists comes first") {
  FakeApi api;
  api.state.put(make_pod("b"));
  api.state.put(make_pod("a"));
  api.state.put(make_pod("c", "Running", "web", "other"));
  for (const auto* query : {"", "resourceVersion=0", "resourceVersion="}) {
    Watch watch(api, query);
    CHECK(watch.response.content_type == "application/json");
    CHECK(watch.events() == Lines{"ADDED a", "ADDED b"});
    CHECK(watch.events().empty());
    CHECK(watch.more);
  }
}

TEST_CASE("api watch: from a version on only what changed after it") {
  FakeApi api;
  api.state.put(make_pod("a"));
  const auto start = api.state.put(make_pod("b"));
  Watch watch(api, "resourceVersion=" + std::to_string(start));
  CHECK(watch.events().empty());
  api.state.put(make_pod("c", "Pending"));
  api.state.put(make_pod("c", "Running"));
  api.state.put(test::make_deployment("web"));
  api.state.put(make_pod("x", "Running", "web", "other"));
  api.state.remove<Pod>("shop", "a");
  const auto lines = watch.lines();
  CHECK(brief(lines) == Lines{"ADDED c", "MODIFIED c", "DELETED a"});
  const auto deleted = *read_json(lines.back());
  CHECK(at(deleted, "object.metadata.resourceVersion") == "7");
  CHECK(at(deleted, "object.kind") == "Pod");
  CHECK(at(deleted, "object.apiVersion") == "v1");
  CHECK(watch.events().empty());
}

TEST_CASE("api watch: no change is missed or doubled, however the pulls fall") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(api, "resourceVersion=" + std::to_string(start));
  Lines seen;
  for (int i = 0; i < 700; ++i) {
    auto pod = make_pod("a");
    pod.metadata.annotations = {{"n", std::to_string(i)}};
    api.state.put(pod);
    if (i % 97 != 0) continue;
    for (auto& line : watch.lines())
      seen.push_back(std::move(line));
  }
  for (auto& line : watch.lines())
    seen.push_back(std::move(line));
  REQUIRE(seen.size() == 700);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const auto event = *read_json(seen[i]);
    REQUIRE(at(event, "object.metadata.annotations.n") == std::to_string(i));
    REQUIRE(at(event, "object.metadata.resourceVersion") ==
            std::to_string(start + 1 + static_cast<std::int64_t>(i)));
  }
}

TEST_CASE("api watch: a pull stays within its bytes") {
  FakeApi api;
  for (int i = 0; i < 1500; ++i)
    api.state.put(make_pod("p-" + std::to_string(i)));
  Watch watch(api, "");
  std::size_t total = 0;
  int pulls = 0;
  while (true) {
    std::string out;
    REQUIRE(watch.response.stream->pull(api.clock.now(), out));
    if (out.empty()) break;
    CHECK(out.size() < watch.response.stream->pull_bytes() + 8192);
    CHECK(out.back() == '\n');
    total += out.size();
    ++pulls;
  }
  CHECK(pulls > 2);
  CHECK(total > 2 * watch.response.stream->pull_bytes());
}

TEST_CASE("api watch: big changes go out one by one, not as a batch") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(api, "resourceVersion=" + std::to_string(start));
  for (int i = 0; i < 20; ++i) {
    auto pod = make_pod("a");
    pod.metadata.annotations = {{"n", std::to_string(i)}, {"big", std::string(200'000, 'x')}};
    api.state.put(pod);
  }
  int events = 0;
  while (true) {
    std::string out;
    REQUIRE(watch.response.stream->pull(api.clock.now(), out));
    if (out.empty()) break;
    CHECK(out.size() < watch.response.stream->pull_bytes() + 210'000);
    events += static_cast<int>(std::count(out.begin(), out.end(), '\n'));
  }
  CHECK(events == 20);
}

TEST_CASE("api watch: a change is told from the selector's point of view") {
  struct Row {
    const char* selector;
    Lines events;
  };
  // web-0 is relabelled away and back, changes its phase, and goes.
  for (const auto& row : std::vector<Row>{
           {"labelSelector=app%3Dweb",
            {"ADDED web-0", "DELETED web-0", "ADDED web-0", "MODIFIED web-0", "DELETED web-0"}},
           {"labelSelector=app%3Ddb", {"ADDED web-0", "DELETED web-0"}},
           {"fieldSelector=status.phase%3DFailed", {"ADDED web-0", "DELETED web-0"}},
           {"fieldSelector=metadata.name%3Dweb-0",
            {"ADDED web-0", "MODIFIED web-0", "MODIFIED web-0", "MODIFIED web-0", "DELETED web-0"}},
           {"fieldSelector=metadata.name%3Dweb-1", {}}}) {
    INFO(row.selector);
    FakeApi api;
    const auto start = api.state.put(test::make_namespace("shop"));
    Watch watch(api, std::string(row.selector) + "&resourceVersion=" + std::to_string(start));
    api.state.put(make_pod("web-0", "Running", "web"));
    api.state.put(make_pod("web-0", "Running", "db"));
    api.state.put(make_pod("web-0", "Running", "web"));
    api.state.put(make_pod("web-0", "Failed", "web"));
    api.state.remove<Pod>("shop", "web-0");
    CHECK(watch.events() == row.events);
  }
}

TEST_CASE("api watch: Tables have one row and their columns once") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(api, "resourceVersion=" + std::to_string(start), kTable);
  api.state.put(make_pod("b"));
  api.state.put(make_pod("c"));
  const auto lines = watch.lines();
  REQUIRE(brief(lines) == Lines{"ADDED b", "ADDED c"});
  const auto first = *read_json(lines[0]);
  const auto second = *read_json(lines[1]);
  CHECK(first.find("object")->find("columnDefinitions")->items.size() > 4);
  CHECK(second.find("object")->find("columnDefinitions")->items.empty());
  CHECK(at(first, "object.rows.0.object.kind") == "PartialObjectMetadata");
}

TEST_CASE("api watch: metadata-only watches take that form") {
  FakeApi api;
  api.state.put(make_pod("a"));
  Watch watch(api, "", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
  const auto lines = watch.lines();
  REQUIRE(lines.size() == 1);
  CHECK(at(*read_json(lines[0]), "object.kind") == "PartialObjectMetadata");
  CHECK(at(*read_json(lines[0]), "object.spec") == "?");
}

TEST_CASE("api watch: bookmarks go to those who asked, with the version of the store") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  const auto query = "resourceVersion=" + std::to_string(start) + "&timeoutSeconds=300";
  Watch asked(api, query + "&allowWatchBookmarks=true");
  Watch silent(api, query);
  Watch table(api, query + "&allowWatchBookmarks=1", kTable);
  CHECK(asked.events().empty());
  api.state.pass(5);
  api.clock.advance(std::chrono::seconds(61));
  const auto lines = asked.lines();
  CHECK(brief(lines) == Lines{"BOOKMARK " + std::to_string(start + 5)});
  const auto bookmark = *read_json(lines[0]);
  CHECK(at(bookmark, "object.kind") == "Pod");
  CHECK(at(bookmark, "object.apiVersion") == "v1");
  CHECK(bookmark.find("object")->find("metadata")->find("creationTimestamp")->type ==
        Value::Type::null);
  CHECK(at(bookmark, "object.metadata.annotations") == "?");
  CHECK(asked.events().empty());
  CHECK(silent.events().empty());
  const auto row = *read_json(table.lines()[0]);
  CHECK(at(row, "type") == "BOOKMARK");
  CHECK(at(row, "object.kind") == "Table");
  CHECK(at(row, "object.rows.0.cells.0").empty());
  CHECK(at(row, "object.rows.0.object.metadata.resourceVersion") == std::to_string(start + 5));
}

TEST_CASE("api watch: timeoutSeconds ends the stream, after a last bookmark") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(
      api, "allowWatchBookmarks=true&timeoutSeconds=10&resourceVersion=" + std::to_string(start));
  CHECK(watch.events().empty());
  CHECK(watch.response.stream->next_due() == api.clock.now().mono + std::chrono::seconds(8));
  api.clock.advance(std::chrono::seconds(8));
  CHECK(watch.events() == Lines{"BOOKMARK " + std::to_string(start)});
  CHECK(watch.more);
  CHECK(watch.response.stream->next_due() == api.clock.now().mono + std::chrono::seconds(2));
  api.clock.advance(std::chrono::seconds(2));
  watch.events();
  CHECK_FALSE(watch.more);
}

TEST_CASE("api watch: without a timeout it lasts half an hour to an hour") {
  FakeApi api;
  Watch watch(api, "");
  watch.events();
  const auto left = watch.response.stream->next_due() - api.clock.now().mono;
  CHECK(left >= kWatchAtLeast);
  CHECK(left < 2 * kWatchAtLeast);
}

TEST_CASE("api watch: a streaming list ends its first part with a marked bookmark") {
  FakeApi api;
  api.state.put(make_pod("a"));
  api.state.put(make_pod("b"));
  constexpr auto kQuery =
      "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
  for (const auto* more : {"", "&resourceVersion=0", "&resourceVersion=1"}) {
    Watch watch(api, std::string(kQuery) + more);
    const auto lines = watch.lines();
    const auto version = std::to_string(api.state.view()->resource_version());
    CHECK(brief(lines) == Lines{"ADDED a", "ADDED b", "BOOKMARK " + version});
    const auto mark = *read_json(lines.back());
    const auto* annotations = mark.find("object")->find("metadata")->find("annotations");
    REQUIRE(annotations != nullptr);
    CHECK(annotations->find("k8s.io/initial-events-end")->scalar == "true");
    api.state.put(make_pod("b"));
    CHECK(watch.events() == Lines{"MODIFIED b"});
  }
  Watch empty(api, std::string(kQuery) + "&labelSelector=app%3Dnone");
  CHECK(empty.events().size() == 1);
}

TEST_CASE("api watch: what cannot start is refused before the stream") {
  FakeApi api;
  api.state.pass(100);
  api.state.forget_before(50);
  struct Row {
    const char* query;
    int status;
    const char* reason;
  };
  for (const auto& row : std::vector<Row>{
           {"resourceVersion=garbage", 400, "BadRequest"},
           {"resourceVersion=-1", 400, "BadRequest"},
           {"resourceVersion=99999999999999999999", 400, "BadRequest"},
           {"resourceVersion=1%27%20OR%201=1", 400, "BadRequest"},
           {"resourceVersion=10", 410, "Expired"},
           {"resourceVersion=101", 504, "Timeout"},
           {"timeoutSeconds=-1", 400, "BadRequest"},
           {"timeoutSeconds=1e9", 400, "BadRequest"},
           {"timeoutSeconds=99999999999999999999", 400, "BadRequest"},
           {"labelSelector=%28%28", 400, "BadRequest"},
           {"fieldSelector=spec.foo=x", 400, "BadRequest"},
           {"sendInitialEvents=true", 400, "BadRequest"},
           {"sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 400, "BadRequest"}}) {
    INFO(row.query);
    const auto response = api.get(std::string("/api/v1/pods?watch=1&") + row.query);
    CHECK(response.status == row.status);
    CHECK(response.stream == nullptr);
    CHECK(at(body_of(response), "reason") == row.reason);
  }
  CHECK(api.streams.open() == 0);
}

TEST_CASE("api watch: many watches read a change from the store once") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  std::vector<Watch> watches;
  for (int i = 0; i < 100; ++i) {
    watches.emplace_back(api, "resourceVersion=" + std::to_string(start));
    CHECK(watches.back().events().empty());
  }
  const auto before = api.feed.store_reads();
  for (int i = 0; i < 10; ++i) {
    api.state.put(make_pod("b-" + std::to_string(i)));
    for (auto& watch : watches)
      CHECK(watch.events().size() == 1);
  }
  CHECK(api.feed.store_reads() == before + 10);
}

TEST_CASE("api watch: a start point before the shared tail is read from the store") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch early(api, "resourceVersion=" + std::to_string(start));
  early.events();
  const auto many = static_cast<int>(ChangeFeed::kMostChanges) + 500;
  for (int i = 0; i < many; ++i)
    api.state.put(make_pod("b-" + std::to_string(i)));
  Watch recent(api, "resourceVersion=" + std::to_string(start + many - 1));
  CHECK(recent.events().size() == 1);
  // This one fell behind the tail, and catches up without missing a change.
  Lines seen;
  while (seen.size() < static_cast<std::size_t>(many)) {
    const auto events = early.events();
    if (events.empty()) break;
    seen.insert(seen.end(), events.begin(), events.end());
  }
  REQUIRE(seen.size() == static_cast<std::size_t>(many));
  CHECK(seen.front() == "ADDED b-0");
  CHECK(seen.back() == "ADDED b-" + std::to_string(many - 1));
}

TEST_CASE("api watch: a dropped tail costs a watcher no change") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch late(api, "resourceVersion=" + std::to_string(start));
  Watch early(api, "resourceVersion=" + std::to_string(start));
  late.events();
  api.state.put(make_pod("b"));
  CHECK(early.events() == Lines{"ADDED b"});
  api.feed.drop();
  api.state.put(make_pod("c"));
  CHECK(early.events() == Lines{"ADDED c"});
  CHECK(late.events() == Lines{"ADDED b", "ADDED c"});
}

TEST_CASE("api watch: the shared tail starts anew when the store forgot what it missed") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(api, "resourceVersion=" + std::to_string(start));
  watch.events();
  api.state.pass(10);
  api.state.forget_before(start + 10);
  CHECK(api.get("/api/v1/pods?watch=1&resourceVersion=" + std::to_string(start)).status == 410);
  Watch fresh(api, "resourceVersion=" + std::to_string(start + 10));
  api.state.put(make_pod("b"));
  CHECK(fresh.events() == Lines{"ADDED b"});
}

TEST_CASE("api watch: a watcher that fell behind the history is told so and ends") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(api, "resourceVersion=" + std::to_string(start));
  api.state.pass(10);
  api.state.forget_before(start + 5);
  const auto lines = watch.lines();
  REQUIRE(brief(lines) == Lines{"ERROR Expired"});
  CHECK(at(*read_json(lines[0]), "object.code") == "410");
  CHECK_FALSE(watch.more);
}

TEST_CASE("api watch: an idle watch keeps up with the store's counter") {
  FakeApi api;
  const auto start = api.state.put(make_pod("a"));
  Watch watch(api, "resourceVersion=" + std::to_string(start));
  api.state.pass(10);
  CHECK(watch.events().empty());
  // What it has passed may be forgotten without hurting it.
  api.state.forget_before(start + 10);
  api.state.put(make_pod("b"));
  CHECK(watch.events() == Lines{"ADDED b"});
}

TEST_CASE("api watch: the number of streams is bounded and given back") {
  FakeApi api;
  std::vector<Response> open;
  for (int i = 0; i < api.streams.limit(); ++i)
    open.push_back(api.get("/api/v1/pods?watch=1"));
  CHECK(api.streams.open() == api.streams.limit());
  const auto refused = api.get("/api/v1/pods?watch=1");
  CHECK(refused.status == 429);
  REQUIRE_FALSE(refused.headers.empty());
  CHECK(refused.headers[0] == Header{"Retry-After", "1"});
  open.pop_back();
  CHECK(api.get("/api/v1/pods?watch=1").status == 200);
  open.clear();
  CHECK(api.streams.open() == 0);
}

TEST_CASE("api watch: secrets in a watch show keys only") {
  FakeApi api;
  api.state.put(test::make_secret("key", "canary-5d1f"));
  auto response = api.get("/api/v1/secrets?watch=1");
  REQUIRE(response.stream != nullptr);
  const auto lines = test::pull_lines(*response.stream, api.clock.now());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("canary") == std::string::npos);
  CHECK(lines[0].find("Y2FuYXJ5") == std::string::npos);
  CHECK(lines[0].find("\"password\":\"\"") != std::string::npos);
}

TEST_CASE("api watch: a WebSocket is refused with the way kubectl can read") {
  FakeApi api;
  Request request;
  request.method = "GET";
  request.path = "/api/v1/pods";
  request.query = "watch=1";
  request.headers = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
  const auto response = answer(request, api.context);
  CHECK(response.status == 405);
  CHECK(at(body_of(response), "reason") == "MethodNotAllowed");
}

}  // namespace
}  // namespace moored::net::api
