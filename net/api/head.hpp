// The head of an HTTP/1 request, read strictly and within limits.
//
// Whatever two readers could understand differently is refused: folded lines, bare line feeds,
// spaces before a colon, several or odd lengths, any transfer coding.
// Source: RFC 9112 sections 2-6; the limits are those of docs/api.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/api/http.hpp"

namespace moored::net::api {

struct HeadLimits {
  std::size_t request_line_bytes = 8U << 10U;
  std::size_t header_line_bytes = 8U << 10U;
  std::size_t total_bytes = 32U << 10U;  // all header lines together
  std::size_t headers = 100;
};

// A head that was accepted.
struct Head {
  std::string method;
  std::string target;  // as sent, starts with one slash
  bool old = false;    // HTTP/1.0
  std::vector<Header> headers;
  std::string host;
  std::uint64_t body_bytes = 0;
  bool keep_alive = true;
};

// Reads a head from a buffer that grows. Every byte is looked at once.
class HeadReader {
 public:
  enum class State { more, ready, refused };

  explicit HeadReader(HeadLimits limits = {}) : limits_(limits) {}

  // Looks at what was added to the buffer since the last call.
  State read(std::string_view buffer);

  // After ready: the head, and where the body starts in the buffer.
  const Head& head() const { return head_; }
  std::size_t size() const { return scanned_; }
  // After refused: the status to answer before the connection is closed, and why.
  int status() const { return status_; }
  const std::string& reason() const { return reason_; }

 private:
  State refuse(int status, std::string reason);
  State take_line(std::string_view line);
  State take_request_line(std::string_view line);
  State take_header(std::string_view line);
  State finish();

  HeadLimits limits_;
  Head head_;
  std::size_t scanned_ = 0;
  std::size_t line_start_ = 0;
  std::size_t header_bytes_ = 0;
  bool started_ = false;  // the request line is complete
  int status_ = 0;
  std::string reason_;
};

// True when a Host value (with or without a port) names this machine: a loopback name or address,
// the address that was connected to, or one of the names allowed by the operator.
bool is_known_host(std::string_view host, std::string_view local_address,
                   const std::vector<std::string>& allowed);
// True when a request comes from a page of another site.
bool is_foreign_site(const Request& request);

}  // namespace moored::net::api
