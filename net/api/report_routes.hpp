// Beyond Kubernetes: status, receipts, history and drift, as the reconciler reports them.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "net/api/context.hpp"
#include "net/api/http.hpp"
#include "net/api/url.hpp"

namespace moored::net::api {

// How many entries of a history or drift list are shown unless limit says less or more.
inline constexpr std::size_t kReportLimit = 100;
inline constexpr std::int64_t kReportLimitMost = 10'000;

// GET /status, /status/revisions/SHA, /history?object=, /drift. Nothing: the path is none of them.
std::optional<Response> answer_report(std::span<const std::string> path, const Query& query,
                                      const ApiContext& context);

}  // namespace moored::net::api
