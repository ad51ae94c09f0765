// What metrics.k8s.io answers: for `kubectl top`.
#pragma once

#include "net/api/context.hpp"
#include "net/api/read.hpp"
#include "net/api/url.hpp"

namespace moored::net::api {

// GET of PodMetrics or NodeMetrics, one or a list. Where a rate has no start yet, the answer comes
// a little later, without holding a thread meanwhile.
Response read_usage(const Target& target, const Query& query, const ApiContext& context);

}  // namespace moored::net::api
