// A raw client for the API's tests: bytes out, bytes in, nothing guessed.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "schema/base/time.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::test {

// How long anything may take before a test fails instead of hanging.
inline constexpr int kPatienceMs = 20'000;

// One answer as it came over the wire.
struct WireAnswer {
  int status = 0;  // 0: the connection ended before an answer
  std::string head;
  std::string body;
};

class RawClient {
 public:
  explicit RawClient(int port, int receive_bytes = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }

  bool connected() const { return connected_; }
  void send(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const auto got =
          ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (got <= 0) return;  // the server closed: what it said is still to be read
      sent += static_cast<std::size_t>(got);
    }
  }
  void get(const std::string& target, const std::string& more = {}) {
    send("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more + "\r\n");
  }
  void close() { socket_.reset(); }

  // Waits until the buffer holds the text; false: the connection ended before.
  bool wait_for(const std::string& text) {
    while (buffer_.find(text) == std::string::npos) {
      if (!receive()) return false;
    }
    return true;
  }
  // Reads one answer: its head, then a body by length, by chunks or up to the end.
  WireAnswer read_answer(bool head_only = false) {
    WireAnswer answer;
    if (!wait_for("\r\n\r\n")) return answer;
    const auto end = buffer_.find("\r\n\r\n") + 4;
    answer.head = buffer_.substr(0, end);
    buffer_.erase(0, end);
    answer.status = std::atoi(answer.head.c_str() + 9);
    if (head_only) return answer;
    const auto length = answer.head.find("Content-Length: ");
    if (length != std::string::npos) {
      const auto size = static_cast<std::size_t>(std::atoll(answer.head.c_str() + length + 16));
      while (buffer_.size() < size && receive()) {
      }
      answer.body = buffer_.substr(0, size);
      buffer_.erase(0, size);
    } else if (answer.head.find("chunked") != std::string::npos) {
      while (take_chunk(answer.body)) {
      }
    } else {
      answer.body = read_to_end();
    }
    return answer;
  }
  // Appends the next chunk; false: the last one, or the end of the connection.
  bool take_chunk(std::string& body) {
    if (!wait_for("\r\n")) return false;
    const auto size = static_cast<std::size_t>(std::strtoul(buffer_.c_str(), nullptr, 16));
    const auto start = buffer_.find("\r\n") + 2;
    while (buffer_.size() < start + size + 2) {
      if (!receive()) return false;
    }
    body += buffer_.substr(start, size);
    buffer_.erase(0, start + size + 2);
    return size > 0;
  }
  // Everything up to the end of the connection.
  std::string read_to_end() {
    while (receive()) {
    }
    return std::exchange(buffer_, {});
  }
  // True when the server ends the connection.
  bool ends() {
    while (receive()) {
    }
    return ended_;
  }

 private:
  bool receive() {
    pollfd wait{socket_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPatienceMs) != 1) return false;
    char bytes[65536];
    const auto got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (got <= 0) {
      ended_ = true;
      return false;
    }
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  UniqueFd socket_;
  bool connected_ = false;
  bool ended_ = false;
  std::string buffer_;
};

// Gives other threads their turn until the condition holds; false: patience ran out.
inline bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace moored::test
