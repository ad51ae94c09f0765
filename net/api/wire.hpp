// The bytes of one connection: as they are, or inside TLS.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "schema/host/unique_fd.hpp"

namespace boost::asio {
class io_context;
}

namespace moored::net::api {

class Tls;

// One socket. Everything runs on the strand of its executor, completions too. At most one read and
// one write are under way. What is under way when it is closed ends with failed = true.
class Wire {
 public:
  using Done = std::function<void(bool failed, std::size_t size)>;
  using Ended = std::function<void(bool failed)>;

  virtual ~Wire() = default;

  // The strand of everything about this connection: an asio::any_io_executor.
  virtual const void* executor() const = 0;
  // Agrees on keys; at once on a plain wire.
  virtual void greet(Ended ended) = 0;
  // Some bytes, at most size; 0 and failed: the peer has ended.
  virtual void read_some(char* to, std::size_t size, Done done) = 0;
  // All bytes of both parts, which must stay where they are until done.
  virtual void write(std::string_view first, std::string_view second, Done done) = 0;
  // Ends our side; the peer's goes on. ended is called when it was told.
  virtual void end_writing(Ended ended) = 0;
  // Some bytes that the peer still sends after that, whatever they are.
  virtual void discard_some(Done done) = 0;
  // Until the peer has sent something or has ended. Reads nothing.
  virtual void wait_readable(Ended ended) = 0;
  virtual void close() = 0;

  // What is under way from now on fails after this time.
  virtual void expires_after(std::chrono::milliseconds time) = 0;
  virtual void expires_never() = 0;

  // The common name of the certificate that the peer proved to own; empty: none.
  virtual std::string peer_name() const = 0;
};

// Takes over an accepted socket, with tls inside of TLS. six says which family it has.
// Nothing: the socket is not one.
std::shared_ptr<Wire> make_wire(boost::asio::io_context& io, UniqueFd socket, bool six,
                                std::shared_ptr<const Tls> tls);

}  // namespace moored::net::api
