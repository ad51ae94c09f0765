#include "servers.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <stdexcept>

namespace moored::git {
namespace {

using std::chrono::seconds;

// Reads until the text has what is wanted or the other side ends.
bool read_until(int connection, std::string& text, const std::function<bool()>& enough) {
  std::array<char, 65536> buffer{};
  while (!enough()) {
    const ssize_t got = ::recv(connection, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return true;
}

std::string header_of(const std::string& head, const std::string& name) {
  std::size_t at = 0;
  while ((at = head.find("\r\n", at)) != std::string::npos) {
    at += 2;
    const std::size_t colon = head.find(':', at);
    if (colon == std::string::npos || colon - at != name.size()) continue;
    std::string found = head.substr(at, name.size());
    for (char& c : found) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (found == name) return head.substr(colon + 2, head.find("\r\n", colon) - colon - 2);
  }
  return {};
}

// The body of a request, whether its length is announced or it comes in chunks.
std::string body_of(const std::string& request) {
  const std::size_t end = request.find("\r\n\r\n") + 4;
  if (header_of(request.substr(0, end), "transfer-encoding") != "chunked") {
    return request.substr(end);
  }
  std::string body;
  for (std::size_t at = end; at < request.size();) {
    const std::size_t size = std::stoul(request.substr(at), nullptr, 16);
    if (size == 0) break;
    at = request.find("\r\n", at) + 2;
    body += request.substr(at, size);
    at += size + 2;
  }
  return body;
}

CommandOutput run_backend(const std::string& root, const std::string& request) {
  const std::size_t space = request.find(' ');
  const std::string target = request.substr(space + 1, request.find(' ', space + 1) - space - 1);
  const std::size_t question = target.find('?');
  SpawnRequest spawned;
  spawned.program = "/usr/lib/git-core/git-http-backend";
  spawned.arguments = {"git-http-backend"};
  spawned.environment = {
      "PATH=/usr/bin:/bin",
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_PROJECT_ROOT=" + root,
      "GIT_HTTP_EXPORT_ALL=1",
      "REQUEST_METHOD=" + request.substr(0, space),
      "PATH_INFO=" + target.substr(0, question),
      "QUERY_STRING=" + (question == std::string::npos ? "" : target.substr(question + 1)),
      "CONTENT_TYPE=" + header_of(request, "content-type"),
      "GIT_CONFIG_COUNT=1",
      "GIT_CONFIG_KEY_0=safe.directory",
      "GIT_CONFIG_VALUE_0=*",
  };
  auto output = run_command(spawned, body_of(request), seconds(60), 64U << 20U);
  return output ? *std::move(output) : CommandOutput{};
}

}  // namespace

TestServer::TestServer(Answer answer)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      answer_(std::move(answer)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), raw, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
      ::getsockname(listener_.get(), raw, &size) != 0) {
    throw std::runtime_error("no listening socket");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

TestServer::~TestServer() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void TestServer::serve() {
  for (;;) {
    std::array<pollfd, 2> waits{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), -1) < 0 || waits[1].revents != 0) return;
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) continue;
    ++connections_;
    const timeval limit{30, 0};
    ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    answer_(connection.get());
  }
}

std::string read_request(int connection) {
  std::string text;
  const auto has_head = [&] { return text.find("\r\n\r\n") != std::string::npos; };
  if (!read_until(connection, text, has_head)) return {};
  const std::size_t end = text.find("\r\n\r\n") + 4;
  const std::string head = text.substr(0, end);
  if (header_of(head, "transfer-encoding") == "chunked") {
    read_until(connection, text, [&] {
      return text.size() >= end + 5 && text.compare(text.size() - 5, 5, "0\r\n\r\n") == 0;
    });
  } else if (const std::string length = header_of(head, "content-length"); !length.empty()) {
    read_until(connection, text, [&] { return text.size() >= end + std::stoul(length); });
  }
  return text;
}

void send_text(int connection, const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t sent = ::send(connection, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string http_response(const std::string& status, const std::string& type,
                          const std::string& body, const std::string& more) {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" + more +
         "\r\n" + body;
}

std::string packet(const std::string& text) {
  std::array<char, 8> length{};
  std::snprintf(length.data(), length.size(), "%04zx", text.size() + 4);
  return length.data() + text;
}

TestServer::Answer http_backend(const std::string& root) {
  return [root](int connection) {
    for (;;) {
      const std::string request = read_request(connection);
      if (request.empty()) return;
      const CommandOutput output = run_backend(root, request);
      const std::size_t end = output.out.find("\r\n\r\n");
      if (end == std::string::npos) {
        send_text(connection, http_response("500 Backend", "text/plain", output.err));
        return;
      }
      const std::string head = output.out.substr(0, end);
      const std::string body = output.out.substr(end + 4);
      const std::string status = header_of("\r\n" + head + "\r\n", "status");
      send_text(connection, "HTTP/1.1 " + (status.empty() ? "200 OK" : status) + "\r\n" + head +
                                "\r\nContent-Length: " + std::to_string(body.size()) +
                                "\r\n\r\n" + body);
    }
  };
}

TestServer::Answer git_protocol(const std::string& root, Guarded<GitRequest>* asked) {
  return [root, asked](int connection) {
    std::array<char, 4> length{};
    if (::recv(connection, length.data(), length.size(), MSG_WAITALL) != 4) return;
    std::string line(std::stoul(std::string(length.data(), 4), nullptr, 16) - 4, '\0');
    ::recv(connection, line.data(), line.size(), MSG_WAITALL);
    const std::size_t space = line.find(' ');
    const std::size_t end = line.find('\0');
    const std::string path = line.substr(space + 1, end - space - 1);
    if (asked != nullptr) {
      asked->with([&](GitRequest& request) { request = {path, line.substr(end + 1)}; });
    }
    SpawnRequest request;
    request.program = "/usr/bin/git";
    request.arguments = {"git", "upload-pack", "--strict", root + path};
    request.environment = {"PATH=/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1",
                           "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"};
    request.descriptors = {{connection, 0}, {connection, 1}};
    const auto child = spawn(request);
    if (!child) return;
    static_cast<void>(wait_child(*child, seconds(60)).has_value());
  };
}

}  // namespace moored::git
