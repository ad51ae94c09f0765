// One connection of the API: requests in step, then perhaps a stream.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "net/api/transport.hpp"
#include "schema/host/unique_fd.hpp"

namespace boost::asio {
class io_context;
}

namespace moored::net::api {

// What the connections of one transport share. Outlives them.
struct ConnectionShared {
  TransportOptions options;
  const Clock* clock = nullptr;
  Transport::Carry carry;
  Transport::Refused refused;
  std::function<void()> stream_started;  // any thread
  std::atomic<bool> stopping{false};
  // Of bodies that are being sent.
  std::shared_ptr<std::atomic<std::size_t>> held_bytes =
      std::make_shared<std::atomic<std::size_t>>(0);
};

// Reads a request, has it answered, writes the answer, and so on. Its work runs on a strand of its
// own; the functions here may be called from any thread.
class Connection {
 public:
  virtual ~Connection() = default;

  virtual void start() = 0;
  // Looks for news when a stream is being sent.
  virtual void wake() = 0;
  // Closes at once, or after the answer that is being written.
  virtual void shut(bool at_once) = 0;
  // Asks again whether the stream that is being sent may go on, unless that was asked at this
  // version of the rights; closes it when it may not.
  virtual void judge_again(std::uint64_t version) = 0;

  virtual std::uint64_t id() const = 0;
  virtual const std::string& remote() const = 0;
  // True while no request is under way.
  virtual bool waiting() const = 0;
  // True until the first byte arrives.
  virtual bool silent() const = 0;
  virtual bool streaming() const = 0;
};

// Takes over an accepted socket. closed is called with the id when the connection is gone.
// remote and local are the two addresses as text; six says which family the socket has.
struct Accepted {
  std::uint64_t id = 0;
  UniqueFd socket;
  bool six = false;
  std::string remote;
  std::string local;
};
std::shared_ptr<Connection> make_connection(boost::asio::io_context& io, Accepted accepted,
                                            ConnectionShared& shared,
                                            std::function<void(std::uint64_t)> closed);

}  // namespace moored::net::api
