// Sockets of the API: accepting, framing, timers and limits. Nothing of Asio is visible here.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/api/head.hpp"
#include "net/api/http.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::net::api {

class TlsSource;

// All can be changed by the operator (limits.api of moored.yaml); reaching one closes the
// connection it belongs to unless said otherwise. The defaults are those of docs/api.md.
struct TransportLimits {
  HeadLimits head;
  std::size_t body_bytes = 1U << 20U;
  std::size_t held_bytes = 256U << 20U;  // bodies being sent over all connections; then 429
  std::size_t connections = 4096;
  std::size_t per_address = 256;
  std::size_t streams = 512;              // watches and followed logs; then 429
  std::size_t pull_bytes = 256U << 10U;   // pulled at a time for one reader of a stream
  std::chrono::milliseconds header_time{10'000};  // for a head, and for the first byte of the first
  std::chrono::milliseconds idle_time{60'000};    // between requests
  std::chrono::milliseconds body_time{30'000};
  std::chrono::milliseconds write_time{20'000};  // for each piece of at most 256 KiB
};

struct TransportOptions {
  UniqueFd listener;  // of open_listener()
  int threads = 2;
  std::vector<std::string> allowed_hosts;  // names beside loopback and the address connected to
  std::shared_ptr<TlsSource> tls;          // absent: plain HTTP
  // Who asks: by the request, or the name in a client's certificate. Nothing: not answered (401).
  // Absent: everybody is answered. Any thread.
  std::function<std::optional<std::string>(const Request&, const std::string& peer)> admit;
  // Another number whenever admit may have become of another mind. Asked once a second while a
  // stream is being sent; then the streams' rights are looked at again. Absent: never.
  std::function<std::uint64_t()> admit_version;
  TransportLimits limits;
};

// A socket that listens at an address (without brackets) and port; 0: any port. Clients may connect
// from now on, and wait until somebody serves them.
// Errors: invalid (not an address), conflict (address in use), denied.
Result<UniqueFd> open_listener(const std::string& address, int port);
// The port of a socket that listens; 0: it does not.
int port_of(const UniqueFd& listener);

// Counters since the start.
struct TransportCounters {
  std::int64_t accepted = 0;
  std::int64_t refused = 0;  // above a connection limit
  std::int64_t evicted = 0;  // waiting connections closed to make room
  std::int64_t open = 0;
  std::int64_t waiting = 0;  // of the open ones: no request under way
};

// A listening socket and its connections. Owns the I/O threads.
class Transport {
 public:
  using Done = std::function<void(Response)>;
  // Answers a request; calls done once, from any thread.
  using Carry = std::function<void(Request, Done)>;
  // Is told the status of each request that the transport refused itself. Any thread.
  using Refused = std::function<void(int status)>;

  // Nobody is served before serve(). Errors: invalid (the socket does not listen), exhausted.
  static Result<std::unique_ptr<Transport>> create(TransportOptions options, const Clock& clock);
  ~Transport();

  int port() const;
  // Starts accepting on the I/O threads. Called once.
  void serve(Carry carry, Refused refused = [](int) {});
  // Makes every stream look for news. Any thread; only writes to a descriptor.
  void wake();
  // Closes the listener and all connections and waits for the threads.
  void stop();
  TransportCounters counters() const;

  struct State;

 private:
  explicit Transport(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace moored::net::api
