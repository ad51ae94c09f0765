// The bytes of http and grpc probes. Pure: no sockets here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moored::shim {

// A GET as probes send it: no keep-alive; Host, User-Agent and Accept can be set by headers
// ("Name: value"). Nothing when a header holds a line break.
std::optional<std::string> make_http_request(const std::string& host, int port,
                                             const std::string& path,
                                             const std::vector<std::string>& headers);

// What has arrived of an answer so far.
struct HttpReply {
  enum class Progress { more, done, broken } progress = Progress::more;
  int status = 0;
  std::string location;
  std::string body;  // at most the limit
};
// Reads status line, headers and body (by length, chunks or end). closed: nothing more comes.
// Source: RFC 9112.
HttpReply parse_http_reply(std::string_view bytes, bool closed, std::size_t body_limit);

// Where a redirect leads: another host, or a path to ask next.
struct Redirect {
  bool other_host = false;
  std::string path;
};
Redirect resolve_redirect(const std::string& location, const std::string& host, int port,
                          const std::string& path);

// The whole client side of grpc.health.v1.Health/Check over HTTP/2 with prior knowledge:
// preface, settings, headers, message. Source: RFC 9113, 7541 (literals only).
std::string make_health_request(const std::string& authority, const std::string& service);

// What has arrived of the answer.
struct HealthReply {
  enum class Progress { more, serving, not_serving, broken } progress = Progress::more;
  std::string detail;
  std::string to_send;  // acknowledgements due for the frames read by this call
};
// bytes: everything received so far; seen: frames already acknowledged, kept by the caller.
HealthReply parse_health_reply(std::string_view bytes, std::size_t& seen);

}  // namespace moored::shim
