// Is the server well: health checks.
#pragma once

#include <span>
#include <string>

#include "net/api/context.hpp"
#include "net/api/http.hpp"
#include "net/api/url.hpp"

namespace moored::net::api {

// GET /healthz, /livez, /readyz, and one check of them by name; ?verbose lists the checks.
Response answer_health(std::span<const std::string> path, const Query& query,
                       const ApiContext& context);

}  // namespace moored::net::api
