// Every route of the API: a request and the recorded state make an answer, nothing else.
#pragma once

#include "net/api/context.hpp"
#include "net/api/http.hpp"

namespace moored::net::api {

// Answers a request. Pure but for the clock, the encoding cache and the log files that are read.
// HEAD is answered like GET: leaving out the body is the transport's part.
Response answer(const Request& request, const ApiContext& context);

}  // namespace moored::net::api
