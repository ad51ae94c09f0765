#include "net/api/report_routes.hpp"

#include <algorithm>

#include "net/api/failure.hpp"
#include "schema/codec/text.hpp"

namespace moored::net::api {
namespace {

Response answer_with(const Result<Value>& report) {
  if (!report) return refuse(failure_of(report.error()));
  return make_json(write_json(*report));
}

Result<std::size_t> parse_limit(const Query& query) {
  MOORED_TRY(const auto limit, query.integer("limit", 1));
  if (!limit) return kReportLimit;
  return static_cast<std::size_t>(std::min(*limit, kReportLimitMost));
}

}  // namespace

std::optional<Response> answer_report(std::span<const std::string> path, const Query& query,
                                      const ApiContext& context) {
  const auto limit = parse_limit(query);
  if (path.size() == 3 && path[0] == "status" && path[1] == "revisions") {
    return answer_with(context.reports.read_receipt(path[2]));
  }
  if (path.size() != 1) return std::nullopt;
  if (path[0] == "status") return answer_with(context.reports.read_status());
  if (path[0] != "history" && path[0] != "drift") return std::nullopt;
  if (!limit) return refuse(failure_of(limit.error()));
  if (path[0] == "drift") return answer_with(context.reports.read_drift(*limit));
  return answer_with(context.reports.read_history(query.get("object"), *limit));
}

}  // namespace moored::net::api
