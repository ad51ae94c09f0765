// The head of an HTTP/1 answer.
#pragma once

#include <string>

#include "net/api/http.hpp"
#include "schema/base/time.hpp"

namespace moored::net::api {

// How an answer goes out.
struct HeadStyle {
  bool old = false;        // to a client of HTTP/1.0
  bool keep_alive = true;  // the connection stays
  Time now;
};

// Status line and headers with the empty line that ends them. Values cannot start another line,
// whoever wrote them.
std::string make_answer_head(const Response& response, const HeadStyle& style);
// The answer to a request that the transport refuses itself.
Response make_refusal(int status, const std::string& why);

}  // namespace moored::net::api
