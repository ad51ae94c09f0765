// HTTP towards strangers: one request at a time, with limits on everything that comes back.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::registry {

inline constexpr std::size_t kMaxHeaderBytes = 64U << 10U;
// Of an answer that is not what was asked for; enough for the words of an error.
inline constexpr std::size_t kMaxErrorBytes = 16U << 10U;

// One request. Redirects are never followed here: whoever asks decides about each.
struct HttpRequest {
  std::string url;
  std::vector<std::string> accept;  // media types
  std::string authorization;        // of the header; empty: none
  std::string form;                 // not empty: sent by POST
  std::int64_t offset = 0;          // above 0: asks for the bytes from here on
  // The address was named by a stranger: it must not be one of this machine or its link.
  bool foreign = false;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;     // names in lower case, the last of each
  std::vector<std::string> challenges;            // every WWW-Authenticate
  std::string body;                               // when the status is none of success
};

// Bytes of a successful answer. An error ends the transfer and is what the caller gets.
using BodySink = std::function<Status(const HttpResponse& head, std::string_view bytes)>;

// A seam of the tests. One thread.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Any status is an answer; errors are those of the way there.
  // Errors: unavailable (the name, the connection; reason ConnectionLost when it broke in the
  // middle), timeout, denied (certificate, address), exhausted (headers), those of the sink.
  virtual Result<HttpResponse> send(const HttpRequest& request, const BodySink& sink) = 0;
};

struct HttpLimits {
  std::int64_t idle_seconds = 60;
  std::int64_t total_seconds = 1800;
  std::string certificates;  // PEM of a private authority; empty: the system's
};
// Keeps connections open between requests.
std::unique_ptr<HttpClient> make_http_client(HttpLimits limits);

// ---- addresses ----

// scheme://host[:port] of a URL, the port left out where it is the scheme's own.
// Errors: invalid (no http or https, a user in it, not a URL).
Result<std::string> read_origin(const std::string& url);
// Where a Location header leads, seen from the URL that answered. Errors: as read_origin.
Result<std::string> resolve_location(const std::string& url, const std::string& location);
// A text as one part of a query.
std::string escape_query(std::string_view text);

}  // namespace moored::registry
