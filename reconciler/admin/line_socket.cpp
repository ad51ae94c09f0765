#include "reconciler/admin/line_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace moored::admin {
namespace {

constexpr int kBacklog = 16;

// sun_path holds 108 bytes with the final NUL; a longer path would be cut to another one.
Result<sockaddr_un> make_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Unexpected(Error{
        Code::invalid, "the socket's path is longer than 107 bytes: " + path, "PathTooLong", {}, {}}
                          .mend("choose a shorter --run-dir"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> make_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return Unexpected(system_error("unix socket", errno));
  return socket;
}

// Removes a socket that nobody listens on any more, and nothing else.
Status clear_path(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return fail(Code::conflict, path + " exists and is no socket");
  if (connect_unix(path)) {
    return Unexpected(
        Error{Code::conflict, "another daemon listens on " + path, "AddressInUse", {}, {}}.mend(
            "stop it, or give this one another --run-dir"));
  }
  if (::unlink(path.c_str()) != 0) return Unexpected(system_error(path, errno));
  return {};
}

}  // namespace

// Refused means a socket file without a listener, as a killed daemon leaves it.
Result<UniqueFd> connect_unix(const std::string& path) {
  MOORED_TRY(const auto address, make_address(path));
  MOORED_TRY(auto socket, make_socket());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  const int number = errno;
  Error error = system_error(path, number);
  if (number == ECONNREFUSED) error.code = Code::unavailable;
  return Unexpected(std::move(error));
}

Result<UniqueFd> listen_unix(const std::string& path) {
  MOORED_TRY(const auto address, make_address(path));
  MOORED_CHECK(clear_path(path));
  MOORED_TRY(auto socket, make_socket());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Unexpected(system_error(path, errno));
  }
  // Nobody can connect before listen(), so the mode is in place in time.
  if (::chmod(path.c_str(), 0600) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return Unexpected(system_error(path, errno));
  }
  return socket;
}

// What was searched already is not searched again, or a slow sender would cost quadratic time. The
// deadline is of the whole line: single bytes do not put it off.
Result<std::string> LineReader::read_line(std::chrono::milliseconds wait, int stop) {
  const auto deadline = std::chrono::steady_clock::now() + std::max(wait, wait.zero());
  for (;;) {
    const auto end = buffer_.find('\n', scanned_);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      scanned_ = 0;
      return line;
    }
    scanned_ = buffer_.size();
    if (buffer_.size() > limit_) {
      return fail(Code::exhausted, "a line is longer than " + std::to_string(limit_) + " bytes");
    }
    MOORED_CHECK(read_more(deadline, wait < wait.zero(), stop));
  }
}

// poll leaves out a negative descriptor, so a reader that nobody stops passes -1.
Status LineReader::read_more(std::chrono::steady_clock::time_point deadline, bool endless,
                             int stop) {
  std::array<pollfd, 2> polled{{{socket_, POLLIN, 0}, {stop, POLLIN, 0}}};
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  const int wait = endless ? -1 : static_cast<int>(std::max<std::int64_t>(rest.count(), 0));
  const int ready = ::poll(polled.data(), polled.size(), wait);
  if (ready < 0 && errno == EINTR) return {};
  if (ready < 0) return Unexpected(system_error("poll", errno));
  if (ready == 0) return fail(Code::timeout, "no whole line came in time");
  if (polled[1].revents != 0) return fail(Code::unavailable, "stopped");
  std::array<char, 4096> bytes{};
  const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
  if (got <= 0) return fail(Code::unavailable, "the other side has gone");
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return {};
}

// MSG_NOSIGNAL: a client that has gone must not end the daemon with SIGPIPE.
Status write_line(int socket, std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t done = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return fail(Code::unavailable, "the other side does not read any more");
    sent += static_cast<std::size_t>(done);
  }
  return {};
}

}  // namespace moored::admin
