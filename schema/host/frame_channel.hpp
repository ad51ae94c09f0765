// Framed messages over a socket: four bytes of length, most significant first, then the message.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

// One end of a socketpair between the daemon and a worker. One thread at a time.
class FrameChannel {
 public:
  static constexpr std::size_t kMaxFrame = 32U << 20U;  // bytes of one message
  static constexpr std::chrono::milliseconds kForEver{-1};

  FrameChannel() = default;
  // socket is a connected stream socket; stop (may be -1, not owned) is a descriptor that makes
  // whoever waits in here give up once it is readable.
  FrameChannel(UniqueFd socket, int stop) : socket_(std::move(socket)), stop_(stop) {}

  // Sends one message, of which a part has gone when it fails: the channel is then of no use. The
  // daemon names a timeout, as a worker may be stopped; a negative one waits for ever.
  // Errors: timeout; unavailable (the other side has gone, or we are to stop); exhausted.
  Status send(std::string_view message, std::chrono::milliseconds timeout = kForEver) const;
  // Waits for one message. A negative timeout waits for ever.
  // Errors: timeout; unavailable (the other side has gone, or we are to stop); corrupt (a length
  // past kMaxFrame).
  Result<std::string> receive(std::chrono::milliseconds timeout) const;

  // Waits until a message begins, and takes nothing of it. Errors: as receive.
  Status await(std::chrono::milliseconds timeout) const;

  explicit operator bool() const { return static_cast<bool>(socket_); }

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  Status wait_for(short events, const Deadline* deadline) const;
  Status read_exactly(char* bytes, std::size_t size, const Deadline* deadline) const;

  UniqueFd socket_;
  int stop_ = -1;
};

}  // namespace moored
