// Frames over a stream socket, with deadlines by poll: nothing in here trusts the other side.
#include "schema/host/frame_channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>

namespace moored {
namespace {

using Clock = std::chrono::steady_clock;

// End of file and a broken pipe are the same news: the process at the other end has ended.
Unexpected gone() {
  return fail(Code::unavailable, "the other side of the worker socket has gone");
}

// Milliseconds left, as poll takes them: -1 is for ever.
int left_until(const Clock::time_point* deadline) {
  if (deadline == nullptr) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

// A pollfd of -1 is ignored by poll, so a channel without a stop descriptor needs no branch.
Status FrameChannel::wait_for(short events, const Deadline* deadline) const {
  for (;;) {
    std::array<pollfd, 2> waits{{{socket_.get(), events, 0}, {stop_, POLLIN, 0}}};
    const int ready = ::poll(waits.data(), waits.size(), left_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Unexpected(system_error("wait for the worker", errno));
    if (ready == 0) return fail(Code::timeout, "the worker did not answer in time");
    if (waits[1].revents != 0) return fail(Code::unavailable, "moored is stopping");
    return {};
  }
}

// The whole frame is put together first, so that a small message costs one system call. What the
// socket does not take at once waits for the reader, who may be stopped: never inside send().
Status FrameChannel::send(std::string_view message, std::chrono::milliseconds timeout) const {
  if (message.size() > kMaxFrame) {
    return fail(Code::exhausted, "a message to or from the worker is longer than 32 MiB");
  }
  std::string frame;
  frame.reserve(message.size() + 4);
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    frame += static_cast<char>((message.size() >> shift) & 0xffU);
  }
  frame += message;
  const Deadline end = Clock::now() + std::max(timeout, std::chrono::milliseconds(0));
  for (std::string_view rest = frame; !rest.empty();) {
    const ssize_t sent =
        ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      MOORED_CHECK(wait_for(POLLOUT, timeout.count() < 0 ? nullptr : &end));
      continue;
    }
    if (sent <= 0) return gone();
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Status FrameChannel::await(std::chrono::milliseconds timeout) const {
  const Deadline end = Clock::now() + std::max(timeout, std::chrono::milliseconds(0));
  return wait_for(POLLIN, timeout.count() < 0 ? nullptr : &end);
}

Status FrameChannel::read_exactly(char* bytes, std::size_t size, const Deadline* deadline) const {
  while (size > 0) {
    MOORED_CHECK(wait_for(POLLIN, deadline));
    const ssize_t got = ::recv(socket_.get(), bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return gone();
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

Result<std::string> FrameChannel::receive(std::chrono::milliseconds timeout) const {
  const Clock::time_point end = Clock::now() + std::max(timeout, std::chrono::milliseconds(0));
  const Clock::time_point* deadline = timeout.count() < 0 ? nullptr : &end;
  std::array<char, 4> length{};
  MOORED_CHECK(read_exactly(length.data(), length.size(), deadline));
  std::size_t size = 0;
  for (const char byte : length) size = (size << 8U) | static_cast<std::uint8_t>(byte);
  // Judged before the memory for it is taken.
  if (size > kMaxFrame) return fail(Code::corrupt, "the worker announces more than 32 MiB");
  std::string message(size, '\0');
  MOORED_CHECK(read_exactly(message.data(), size, deadline));
  return message;
}

}  // namespace moored
