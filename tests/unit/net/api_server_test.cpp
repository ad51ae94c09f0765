// The server over real sockets: framing, limits, timers, streams and a clean stop.
#include "net/api/server.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "net/api/rest_routes.hpp"
#include "runtime/agent/log_reader.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"
#include "tests/unit/net/api_client.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net {
namespace {

using test::eventually;
using test::RawClient;

// The real clock, whose wall can be set forward.
struct MovedClock final : Clock {
  Now now() const override {
    auto now = SystemClock().now();
    now.wall += std::chrono::seconds(forward.load());
    return now;
  }
  std::atomic<int> forward{0};
};

// A server on a port of its own, over a fake state and the real clock.
struct Running {
  explicit Running(ApiOptions options = {}) {
    options.port = 0;
    auto started = ApiServer::start(std::move(options), state, state, reports, clock);
    INFO((started ? std::string() : started.error().text()));
    REQUIRE(started);
    server = *std::move(started);
  }
  RawClient client(int receive_bytes = 0) const {
    RawClient made(server->port(), receive_bytes);
    REQUIRE(made.connected());
    return made;
  }

  test::FakeState state;
  test::FakeReports reports;
  MovedClock clock;
  std::unique_ptr<ApiServer> server;
};

ApiOptions with_limits(const std::function<void(api::TransportLimits&)>& change) {
  ApiOptions options;
  change(options.limits);
  return options;
}

const std::string kHost = "Host: 127.0.0.1\r\n";

TEST_CASE("api server: requests go through cpprestsdk's listener and back") {
  Running run;
  const auto before = api::RestRoutes::replies();
  auto client = run.client();
  client.get("/version");
  const auto answer = client.read_answer();
  CHECK(answer.status == 200);
  CHECK(answer.body.find("v1.32.0+moored.") != std::string::npos);
  CHECK(answer.head.find("Content-Type: application/json\r\n") != std::string::npos);
  CHECK(answer.head.find("Cache-Control: no-cache, private\r\n") != std::string::npos);
  CHECK(answer.head.find("Access-Control") == std::string::npos);
  CHECK(api::RestRoutes::replies() == before + 1);
}

TEST_CASE("api server: a body reaches the routes, and the next request stays in step") {
  Running run;
  auto client = run.client();
  const std::string body = R"({"spec":{"resourceAttributes":{"verb":"list"}}})";
  client.send("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews HTTP/1.1\r\n" + kHost +
              "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  const auto review = client.read_answer();
  CHECK(review.status == 201);
  CHECK(review.body.find("\"allowed\":true") != std::string::npos);
  client.get("/healthz");
  CHECK(client.read_answer().body == "ok");
}

TEST_CASE("api server: a write and what is no request end the connection") {
  Running run;
  for (const std::string& request : std::vector<std::string>
       {"DELETE /api/v1/namespaces/shop/pods/x HTTP/1.1\r\n" + kHost + "Content-Length: 2\r\n\r\n{}",
        "GET /api//v1/pods HTTP/1.1\r\n" + kHost + "\r\n"}) {
    auto client = run.client();
    client.send(request);
    const auto refused = client.read_answer();
    CHECK((refused.status == 405 || refused.status == 400));
    CHECK((refused.head.find("Allow: GET, HEAD\r\n") != std::string::npos) ==
          (refused.status == 405));
    CHECK(refused.head.find("Connection: close\r\n") != std::string::npos);
    CHECK(client.ends());
  }
}

TEST_CASE("api server: pipelined requests are answered in order") {
  Running run;
  run.state.put(test::make_pod("web-0"));
  auto client = run.client();
  client.send("GET /healthz HTTP/1.1\r\n" + kHost + "\r\nGET /api/v1/pods HTTP/1.1\r\n" + kHost +
              "\r\nGET /version HTTP/1.1\r\n" + kHost + "Connection: close\r\n\r\n");
  CHECK(client.read_answer().body == "ok");
  CHECK(client.read_answer().body.find("\"PodList\"") != std::string::npos);
  const auto last = client.read_answer();
  CHECK(last.body.find("gitVersion") != std::string::npos);
  CHECK(last.head.find("Connection: close\r\n") != std::string::npos);
  CHECK(client.ends());
}

TEST_CASE("api server: a request may arrive byte by byte") {
  Running run;
  auto client = run.client();
  for (const char c : "GET /healthz HTTP/1.1\r\n" + kHost + "\r\n")
    client.send({c});
  CHECK(client.read_answer().body == "ok");
}

TEST_CASE("api server: HEAD has the head of GET and no body") {
  Running run;
  auto client = run.client();
  client.send("HEAD /version HTTP/1.1\r\n" + kHost + "\r\n");
  const auto head = client.read_answer(true);
  CHECK(head.status == 200);
  CHECK(head.head.find("Content-Length: 0\r\n") == std::string::npos);
  client.get("/healthz");
  CHECK(client.read_answer().body == "ok");
}

TEST_CASE("api server: malformed requests get one refusal and the connection ends") {
  struct Row {
    const char* what;
    std::string bytes;
    int status;
  };
  const std::string get = "GET /api/v1/pods HTTP/1.1\r\n";
  const std::string smuggled = "GET /api/v1/secrets HTTP/1.1\r\n" + kHost + "\r\n";
  const std::vector<Row> rows{
      {"length and chunked",
       "POST /x HTTP/1.1\r\n" + kHost + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
           "0\r\n\r\n" + smuggled,
       400},
      {"two lengths", get + kHost + "Content-Length: 0\r\nContent-Length: 49\r\n\r\n" + smuggled,
       400},
      {"chunk of minus five",
       "POST /x HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", 400},
      {"disguised coding", get + kHost + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled, 400},
      {"hexadecimal length", get + kHost + "Content-Length: 0x35\r\n\r\n" + smuggled, 400},
      {"GET with a body", get + kHost + "Content-Length: 67108864\r\n\r\n", 413},
      {"folded header", get + kHost + " folded: y\r\n\r\n", 400},
      {"bare line feeds", "GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n", 400},
      {"no host", get + "\r\n", 400},
      {"two hosts", get + kHost + "Host: evil.test\r\n\r\n", 400},
      {"foreign host", get + "Host: evil.test\r\n\r\n", 421},
      {"user in the host", get + "Host: 127.0.0.1@evil.test\r\n\r\n", 421},
      {"foreign target", "GET http://evil.test/api HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"foreign page", get + kHost + "Origin: https://evil.test\r\n\r\n", 403},
      {"preflight",
       "OPTIONS /api/v1/pods HTTP/1.1\r\n" + kHost +
           "Origin: https://evil.test\r\nAccess-Control-Request-Method: GET\r\n\r\n",
       403},
      {"two spaces", "GET  /api/v1/pods  HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"HTTP/0.9", "GET /api/v1/pods\r\n\r\n", 400},
      {"HTTP/9.9", "GET /api/v1/pods HTTP/9.9\r\n" + kHost + "\r\n", 505},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"TLS", std::string("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", 11), 400},
      {"NUL in the path", std::string("GET /healthz\0/../secret HTTP/1.1\r\n", 34), 400},
      {"a long target", "GET /" + std::string(64U << 10U, 'a') + " HTTP/1.1\r\n" + kHost + "\r\n",
       414},
      {"a big header", get + "X-Big: " + std::string(128U << 10U, 'a') + "\r\n\r\n", 431},
      {"Expect",
       "POST /x HTTP/1.1\r\n" + kHost + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 417},
      {"a body above the limit", "POST /x HTTP/1.1\r\n" + kHost + "Content-Length: 1048577\r\n\r\n",
       413},
  };
  Running run;
  run.state.put(test::make_secret("key", "canary"));
  for (const auto& row : rows) {
    INFO(row.what);
    auto client = run.client();
    client.send(row.bytes);
    const auto answer = client.read_answer();
    CHECK(answer.status == row.status);
    CHECK(answer.body.find("\"kind\":\"Status\"") != std::string::npos);
    CHECK(answer.head.find("Connection: close\r\n") != std::string::npos);
    CHECK(answer.head.find("Access-Control") == std::string::npos);
    CHECK(client.read_to_end().find("HTTP/1.") == std::string::npos);
    CHECK(client.ends());
  }
  auto good = run.client();
  good.get("/healthz");
  CHECK(good.read_answer().status == 200);
}

TEST_CASE("api server: a target that is no URI is refused") {
  Running run;
  for (const auto* target : {"/api/v1/pods?labelSelector=a|b", "/api/v1/namespaces/shop\\..\\x",
                             "/api/v1/pods?a={b}", "/healthz%"}) {
    INFO(target);
    auto client = run.client();
    client.get(target);
    CHECK(client.read_answer().status == 400);
    CHECK(client.ends());
  }
  auto client = run.client();
  client.get("/healthz");
  CHECK(client.read_answer().status == 200);
}

TEST_CASE("api server: the operator's names are answered, others are not") {
  ApiOptions options;
  options.allowed_hosts = {"node.test"};
  Running run(std::move(options));
  auto known = run.client();
  known.send("GET /healthz HTTP/1.1\r\nHost: node.test:6446\r\n\r\n");
  CHECK(known.read_answer().status == 200);
  auto foreign = run.client();
  foreign.send("GET /healthz HTTP/1.1\r\nHost: other.test\r\n\r\n");
  CHECK(foreign.read_answer().status == 421);
}

TEST_CASE("api server: an old client gets its stream up to the end of the connection") {
  Running run;
  run.state.put(test::make_pod("web-0"));
  auto client = run.client();
  client.send("GET /api/v1/pods?watch=1&timeoutSeconds=1 HTTP/1.0\r\n" + kHost + "\r\n");
  const auto answer = client.read_answer();
  CHECK(answer.status == 200);
  CHECK(answer.head.find("chunked") == std::string::npos);
  CHECK(answer.body.find("{\"type\":\"ADDED\"") == 0);
  CHECK(answer.body.back() == '\n');
}

TEST_CASE("api server: an old client that asks to stay is told that it may") {
  Running run;
  auto client = run.client();
  for (int i = 0; i < 3; ++i) {
    client.send("GET /healthz HTTP/1.0\r\n" + kHost + "Connection: Keep-Alive\r\n\r\n");
    const auto answer = client.read_answer();
    CHECK(answer.head.find("Connection: keep-alive\r\n") != std::string::npos);
    CHECK(answer.body == "ok");
  }
}

// ---- timers and limits --------------------------------------------------------------------------

TEST_CASE("api server: connections that do not get on are closed") {
  using std::chrono::milliseconds;
  auto quick = with_limits([](api::TransportLimits& limits) {
    limits.header_time = milliseconds(80);
    limits.idle_time = milliseconds(80);
    limits.body_time = milliseconds(80);
  });
  Running run(std::move(quick));
  auto silent = run.client();
  CHECK(silent.ends());
  auto slow = run.client();
  slow.send("GET /healthz HTTP/1.1\r\nHost: 127");
  CHECK(slow.ends());
  auto half = run.client();
  half.send("POST /x HTTP/1.1\r\n" + kHost + "Content-Length: 10\r\n\r\nabc");
  CHECK(half.ends());
  auto idle = run.client();
  idle.get("/healthz");
  CHECK(idle.read_answer().status == 200);
  CHECK(idle.ends());
  CHECK(eventually([&] { return run.server->counters().open == 0; }));
}

TEST_CASE("api server: a reader that does not read is cut off, others are served") {
  using std::chrono::milliseconds;
  Running run(with_limits([](api::TransportLimits& l) { l.write_time = milliseconds(150); }));
  ConfigMap map;
  map.metadata.name = "big";
  map.metadata.namespace_name = "shop";
  map.data = {{"text", std::string(24U << 20U, 'a')}};
  run.state.put(map);
  auto stuck = run.client(4096);
  stuck.get("/api/v1/namespaces/shop/configmaps/big");
  auto stuck_watch = run.client(4096);
  stuck_watch.get("/api/v1/configmaps?watch=1");
  auto good = run.client();
  good.get("/healthz");
  CHECK(good.read_answer().status == 200);
  CHECK(eventually([&] { return run.server->counters().open == 1; }));
  CHECK(eventually([&] { return run.server->open_streams() == 0; }));
  CHECK(stuck.read_to_end().size() < map.data["text"].size());
}

TEST_CASE("api server: a slow but steady reader gets a big body whole") {
  Running run;
  ConfigMap map;
  map.metadata.name = "big";
  map.metadata.namespace_name = "shop";
  map.data = {{"text", std::string(5U << 20U, 'a')}};
  run.state.put(map);
  auto client = run.client(4096);
  client.get("/api/v1/namespaces/shop/configmaps/big");
  const auto answer = client.read_answer();
  CHECK(answer.status == 200);
  CHECK(answer.body.size() > map.data["text"].size());
  CHECK(answer.body.back() == '}');
}

TEST_CASE("api server: one address holds no more than its share") {
  Running run(with_limits([](api::TransportLimits& limits) { limits.per_address = 3; }));
  auto busy = run.client();
  busy.get("/api/v1/pods?watch=1");
  CHECK(busy.read_answer(true).status == 200);
  auto first = run.client();
  auto second = run.client();
  // The youngest that never said anything makes room.
  auto third = run.client();
  CHECK(second.ends());
  third.get("/healthz");
  CHECK(third.read_answer().status == 200);
  first.get("/healthz");
  CHECK(first.read_answer().status == 200);
  CHECK(eventually([&] { return run.server->counters().waiting == 2; }));
  // Then the one that has been idle since its last answer.
  auto fourth = run.client();
  fourth.get("/healthz");
  CHECK(fourth.read_answer().status == 200);
  CHECK(first.ends());
  CHECK(run.server->counters().evicted == 2);
}

TEST_CASE("api server: when all are busy the newcomer is refused") {
  Running run(with_limits([](api::TransportLimits& limits) { limits.connections = 2; }));
  std::vector<RawClient> busy;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(run.client());
    busy.back().get("/api/v1/pods?watch=1");
    CHECK(busy.back().read_answer(true).status == 200);
  }
  auto newcomer = run.client();
  CHECK(newcomer.ends());
  CHECK(run.server->counters().refused == 1);
  busy.pop_back();
  CHECK(eventually([&] { return run.server->counters().open == 1; }));
  auto next = run.client();
  next.get("/healthz");
  CHECK(next.read_answer().status == 200);
}

// ---- streams ------------------------------------------------------------------------------------

TEST_CASE("api server: a watch sends its head at once and each change when it happens") {
  Running run;
  auto client = run.client();
  client.get("/api/v1/pods?watch=1");
  const auto head = client.read_answer(true);
  CHECK(head.status == 200);
  CHECK(head.head.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  for (int i = 0; i < 5; ++i) {
    run.state.put(test::make_pod("web-" + std::to_string(i)));
    run.state.notify();
    std::string event;
    REQUIRE(client.take_chunk(event));
    CHECK(event.find("{\"type\":\"ADDED\"") == 0);
    CHECK(event.find("\"web-" + std::to_string(i) + "\"") != std::string::npos);
  }
  CHECK(run.server->open_streams() == 1);
}

TEST_CASE("api server: a client that goes is noticed on an idle watch") {
  Running run;
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(run.client());
    clients.back().get("/api/v1/pods?watch=1");
    CHECK(clients.back().read_answer(true).status == 200);
  }
  CHECK(run.server->open_streams() == 20);
  clients.clear();
  CHECK(eventually([&] { return run.server->open_streams() == 0; }));
  CHECK(eventually([&] { return run.server->counters().open == 0; }));
}

TEST_CASE("api server: a watch ends with the last chunk") {
  Running run;
  run.state.put(test::make_pod("web-0"));
  auto client = run.client();
  client.get("/api/v1/pods?watch=1&timeoutSeconds=1");
  const auto answer = client.read_answer();
  CHECK(answer.body.find("\"web-0\"") != std::string::npos);
  CHECK(client.ends());
}

TEST_CASE("api server: a refused watch is a whole answer on a connection that stays") {
  Running run;
  auto client = run.client();
  client.get("/api/v1/pods?watch=1&resourceVersion=99");
  const auto answer = client.read_answer();
  CHECK(answer.status == 504);
  CHECK(answer.body.find("ResourceVersionTooLarge") != std::string::npos);
  client.get("/healthz");
  CHECK(client.read_answer().status == 200);
}

TEST_CASE("api server: a followed log grows on the wire as it grows on disk") {
  std::string root = std::filesystem::temp_directory_path() / "moored-api-server-XXXXXX";
  REQUIRE(::mkdtemp(root.data()) != nullptr);
  ApiOptions options;
  options.log_dir = root;
  Running run(std::move(options));
  run.state.put(test::make_pod("web-0"));
  const auto pod = run.state.view()->find(key_of<Pod>("shop", "web-0"));
  const auto directory = pod_log_directory(root, pod->meta()) + "/web";
  std::filesystem::create_directories(directory);
  const auto write = [&](const std::string& text) {
    std::ofstream file(directory + "/0.log", std::ios::app);
    file << "2026-01-01T00:00:00.000000000Z stdout F " + text + "\n";
  };
  write("first");
  auto client = run.client();
  client.get("/api/v1/namespaces/shop/pods/web-0/log?follow=true");
  CHECK(client.read_answer(true).head.find("Content-Type: text/plain\r\n") != std::string::npos);
  std::string text;
  REQUIRE(client.take_chunk(text));
  write("second");
  while (text.find("second") == std::string::npos && client.take_chunk(text)) {
  }
  CHECK(text == "first\nsecond\n");
  run.state.put(test::make_pod("web-0", "Succeeded"));
  run.state.notify();
  CHECK(client.ends());
  std::filesystem::remove_all(root);
}

// ---- life ---------------------------------------------------------------------------------------

TEST_CASE("api server: stopping ends streams and idle connections and frees the port") {
  Running run;
  auto watch = run.client();
  watch.get("/api/v1/pods?watch=1");
  CHECK(watch.read_answer(true).status == 200);
  auto idle = run.client();
  idle.get("/healthz");
  CHECK(idle.read_answer().status == 200);
  CHECK(run.state.listeners() == 1);
  const auto port = run.server->port();
  run.server->stop();
  run.server->stop();
  CHECK(watch.ends());
  CHECK(idle.ends());
  CHECK(run.server->open_streams() == 0);
  CHECK(run.server->counters().open == 0);
  CHECK(run.state.listeners() == 0);
  run.server.reset();
  ApiOptions options;
  options.port = port;
  auto again = ApiServer::start(std::move(options), run.state, run.state, run.reports, run.clock);
  REQUIRE(again);
  RawClient client(port);
  client.get("/healthz");
  CHECK(client.read_answer().status == 200);
}

TEST_CASE("api server: what cannot be listened on is said") {
  Running run;
  ApiOptions taken;
  taken.port = run.server->port();
  const auto second =
      ApiServer::start(std::move(taken), run.state, run.state, run.reports, run.clock);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::conflict);
  ApiOptions nowhere;
  nowhere.listen_address = "localhost";
  const auto third =
      ApiServer::start(std::move(nowhere), run.state, run.state, run.reports, run.clock);
  REQUIRE_FALSE(third);
  CHECK(third.error().code == Code::invalid);
}

TEST_CASE("api server: answers that would fill the memory are put off") {
  Running run(with_limits([](api::TransportLimits& limits) { limits.held_bytes = 100; }));
  run.state.put(test::make_pod("web-0"));
  auto client = run.client();
  for (int i = 0; i < 3; ++i) {
    client.get("/api/v1/pods");
    const auto refused = client.read_answer();
    CHECK(refused.status == 429);
    CHECK(refused.head.find("Retry-After: 1\r\n") != std::string::npos);
    client.get("/healthz");
    CHECK(client.read_answer().body == "ok");  // what was held is given back
  }
}

TEST_CASE("api server: without a token nothing is answered") {
  ApiOptions options;
  options.access = std::make_shared<api::Access>(nullptr, "moored_secret");
  Running run(std::move(options));
  for (const auto* path : {"/api/v1/secrets", "/metrics", "/healthz", "/nonsense"}) {
    INFO(path);
    auto stranger = run.client();
    stranger.get(path, "Authorization: Bearer moored_guess\r\n");
    const auto refused = stranger.read_answer();
    CHECK(refused.status == 401);
    CHECK(refused.head.find("WWW-Authenticate: Bearer") != std::string::npos);
    CHECK(refused.body.find("\"reason\":\"Unauthorized\"") != std::string::npos);
    CHECK(stranger.ends());
  }
  auto owner = run.client();
  owner.get("/healthz", "Authorization: Bearer moored_secret\r\n");
  CHECK(owner.read_answer().body == "ok");
  const std::string body = "{}";
  owner.send("POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\n" + kHost +
             "Authorization: Bearer moored_secret\r\nContent-Length: 2\r\n\r\n" + body);
  CHECK(owner.read_answer().body.find("root@localhost") != std::string::npos);
}

// A file of tokens: of ada, of bob and of cid, whose token expires in an hour.
struct Tokens {
  Tokens() {
    std::string name = (std::filesystem::temp_directory_path() / "moored-server-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    put({"ada", "bob", "cid"});
  }
  ~Tokens() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  Tokens(const Tokens&) = delete;
  Tokens& operator=(const Tokens&) = delete;
  void put(const std::vector<std::string>& names) const {
    std::string text;
    for (const auto& name : names) {
      api::TokenRow row{name, sha256_hex("moored_" + name), std::nullopt};
      if (name == "cid") row.expires = expires;
      text += api::format_token_row(row) + "\n";
    }
    REQUIRE(write_file_durably(directory + "/tokens", text, 0600));
  }
  ApiOptions options() const {
    auto file = api::TokenFile::open(directory + "/tokens");
    REQUIRE(file);
    ApiOptions out;
    out.access = std::make_shared<api::Access>(*std::move(file), "");
    return out;
  }
  std::string directory;
  const Time expires = SystemClock().now().wall + std::chrono::hours(1);
};

TEST_CASE("api server: a token that is taken away or expires ends its watch") {
  Tokens tokens;
  Running run(tokens.options());
  const auto watch = [&](const std::string& name) {
    auto client = run.client();
    client.get("/api/v1/pods?watch=1", "Authorization: Bearer moored_" + name + "\r\n");
    CHECK(client.read_answer(true).status == 200);
    return client;
  };
  auto ada = watch("ada");
  auto bob = watch("bob");
  auto cid = watch("cid");
  tokens.put({"bob", "cid"});
  CHECK(ada.ends());
  run.clock.forward = 2 * 3600;
  CHECK(cid.ends());
  CHECK(eventually([&] { return run.server->open_streams() == 1; }));
  // Who still may is not disturbed, also when all were closed before and one begins anew.
  run.state.put(test::make_pod("web-0"));
  run.state.notify();
  CHECK(bob.wait_for("web-0"));
  bob.close();
  CHECK(eventually([&] { return run.server->open_streams() == 0; }));
  auto again = watch("bob");
  tokens.put({"ada"});
  CHECK(again.ends());
  auto refused = run.client();
  refused.get("/version", "Authorization: Bearer moored_bob\r\n");
  CHECK(refused.read_answer().status == 401);
}

TEST_CASE("api server: as many streams as the operator allows, pulled in pieces of his size") {
  Running run(with_limits([](api::TransportLimits& limits) {
    limits.streams = 1;
    limits.pull_bytes = 4096;
  }));
  for (int i = 0; i < 40; ++i) run.state.put(test::make_pod("web-" + std::to_string(i)));
  auto first = run.client();
  first.get("/api/v1/pods?watch=1");
  CHECK(first.read_answer(true).status == 200);
  auto second = run.client();
  second.get("/api/v1/pods?watch=1");
  const auto refused = second.read_answer();
  CHECK(refused.status == 429);
  CHECK(refused.body.find("(limit 1)") != std::string::npos);
  std::string all;
  for (std::size_t before = 0; all.find("web-39") == std::string::npos; before = all.size()) {
    REQUIRE(first.take_chunk(all));
    CHECK(all.size() - before < 2 * 4096);
  }
}

TEST_CASE("api server: large answers are compressed for those who take it") {
  Running run;
  for (int i = 0; i < 400; ++i) run.state.put(test::make_pod("web-" + std::to_string(i)));
  auto client = run.client();
  client.get("/api/v1/pods");
  const auto plain = client.read_answer();
  REQUIRE(plain.body.size() > 128U << 10U);
  CHECK(plain.head.find("Vary: Accept-Encoding\r\n") != std::string::npos);
  client.get("/api/v1/pods", "Accept-Encoding: gzip\r\n");
  const auto packed = client.read_answer();
  CHECK(packed.head.find("Content-Encoding: gzip\r\n") != std::string::npos);
  CHECK(packed.body.size() < plain.body.size() / 4);
  CHECK(packed.body.substr(0, 2) == "\x1f\x8b");
}

TEST_CASE("api server: clients may connect to a listener before anybody serves them") {
  test::FakeState state;
  test::FakeReports reports;
  SystemClock clock;
  auto listener = api::open_listener("127.0.0.1", 0);
  REQUIRE(listener);
  const int port = api::port_of(*listener);
  REQUIRE(port > 0);
  RawClient early(port);
  REQUIRE(early.connected());
  early.get("/healthz");
  ApiOptions options;
  options.listener = *std::move(listener);
  auto server = ApiServer::start(std::move(options), state, state, reports, clock);
  REQUIRE(server);
  CHECK((*server)->port() == port);
  CHECK(early.read_answer().body == "ok");
  ApiOptions broken;
  broken.listener = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(ApiServer::start(std::move(broken), state, state, reports, clock));
  CHECK(api::port_of(UniqueFd()) == 0);
}

TEST_CASE("api server: two servers in one process do not see each other's state") {
  Running one;
  Running two;
  one.state.put(test::make_pod("only-here"));
  auto first = one.client();
  first.get("/api/v1/pods");
  CHECK(first.read_answer().body.find("only-here") != std::string::npos);
  auto second = two.client();
  second.get("/api/v1/pods");
  CHECK(second.read_answer().body.find("only-here") == std::string::npos);
}

}  // namespace
}  // namespace moored::net
