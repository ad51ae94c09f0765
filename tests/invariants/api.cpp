#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "schema/codec/text.hpp"
#include "schema/host/unique_fd.hpp"
#include "tests/invariants/readings.hpp"

namespace moored::invariants {
namespace {

constexpr std::size_t kMaxAnswer = 64U << 20U;

Result<UniqueFd> dial(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return fail(Code::invalid, host + ':' + port + " is not an address");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, &freeaddrinfo);
  UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{10, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd.get(), found->ai_addr, found->ai_addrlen) < 0) {
    return Unexpected(system_error("connect to " + host + ':' + port, errno));
  }
  return fd;
}

// One answer over HTTP/1.0, which ends with the connection.
Result<std::string> get(const std::string& host, const std::string& port, const std::string& path) {
  MOORED_TRY(const auto fd, dial(host, port));
  const auto request =
      "GET " + path + " HTTP/1.0\r\nHost: " + host + ':' + port + "\r\nAccept: application/json\r\n\r\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return Unexpected(system_error("send to the API", errno));
  }
  std::string answer;
  char buffer[65536];
  for (;;) {
    const auto got = recv(fd.get(), buffer, sizeof buffer, 0);
    if (got < 0) return Unexpected(system_error("read from the API", errno));
    if (got == 0 || answer.size() > kMaxAnswer) break;
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  const auto body = answer.find("\r\n\r\n");
  if (body == std::string::npos || answer.find(" 200 ") > answer.find("\r\n")) {
    return fail(Code::unavailable, "the API answered " + answer.substr(0, answer.find("\r\n")));
  }
  return answer.substr(body + 4);
}

}  // namespace

Result<std::set<std::string>> read_api_pods(const std::string& url) {
  const std::string scheme = "http://";
  const auto colon = url.rfind(':');
  if (url.rfind(scheme, 0) != 0 || colon < scheme.size()) {
    return fail(Code::invalid, url + " is not http://ADDRESS:PORT");
  }
  const auto host = url.substr(scheme.size(), colon - scheme.size());
  const auto port = url.substr(colon + 1, url.find('/', colon) - colon - 1);
  MOORED_TRY(const auto body, get(host, port, "/api/v1/pods"));
  TextLimits limits;
  limits.file_bytes = kMaxAnswer;
  limits.nodes = 5'000'000;
  MOORED_TRY(const auto value, read_json(body, {}, limits));
  std::set<std::string> uids;
  const auto* items = value.find("items");
  if (items == nullptr) return fail(Code::corrupt, "the API's answer has no items");
  for (const auto& item : items->items) {
    const auto* meta = item.find("metadata");
    const auto* uid = meta == nullptr ? nullptr : meta->find("uid");
    if (uid != nullptr) uids.insert(uid->scalar);
  }
  return uids;
}

}  // namespace moored::invariants
