// Large answers, compressed for clients that take it.
#pragma once

#include <string_view>

#include "net/api/http.hpp"

namespace moored::net::api {

// Smaller answers cost more to compress than to send. Kubernetes has the same bound.
inline constexpr std::size_t kCompressBytes = 128U << 10U;

// True when an Accept-Encoding header takes gzip.
bool takes_gzip(std::string_view accept_encoding);
// The answer as the client takes it: large whole bodies of good answers become gzip, streams never,
// because each of their pieces must arrive at once.
Response compress(Response response, const Request& request);

}  // namespace moored::net::api
