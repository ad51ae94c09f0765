// Whole lines over a unix socket, with limits and deadlines. Internal to admin.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::admin {

// Connects. Errors: not_found (no such path), denied, unavailable (nobody listens), invalid.
Result<UniqueFd> connect_unix(const std::string& path);
// Binds and listens with mode 0600. Errors: invalid (path too long), conflict (path in use).
Result<UniqueFd> listen_unix(const std::string& path);

// Reads lines and keeps what came after them. One thread.
class LineReader {
 public:
  LineReader(int socket, std::size_t limit) : socket_(socket), limit_(limit) {}

  // The next line without its newline. stop: a descriptor that ends the wait when it can be read;
  // -1: none. wait below zero: without end.
  // Errors: exhausted (longer than the limit), timeout, unavailable (the other side has gone, or
  // stop).
  Result<std::string> read_line(std::chrono::milliseconds wait, int stop = -1);

 private:
  Status read_more(std::chrono::steady_clock::time_point deadline, bool endless, int stop);

  int socket_;
  std::size_t limit_;
  std::string buffer_;
  std::size_t scanned_ = 0;
};

// Writes a line and its newline. Errors: unavailable (the other side has gone or does not read
// within the socket's send timeout).
Status write_line(int socket, std::string_view line);

}  // namespace moored::admin
