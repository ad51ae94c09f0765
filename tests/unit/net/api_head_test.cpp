// Framing: whatever two readers could understand differently is refused, with the right status.
#include "net/api/head.hpp"

#include <catch2/catch.hpp>

namespace moored::net::api {
namespace {

using State = HeadReader::State;

constexpr auto kHost = "Host: 127.0.0.1\r\n";

TEST_CASE("api head: an ordinary request is read, however it is cut") {
  const std::string text = std::string("GET /api/v1/pods?watch=1 HTTP/1.1\r\n") + kHost +
                           "Accept:  application/json \r\nX-Empty:\r\n\r\nrest";
  const auto head_size = text.size() - 4;
  for (std::size_t cut = 0; cut <= head_size; ++cut) {
    HeadReader reader;
    if (cut < head_size) REQUIRE(reader.read(std::string_view(text).substr(0, cut)) == State::more);
    REQUIRE(reader.read(text) == State::ready);
    CHECK(reader.size() == head_size);
    CHECK(reader.head().method == "GET");
    CHECK(reader.head().target == "/api/v1/pods?watch=1");
    CHECK(reader.head().host == "127.0.0.1");
    CHECK(reader.head().keep_alive);
    CHECK(reader.head().headers == std::vector<Header>{{"Host", "127.0.0.1"},
                                                       {"Accept", "application/json"},
                                                       {"X-Empty", ""}});
  }
}

TEST_CASE("api head: what is refused, and how") {
  struct Row {
    const char* what;
    std::string text;
    int status;
  };
  const std::string get = "GET /api HTTP/1.1\r\n";
  const std::vector<Row> rows{
      {"two spaces", "GET  /api HTTP/1.1\r\n", 400},
      {"three words", "GET /api x HTTP/1.1\r\n", 400},
      {"leading space", " GET /api HTTP/1.1\r\n", 400},
      {"no version", "GET /api\r\n", 400},
      {"HTTP/9.9", "GET /api HTTP/9.9\r\n", 505},
      {"lower-case version", "GET /api http/1.1\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n", 505},
      {"TLS hello", std::string("\x16\x03\x01\x00\xc8", 5), 400},
      {"empty line first", "\r\nGET /api HTTP/1.1\r\n", 400},
      {"NUL in the method", std::string("G\0T /api HTTP/1.1\r\n", 19), 400},
      {"NUL in the target", std::string("GET /a\0b HTTP/1.1\r\n", 19), 400},
      {"absolute form", "GET http://evil.test/api HTTP/1.1\r\n", 400},
      {"asterisk", "OPTIONS * HTTP/1.1\r\n", 400},
      {"two slashes", "GET //api HTTP/1.1\r\n", 400},
      {"fragment", "GET /api#x HTTP/1.1\r\n", 400},
      {"eight-bit target", "GET /\xC3\xA9 HTTP/1.1\r\n", 400},
      {"bare line feed", "GET /api HTTP/1.1\n", 400},
      {"bare carriage return", get + "X: a\rb\r\n", 400},
      {"folded header", get + kHost + " folded: y\r\n", 400},
      {"tab-folded header", get + kHost + "\tfolded\r\n", 400},
      {"space before the colon", get + "Host : 127.0.0.1\r\n", 400},
      {"no colon", get + "nocolon\r\n", 400},
      {"empty name", get + ": empty\r\n", 400},
      {"control in a name", get + "X\x01Y: z\r\n", 400},
      {"control in a value", get + "X: \x1b[2J\r\n", 400},
      {"no host", get + "\r\n", 400},
      {"empty host", get + "Host:\r\n\r\n", 400},
      {"two hosts", get + kHost + kHost + "\r\n", 400},
      {"two lengths", get + kHost + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400},
      {"list of lengths", get + kHost + "Content-Length: 0, 49\r\n\r\n", 400},
      {"hexadecimal length", get + kHost + "Content-Length: 0x35\r\n\r\n", 400},
      {"signed length", get + kHost + "Content-Length: +53\r\n\r\n", 400},
      {"negative length", get + kHost + "Content-Length: -1\r\n\r\n", 400},
      {"length past 2^64", get + kHost + "Content-Length: 18446744073709551669\r\n\r\n", 400},
      {"empty length", get + kHost + "Content-Length: \r\n\r\n", 400},
      {"spaced length", get + kHost + "Content-Length: 5 3\r\n\r\n", 400},
      {"length with letters", get + kHost + "Content-Length: 1e1\r\n\r\n", 400},
      {"chunked", get + kHost + "Transfer-Encoding: chunked\r\n\r\n", 400},
      {"xchunked", get + kHost + "Transfer-Encoding: xchunked\r\n\r\n", 400},
      {"identity", get + kHost + "transfer-encoding: identity\r\n\r\n", 400},
      {"length and chunked",
       get + kHost + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET with a body", get + kHost + "Content-Length: 5\r\n\r\n", 413},
      {"Expect", "POST /api HTTP/1.1\r\n" + std::string(kHost) + "Expect: 100-continue\r\n\r\n",
       417},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    HeadReader reader;
    REQUIRE(reader.read(row.text) == State::refused);
    CHECK(reader.status() == row.status);
    CHECK_FALSE(reader.reason().empty());
  }
}

TEST_CASE("api head: each limit is reached and named") {
  const std::string get = "GET /api HTTP/1.1\r\n";
  struct Row {
    std::string text;
    int status;
  };
  std::string many = get;
  for (int i = 0; i < 101; ++i)
    many += "X-" + std::to_string(i) + ": y\r\n";
  std::string heavy = get;
  for (int i = 0; i < 5; ++i)
    heavy += "X: " + std::string(7000, 'a') + "\r\n";
  for (const auto& row : std::vector<Row>{{"GET /" + std::string(64U << 10U, 'a'), 414},
                                          {get + "X-Big: " + std::string(128U << 10U, 'a'), 431},
                                          {many, 431},
                                          {heavy, 431}}) {
    HeadReader reader;
    REQUIRE(reader.read(row.text) == State::refused);
    CHECK(reader.status() == row.status);
  }
  // One byte below the limit of a line is still read.
  HeadReader reader;
  const HeadLimits limits;
  const std::string most =
      "GET /" + std::string(limits.request_line_bytes - 16, 'a') + " HTTP/1.1\r\n" + kHost + "\r\n";
  CHECK(reader.read(most) == State::ready);
}

TEST_CASE("api head: who keeps the connection") {
  struct Row {
    const char* version;
    const char* connection;
    bool keep;
  };
  for (const auto& row : std::vector<Row>{{"HTTP/1.1", "", true},
                                          {"HTTP/1.1", "Connection: close\r\n", false},
                                          {"HTTP/1.1", "Connection: keep-alive\r\n", true},
                                          {"HTTP/1.0", "", false},
                                          {"HTTP/1.0", "Connection: Keep-Alive\r\n", true}}) {
    HeadReader reader;
    const auto text =
        std::string("GET / ") + row.version + "\r\n" + kHost + row.connection + "\r\n";
    REQUIRE(reader.read(text) == State::ready);
    CHECK(reader.head().keep_alive == row.keep);
    CHECK(reader.head().old == (std::string(row.version) == "HTTP/1.0"));
  }
  HeadReader reader;
  const auto post = std::string("POST /x HTTP/1.1\r\n") + kHost + "Content-Length: 12\r\n\r\n";
  REQUIRE(reader.read(post) == State::ready);
  CHECK(reader.head().body_bytes == 12);
}

TEST_CASE("api head: only this machine's names are answered") {
  struct Row {
    const char* host;
    bool known;
  };
  for (const auto& row : std::vector<Row>{{"127.0.0.1", true},
                                          {"127.0.0.1:6446", true},
                                          {"127.1.2.3", true},
                                          {"localhost", true},
                                          {"LOCALHOST:80", true},
                                          {"[::1]", true},
                                          {"[::1]:6446", true},
                                          {"10.0.0.7", true},
                                          {"10.0.0.7:6446", true},
                                          {"node.test", true},
                                          {"Node.Test:1", true},
                                          {"", false},
                                          {"evil.test", false},
                                          {"evil.test:6446", false},
                                          {"127.0.0.1@evil.test", false},
                                          {"127.0.0.1.evil.test", false},
                                          {"127.evil", false},
                                          {"localhost.evil.test", false},
                                          {"10.0.0.8", false},
                                          {"127.0.0.1:80:90", false},
                                          {"127.0.0.1:x", false},
                                          {"[::1", false},
                                          {"[::1]x", false},
                                          {"::1", false}}) {
    INFO(row.host);
    CHECK(is_known_host(row.host, "10.0.0.7", {"node.test"}) == row.known);
  }
}

TEST_CASE("api head: pages of other sites are foreign") {
  struct Row {
    std::vector<Header> headers;
    bool foreign;
  };
  const Header host{"Host", "127.0.0.1:6446"};
  for (const auto& row : std::vector<Row>{{{host}, false},
                                          {{host, {"Origin", "http://127.0.0.1:6446"}}, false},
                                          {{host, {"Origin", "http://127.0.0.1:80"}}, true},
                                          {{host, {"Origin", "https://evil.test"}}, true},
                                          {{host, {"Origin", "null"}}, true},
                                          {{host, {"Sec-Fetch-Site", "same-origin"}}, false},
                                          {{host, {"Sec-Fetch-Site", "none"}}, false},
                                          {{host, {"Sec-Fetch-Site", "cross-site"}}, true},
                                          {{host, {"Sec-Fetch-Site", "same-site"}}, true}}) {
    Request request;
    request.headers = row.headers;
    CHECK(is_foreign_site(request) == row.foreign);
  }
}

TEST_CASE("api head: a name with a star stands for one more label") {
  const std::vector<std::string> allowed{"*.example.org", "node.test"};
  for (const char* known : {"a.example.org", "A.Example.Org:6446", "node.test", "localhost"}) {
    INFO(known);
    CHECK(is_known_host(known, "10.0.0.1", allowed));
  }
  for (const char* other : {"example.org", ".example.org", "a.b.example.org", "aexample.org",
                            "a.example.org.evil.test", "*.evil.test"}) {
    INFO(other);
    CHECK_FALSE(is_known_host(other, "10.0.0.1", allowed));
  }
}

}  // namespace
}  // namespace moored::net::api
