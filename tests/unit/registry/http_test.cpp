// The client against servers on loopback that say exactly what a test wants.
#include "runtime/registry/http.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "schema/base/assert.hpp"
#include "schema/host/unique_fd.hpp"

using namespace moored;
using namespace moored::registry;

namespace {

// Answers every connection with the same bytes; leaves it open when told to.
class Server {
 public:
  explicit Server(std::string answer, bool hangs = false)
      : answer_(std::move(answer)), hangs_(hangs), stop_(::eventfd(0, EFD_CLOEXEC)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    MOORED_ASSERT(::bind(listener_.get(), plain, size) == 0);
    MOORED_ASSERT(::listen(listener_.get(), 8) == 0);
    MOORED_ASSERT(::getsockname(listener_.get(), plain, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    static_cast<void>(::eventfd_write(stop_.get(), 1));
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string url(const std::string& path = "/x") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  const std::string& request() const { return request_; }

 private:
  bool wait_for(int fd) const {
    pollfd waits[2]{{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(waits, 2, -1);
    return waits[1].revents == 0;
  }
  void serve() {
    std::vector<UniqueFd> open;
    while (wait_for(listener_.get())) {
      UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::string head;
      char bytes[4096];
      while (head.find("\r\n\r\n") == std::string::npos && wait_for(connection.get())) {
        const auto got = ::recv(connection.get(), bytes, sizeof bytes, 0);
        if (got <= 0) break;
        head.append(bytes, static_cast<std::size_t>(got));
        if (head.front() == '\x16') break;  // the start of TLS, which has no such end
      }
      request_ = head;
      ::send(connection.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (hangs_) open.push_back(std::move(connection));
    }
  }

  std::string answer_;
  bool hangs_;
  std::string request_;
  UniqueFd stop_;
  UniqueFd listener_;
  int port_ = 0;
  std::thread thread_;
};

struct Exchange {
  Result<HttpResponse> response;
  std::string body;
};

Exchange get(const HttpRequest& request, HttpLimits limits = {2, 5, {}}) {
  const auto client = make_http_client(std::move(limits));
  std::string body;
  auto response = client->send(request, [&](const HttpResponse&, std::string_view bytes) -> Status {
    body.append(bytes);
    return {};
  });
  return {std::move(response), std::move(body)};
}

Exchange get(const std::string& url) {
  HttpRequest request;
  request.url = url;
  return get(request);
}

}  // namespace

TEST_CASE("an answer is taken apart", "[registry]") {
  const Server server(
      "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nWWW-Authenticate: Basic realm=\"1\"\r\n"
      "www-authenticate: Bearer\r\nX-Twice: 1\r\nX-Twice:  2 \r\nContent-Length: 4\r\n\r\nbody");
  HttpRequest request;
  request.url = server.url();
  request.accept = {"a/b", "c/d"};
  request.authorization = "Basic eA==";
  request.offset = 7;
  const auto answer = get(request);
  REQUIRE(answer.response);
  CHECK(answer.response->status == 200);
  CHECK(answer.response->headers.at("content-type") == "a/b");
  CHECK(answer.response->headers.at("x-twice") == "2");
  CHECK(answer.response->challenges ==
        std::vector<std::string>{"Basic realm=\"1\"", "Bearer"});
  CHECK(answer.body == "body");
  const auto& head = server.request();
  for (const char* line : {"GET /x HTTP/1.1\r\n", "Accept: a/b\r\n", "Accept: c/d\r\n",
                           "Authorization: Basic eA==\r\n", "Range: bytes=7-\r\n",
                           "User-Agent: moored/"}) {
    CHECK(head.find(line) != std::string::npos);
  }
}

TEST_CASE("the body of an error is kept apart, and cut", "[registry]") {
  const Server server("HTTP/1.1 404 no\r\nContent-Length: 100000\r\n\r\n" +
                      std::string(100000, 'x'));
  const auto answer = get(server.url());
  REQUIRE(answer.response);
  CHECK(answer.response->status == 404);
  CHECK(answer.response->body.size() == kMaxErrorBytes);
  CHECK(answer.body.empty());
}

TEST_CASE("a refused range is not waited for", "[registry]") {
  const Server server("HTTP/1.1 416 no\r\nContent-Length: 100000\r\n\r\nshort", true);
  const auto answer = get(server.url());
  REQUIRE(answer.response);
  CHECK(answer.response->status == 416);
}

TEST_CASE("redirects are left to the caller", "[registry]") {
  const Server server("HTTP/1.1 302 go\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n");
  const auto answer = get(server.url());
  REQUIRE(answer.response);
  CHECK(answer.response->status == 302);
  CHECK(answer.response->headers.at("location") == "/y");
}

TEST_CASE("a body that ends early is a lost connection", "[registry]") {
  const Server server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  const auto answer = get(server.url());
  REQUIRE_FALSE(answer.response);
  CHECK(answer.response.error().reason == "ConnectionLost");
  CHECK(answer.body == "half");
  const Server silent("");
  CHECK(get(silent.url()).response.error().reason == "ConnectionLost");
}

TEST_CASE("silence ends", "[registry]") {
  const Server server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true);
  HttpRequest request;
  request.url = server.url();
  CHECK(get(request, {1, 30, {}}).response.error().code == Code::timeout);
  CHECK(get(request, {30, 1, {}}).response.error().code == Code::timeout);
}

TEST_CASE("headers without end are cut off", "[registry]") {
  std::string head = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 2000; ++i) head += "X-" + std::to_string(i) + ": " + std::string(90, 'x') +
                                         "\r\n";
  const Server server(head + "\r\n");
  CHECK(get(server.url()).response.error().code == Code::exhausted);
}

TEST_CASE("an error of the sink ends the transfer", "[registry]") {
  const Server server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
  const auto client = make_http_client({2, 5, {}});
  HttpRequest request;
  request.url = server.url();
  const auto response = client->send(request, [](const HttpResponse&, std::string_view) -> Status {
    return fail(Code::corrupt, "enough");
  });
  CHECK(response.error().message == "enough");
}

TEST_CASE("a stranger's address may not be ours", "[registry]") {
  const Server server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  HttpRequest request;
  request.url = server.url();
  request.foreign = true;
  const auto answer = get(request);
  REQUIRE_FALSE(answer.response);
  CHECK(answer.response.error().reason == "RedirectRefused");
  CHECK(server.request().empty());
  for (const char* url : {"http://169.254.169.254/latest", "http://0.0.0.0:1/"}) {
    request.url = url;
    CHECK(get(request).response.error().reason == "RedirectRefused");
  }
  // Without IPv6 on the machine it does not even come to that.
  for (const char* url : {"http://[::1]:1/", "http://[::ffff:127.0.0.1]:1/",
                          "http://[fe80::1]:1/"}) {
    request.url = url;
    CHECK_FALSE(get(request).response);
  }
}

TEST_CASE("other protocols and dead ports are errors", "[registry]") {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"}) {
    CHECK(get(url).response.error().reason == "URLNotAllowed");
  }
  CHECK(get("http://127.0.0.1:1/").response.error().code == Code::unavailable);
}

TEST_CASE("a private authority that is none is told", "[registry]") {
  const Server server("no TLS here");
  HttpRequest request;
  request.url = "https" + server.url().substr(4);
  CHECK(get(request).response.error().code == Code::unavailable);
  CHECK_FALSE(get(request, {2, 5, "no certificate"}).response);
}

TEST_CASE("a form is posted", "[registry]") {
  const Server server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
  HttpRequest request;
  request.url = server.url();
  request.form = "a=b";
  REQUIRE(get(request).response);
  CHECK(server.request().rfind("POST /x HTTP/1.1\r\n", 0) == 0);
}
