// Git servers for tests, on loopback and on ports that the kernel picks.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "schema/base/guarded.hpp"
#include "schema/host/spawn.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::git {

// A listening socket on 127.0.0.1 whose connections a function answers, one after another, on a
// thread of its own. The function gets the connection and owns nothing.
class TestServer {
 public:
  using Answer = std::function<void(int connection)>;
  explicit TestServer(Answer answer);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  int port() const { return port_; }
  int connections() const { return connections_; }
  std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_) + "/x.git";
  }

 private:
  void serve();

  UniqueFd listener_;
  UniqueFd stop_;
  int port_ = 0;
  std::atomic<int> connections_{0};
  Answer answer_;
  std::thread thread_;
};

// Reads from a connection up to the end of a request's head and its announced body.
std::string read_request(int connection);
// Sends bytes; a client that has gone is no error.
void send_text(int connection, const std::string& text);
// A whole HTTP response.
std::string http_response(const std::string& status, const std::string& type,
                          const std::string& body, const std::string& more = {});
// One packet of Git's protocol.
std::string packet(const std::string& text);

// Smart HTTP by git http-backend for all repositories below a directory.
TestServer::Answer http_backend(const std::string& root);
// The git:// protocol by git upload-pack for all repositories below a directory. The path and the
// host that were asked for are written to asked.
struct GitRequest {
  std::string path;
  std::string host;
};
TestServer::Answer git_protocol(const std::string& root, Guarded<GitRequest>* asked = nullptr);

}  // namespace moored::git
