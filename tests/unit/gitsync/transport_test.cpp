// What bad servers do, and the word under which each is reported.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/repo/address.hpp"
#include "gitsync/repo/mirror.hpp"
#include "gitsync/repo/transport.hpp"
#include "schema/host/spawn.hpp"
#include "servers.hpp"

using namespace moored;
using namespace moored::git;

namespace {

const std::string kAdvertisement = "application/x-git-upload-pack-advertisement";
const std::string kResult = "application/x-git-upload-pack-result";
const std::string kId(40, '1');

std::string some_references() {
  return packet("# service=git-upload-pack\n") + "0000" +
         packet(kId + " HEAD" + std::string(1, '\0') + "ofs-delta agent=test\n") +
         packet(kId + " refs/heads/main\n") + "0000";
}

// Answers every request with one response.
TestServer::Answer always(const std::string& response) {
  return [response](int connection) {
    if (!read_request(connection).empty()) send_text(connection, response);
  };
}

// Gives good references, then a pack of these bytes.
TestServer::Answer with_pack(const std::string& pack) {
  return [pack](int connection) {
    for (;;) {
      const std::string request = read_request(connection);
      if (request.empty()) return;
      const bool post = request.compare(0, 4, "POST") == 0;
      send_text(connection,
                http_response("200 OK", post ? kResult : kAdvertisement,
                              post ? packet("NAK\n") + pack : some_references()));
      return;
    }
  };
}

struct Look {
  Result<Head> head;
  bool left_behind;  // files in the mirror's pack directory
};

Look look_at(const std::string& url, MirrorOptions options = {}) {
  TempDirectory directory;
  options.directory = directory / "mirror";
  options.access.allow_local = true;
  auto mirror = Mirror::open(*check_source_url(url, true), std::move(options));
  REQUIRE(mirror);
  auto head = (*mirror)->fetch("refs/heads/main", "");
  const bool left = !std::filesystem::is_empty(directory / "mirror/objects/pack");
  return {std::move(head), left};
}

}  // namespace

TEST_CASE("answers that are no references have their reasons", "[transport]") {
  struct Row {
    std::string what;
    std::string response;
    std::string reason;
    Code code;
  };
  const std::vector<Row> rows{
      {"500", http_response("500 X", "text/plain", ""), "FetchHTTP", Code::unavailable},
      {"503", http_response("503 X", "text/plain", "", "Retry-After: 30\r\n"), "FetchHTTP",
       Code::unavailable},
      {"429", http_response("429 X", "text/plain", ""), "FetchHTTP", Code::unavailable},
      {"404", http_response("404 X", "text/plain", ""), "FetchHTTP", Code::unavailable},
      {"html", http_response("200 OK", "text/html", "<html>login</html>"), "FetchHTTP",
       Code::unavailable},
      {"to a file", http_response("302 X", "text/plain", "", "Location: file:///etc/passwd\r\n"),
       "RedirectRefused", Code::denied},
      {"to another host",
       http_response("302 X", "text/plain", "", "Location: http://127.0.0.2:1/x\r\n"),
       "RedirectRefused", Code::denied},
      {"credentials", http_response("401 X", "text/plain", "",
                                    "WWW-Authenticate: Basic realm=\"x\"\r\n"),
       "AuthFailed", Code::denied},
      {"no references", http_response("200 OK", kAdvertisement,
                                      packet("# service=git-upload-pack\n") + "00000000"),
       "RefNotFound", Code::not_found},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    TestServer server(always(row.response));
    const Look look = look_at(server.url());
    REQUIRE_FALSE(look.head);
    CAPTURE(look.head.error().text());
    CHECK(look.head.error().reason == row.reason);
    CHECK(look.head.error().code == row.code);
    CHECK(server.connections() <= 3);
    CHECK_FALSE(look.left_behind);
  }
}

TEST_CASE("a redirect is followed within the origin and no further", "[transport]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push({{"a.yaml", "a: 1\n"}});
  const auto backend = http_backend(directory.path());
  std::atomic<int> moved{0};
  // The first paths lead on to the repository; what follows is asked of where they led.
  TestServer server([&](int connection) {
    std::array<char, 64> start{};
    ::recv(connection, start.data(), start.size() - 1, MSG_PEEK);
    const std::string line = start.data();
    for (const std::string& step : {std::string("/one/x.git"), std::string("/two/x.git")}) {
      if (line.find(step) == std::string::npos) continue;
      read_request(connection);
      ++moved;
      const std::string next = step == "/one/x.git" ? "/two/x.git" : "/shop.git";
      send_text(connection, http_response("302 X", "text/html", "moved",
                                          "Location: " + next + "/info/refs?service="
                                          "git-upload-pack\r\nConnection: close\r\n"));
      return;
    }
    backend(connection);
  });
  const std::string base = "http://127.0.0.1:" + std::to_string(server.port());
  const Look look = look_at(base + "/one/x.git");
  if (!look.head) FAIL(look.head.error().text());
  CHECK(look.head->commit.id.hex() == sha);
  CHECK(moved == 2);
  TestServer loop(always(http_response("302 X", "text/plain", "",
                                       "Location: /x.git/info/refs?service=git-upload-pack\r\n"
                                       "Connection: close\r\n")));
  const Look lost = look_at(loop.url());
  REQUIRE_FALSE(lost.head);
  CHECK(lost.head.error().reason == "RedirectRefused");
  CHECK(loop.connections() == 4);  // the first and three more
  for (const std::string& target :
       {std::string("https://127.0.0.1/x.git/info/refs?service=git-upload-pack"),
        "http://127.0.0.1:" + std::to_string(server.port() ^ 1) +
            "/x.git/info/refs?service=git-upload-pack",
        std::string("/login"), std::string("//127.0.0.2/x.git/info/refs?service=git-upload-pack"),
        std::string("file:///etc/passwd")}) {
    CAPTURE(target);
    TestServer elsewhere(always(http_response("301 X", "text/plain", "",
                                              "Location: " + target + "\r\n")));
    const Look refused = look_at(elsewhere.url());
    REQUIRE_FALSE(refused.head);
    CHECK(refused.head.error().reason == "RedirectRefused");
    CHECK(elsewhere.connections() == 1);
  }
}

TEST_CASE("credentials are shown to the server and to nobody in a message", "[transport]") {
  std::string seen;
  TestServer server([&](int connection) {
    seen = read_request(connection);
    send_text(connection, http_response("401 X", "text/plain", "", "WWW-Authenticate: Basic\r\n"));
  });
  MirrorOptions options;
  options.access.allow_local = true;
  SECTION("basic") {
    options.access.credentials.username = "me";
    options.access.credentials.password = "CANARY";
    const Look look = look_at(server.url(), options);
    REQUIRE_FALSE(look.head);
    CHECK(look.head.error().reason == "AuthFailed");
    CHECK(look.head.error().text().find("CANARY") == std::string::npos);
    CHECK(seen.find("Authorization: Basic bWU6Q0FOQVJZ") != std::string::npos);
  }
  SECTION("token") {
    options.access.credentials.bearer_token = "CANARY";
    const Look look = look_at(server.url(), options);
    REQUIRE_FALSE(look.head);
    CHECK(look.head.error().text().find("CANARY") == std::string::npos);
    CHECK(seen.find("Authorization: Bearer CANARY") != std::string::npos);
  }
  CHECK(server.connections() <= 2);
}

TEST_CASE("a name that leads to this machine is not connected to", "[transport]") {
  TestServer server(always(http_response("200 OK", "text/plain", "")));
  MirrorOptions options;
  const Look look = look_at(server.url(), options);
  REQUIRE_FALSE(look.head);
  CHECK(look.head.error().reason == "FetchHTTP");  // this look was allowed
  TempDirectory directory;
  options.directory = directory / "mirror";
  auto mirror = Mirror::open(*check_source_url(server.url(), true), options);
  REQUIRE(mirror);
  (*mirror)->set_access({});  // as for a name that was judged as somebody else's
  const int before = server.connections();
  const auto refused = (*mirror)->fetch("refs/heads/main", "");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == "URLNotAllowed");
  CHECK(server.connections() == before);
}

TEST_CASE("git and ssh connect to no address of this machine either", "[transport]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string sha = remote.push({{"a.yaml", "a: 1\n"}});
  TestServer server(git_protocol(directory.path()));
  const std::string host = GENERATE(std::string("localhost"), std::string("127.0.0.1"));
  const std::string there = host + ':' + std::to_string(server.port()) + "/shop.git";
  MirrorOptions options;
  options.directory = directory / "mirror";
  for (const std::string& url : {"git://" + there, "ssh://git@" + there}) {
    CAPTURE(url);
    // As for a name that was judged as somebody else's.
    auto mirror = Mirror::open(*check_source_url(url, true), options);
    REQUIRE(mirror);
    const auto refused = (*mirror)->fetch("refs/heads/main", "");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "URLNotAllowed");
    CHECK(server.connections() == 0);
  }
  // By the name, of which another address may be tried first.
  options.access.allow_local = true;
  auto mirror = Mirror::open(*check_source_url("git://" + there, true), options);
  REQUIRE(mirror);
  const auto head = (*mirror)->fetch("refs/heads/main", "");
  if (!head) FAIL(head.error().text());
  CHECK(head->commit.id.hex() == sha);
}

TEST_CASE("a git server is told its name, and the path in plain", "[transport]") {
  TempDirectory directory;
  TestRepository remote(directory / "our shop #1?.git");
  const std::string sha = remote.push({{"a.yaml", "a: 1\n"}});
  Guarded<GitRequest> asked;
  TestServer server(git_protocol(directory.path(), &asked));
  const std::string port = std::to_string(server.port());
  MirrorOptions options;
  options.directory = directory / "mirror";
  options.access.allow_local = true;
  const std::string url = "git://localhost:" + port + "/our%20shop%20#1?.git";
  auto mirror = Mirror::open(*check_source_url(url, true), options);
  REQUIRE(mirror);
  const auto head = (*mirror)->fetch("refs/heads/main", "");
  if (!head) FAIL(head.error().text());
  CHECK(head->commit.id.hex() == sha);
  const GitRequest request = asked.with([](const GitRequest& now) { return now; });
  CHECK(request.path == "/our shop #1?.git");
  CHECK(request.host == "host=localhost:" + port + std::string(1, '\0'));
  const int before = server.connections();
  for (const char* path : {"", "/", "/a%00b.git", "/a%0ab.git"}) {
    const auto checked = check_source_url("git://localhost:" + port + path, true);
    if (!checked) continue;  // refused by its look alone
    CAPTURE(path);
    auto other = Mirror::open(*checked, options);
    REQUIRE(other);
    CHECK((*other)->fetch("refs/heads/main", "").error().reason == "InvalidValue");
  }
  CHECK(server.connections() == before);
}

TEST_CASE("a git server that is not there, or says nothing, is named", "[transport]") {
  std::string reason;
  MirrorOptions options;
  TempDirectory directory;
  options.directory = directory / "mirror";
  options.access.allow_local = true;
  const auto fetch_from = [&](int port) {
    const std::string url = "git://localhost:" + std::to_string(port) + "/shop.git";
    auto mirror = Mirror::open(*check_source_url(url, true), options);
    REQUIRE(mirror);
    const auto head = (*mirror)->fetch("refs/heads/main", "");
    REQUIRE_FALSE(head);
    return head.error();
  };
  int closed = 0;
  {
    TestServer server([](int) {});
    closed = server.port();
    const Error silent = fetch_from(closed);
    CHECK(silent.code == Code::unavailable);
    CHECK(silent.reason == "FetchFailed");
  }
  const Error error = fetch_from(closed);
  CHECK(error.code == Code::unavailable);
  CHECK(error.reason == "FetchFailed");
  CHECK(error.text().find("connect to localhost: Connection refused") != std::string::npos);
}

TEST_CASE("a name without an address says so", "[transport]") {
  const auto none = find_addresses("no-such-host.invalid", true);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::unavailable);
  CHECK(none.error().reason == "FetchFailed");
  CHECK(none.error().message.find("no-such-host.invalid") != std::string::npos);
  // Metadata services are nobody's git server, also where this machine is allowed.
  CHECK(find_addresses("169.254.169.254", true).error().reason == "URLNotAllowed");
  CHECK(find_addresses("fe80::1", true).error().reason == "URLNotAllowed");
  CHECK(find_addresses("192.0.2.7", false).value_or({}) == std::vector<std::string>{"192.0.2.7"});
}

TEST_CASE("the wait that a server asks for is in the message", "[transport]") {
  TestServer server(always(http_response("503 X", "text/plain", "", "Retry-After: 77\r\n")));
  const Look look = look_at(server.url());
  REQUIRE_FALSE(look.head);
  CHECK(look.head.error().message.find("retry after 77 s") != std::string::npos);
}

TEST_CASE("a status code is named in the message", "[transport]") {
  TestServer server(always(http_response("503 Busy", "text/plain", "")));
  const Look look = look_at(server.url());
  REQUIRE_FALSE(look.head);
  CHECK(look.head.error().message.find("503") != std::string::npos);
}

TEST_CASE("a list of references without end is cut at the limit", "[transport]") {
  TestServer server([](int connection) {
    read_request(connection);
    send_text(connection, "HTTP/1.1 200 OK\r\nContent-Type: " + kAdvertisement +
                              "\r\nTransfer-Encoding: chunked\r\n\r\n");
    const auto chunk = [&](const std::string& body) {
      std::array<char, 32> size{};
      std::snprintf(size.data(), size.size(), "%zx\r\n", body.size());
      send_text(connection, size.data() + body + "\r\n");
    };
    chunk(packet("# service=git-upload-pack\n") + "0000" +
          packet(kId + " HEAD" + std::string(1, '\0') + "ofs-delta\n"));
    for (int i = 0; i < 4000; ++i) {
      std::string many;
      for (int j = 0; j < 20; ++j) {
        many += packet(kId + " refs/heads/" + std::to_string(i * 20 + j) + "\n");
      }
      chunk(many);
    }
  });
  MirrorOptions options;
  options.advertisement_limit = 1U << 20U;
  const Look look = look_at(server.url(), options);
  REQUIRE_FALSE(look.head);
  CHECK(look.head.error().reason == "AdvertisementLimit");
  CHECK(look.head.error().code == Code::exhausted);
}

TEST_CASE("looking again and again takes no memory", "[transport]") {
  const std::string references = packet("# service=git-upload-pack\n") + "0000" +
                                 packet(kId + " HEAD" + std::string(1, '\0') + "ofs-delta\n") +
                                 "0000";
  TestServer server(always(http_response("200 OK", kAdvertisement, references)));
  TempDirectory directory;
  MirrorOptions options;
  options.directory = directory / "mirror";
  options.access.allow_local = true;
  auto mirror = Mirror::open(*check_source_url(server.url(), true), options);
  REQUIRE(mirror);
  std::size_t settled = 0;
  for (int i = 0; i < 150; ++i) {
    REQUIRE((*mirror)->fetch("refs/heads/none", "").error().reason == "RefNotFound");
    if (i == 20) settled = ::mallinfo2().uordblks;
  }
  CHECK(::mallinfo2().uordblks < settled + (1U << 20U));
}

TEST_CASE("a branch is found among ten thousand references", "[transport]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  const std::string commit = remote.push({{"a.yaml", "a: 1\n"}});
  std::ofstream packed(directory / "shop.git/packed-refs");
  for (int i = 10'000; i < 20'000; ++i) packed << commit << " refs/pull/" << i << "/head\n";
  packed.close();
  const bool stateless = GENERATE(true, false);
  TestServer server(stateless ? http_backend(directory.path()) : git_protocol(directory.path()));
  const Look look = look_at((stateless ? "http" : "git") + std::string("://127.0.0.1:") +
                                std::to_string(server.port()) + "/shop.git",
                            {});
  if (!look.head) FAIL(look.head.error().text());
  CHECK(look.head->commit.id.hex() == commit);
}

TEST_CASE("a pack larger than the space for the source is refused", "[transport]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 300'000; ++i) {
    state = state * 1664525U + 1013904223U;
    noise += static_cast<char>(state >> 24U);
  }
  remote.push({{"noise.bin", noise}});
  const bool stateless = GENERATE(true, false);
  TestServer server(stateless ? http_backend(directory.path()) : git_protocol(directory.path()));
  MirrorOptions options;
  options.pack_limit = 100'000;
  const Look look = look_at((stateless ? "http" : "git") + std::string("://127.0.0.1:") +
                                std::to_string(server.port()) + "/shop.git",
                            options);
  REQUIRE_FALSE(look.head);
  CHECK(look.head.error().reason == "DiskBudget");
  CHECK_FALSE(look.left_behind);
}

TEST_CASE("a pack that is cut or wrong leaves nothing behind", "[transport]") {
  const std::string head = std::string("PACK\0\0\0\2\0\0\0\3", 12);
  const std::string cut = head + "\xb0\x0a";
  const std::string bad = head + "\x95\x0ax\x9c" + std::string(200, '\0') + std::string(20, '\xff');
  for (const std::string& pack : {cut, bad, std::string("nonsense"), std::string()}) {
    CAPTURE(pack.size());
    TestServer server(with_pack(pack));
    const Look look = look_at(server.url());
    REQUIRE_FALSE(look.head);
    CAPTURE(look.head.error().text());
    CHECK(look.head.error().reason == "PackCorrupt");
    CHECK_FALSE(look.left_behind);
  }
}

TEST_CASE("bytes that come are a sign of life", "[transport]") {
  TempDirectory directory;
  TestRepository remote(directory / "shop.git");
  remote.push({{"a.yaml", "a: 1\n"}});
  TestServer server(http_backend(directory.path()));
  MirrorOptions options;
  int signs = 0;
  options.progress = [&] { ++signs; };
  const Look look = look_at(
      "http://127.0.0.1:" + std::to_string(server.port()) + "/shop.git", options);
  REQUIRE(look.head);
  CHECK(signs > 0);
}

namespace {

// A TLS server with a certificate that nobody has signed. Ends with the test.
class UntrustedServer {
 public:
  UntrustedServer() {
    SpawnRequest make;
    make.program = "/usr/bin/openssl";
    make.arguments = {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                      directory_ / "key.pem", "-out", directory_ / "certificate.pem", "-subj",
                      "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"};
    make.environment = {"PATH=/usr/bin:/bin"};
    const auto made = run_command(make, {}, std::chrono::seconds(60));
    REQUIRE(made);
    REQUIRE(made->status.code == 0);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    output_.reset(ends[0]);
    const UniqueFd input(ends[1]);
    SpawnRequest serve = make;
    serve.arguments = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert",
                       directory_ / "certificate.pem", "-key", directory_ / "key.pem"};
    serve.descriptors = {{input.get(), 1}};
    auto child = spawn(serve);
    REQUIRE(child);
    child_ = *std::move(child);
    read_port();
  }
  ~UntrustedServer() {
    static_cast<void>(kill_group(child_, SIGKILL).has_value());
    static_cast<void>(wait_child(child_, std::chrono::seconds(10)).has_value());
  }
  UntrustedServer(const UntrustedServer&) = delete;
  UntrustedServer& operator=(const UntrustedServer&) = delete;

  std::string url() const { return "https://localhost:" + port_ + "/x.git"; }

 private:
  // It says "ACCEPT 127.0.0.1:PORT" once it listens.
  void read_port() {
    std::string said;
    char c = 0;
    while (::read(output_.get(), &c, 1) == 1) {
      if (c == '\n' && said.find("ACCEPT") != std::string::npos) break;
      said = c == '\n' ? "" : said + c;
    }
    port_ = said.substr(said.rfind(':') + 1);
    REQUIRE_FALSE(port_.empty());
  }

  TempDirectory directory_;
  UniqueFd output_;
  Child child_;
  std::string port_;
};

}  // namespace

TEST_CASE("a certificate that nobody has signed is refused", "[transport]") {
  const UntrustedServer server;
  const Look look = look_at(server.url());
  REQUIRE_FALSE(look.head);
  CAPTURE(look.head.error().text());
  CHECK(look.head.error().reason == "TlsRefused");
  CHECK(look.head.error().code == Code::denied);
}

TEST_CASE("nobody listening is an ordinary error", "[transport]") {
  int port = 0;
  {
    const TestServer closed([](int) {});
    port = closed.port();
  }
  for (const char* scheme : {"http", "git", "https"}) {
    const Look look = look_at(std::string(scheme) + "://127.0.0.1:" + std::to_string(port) + "/x");
    REQUIRE_FALSE(look.head);
    CHECK(look.head.error().code == Code::unavailable);
    CHECK(look.head.error().reason == "FetchFailed");
  }
}
