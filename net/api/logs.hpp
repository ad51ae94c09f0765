// Container logs over the API: whole, tailed or followed.
#pragma once

#include "net/api/read.hpp"

namespace moored::net::api {

// How often a followed log looks again when nothing woke it.
inline constexpr std::chrono::seconds kLogRecheck{2};

// GET …/pods/NAME/log. The body is raw bytes, streamed.
// Refuses with 400 for bad parameters, an unknown container, or one without such a log.
Response read_log(const Target& target, const Query& query, const ApiContext& context);

}  // namespace moored::net::api
