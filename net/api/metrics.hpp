// GET /metrics.
#pragma once

#include "net/api/context.hpp"
#include "net/api/http.hpp"

namespace moored::net::api {

// What the API itself counts, then what its meters say.
Response answer_metrics(const ApiContext& context);

}  // namespace moored::net::api
