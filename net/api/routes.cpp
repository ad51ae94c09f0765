#include "net/api/routes.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "net/api/discovery.hpp"
#include "net/api/dry_run.hpp"
#include "net/api/health.hpp"
#include "net/api/json_text.hpp"
#include "net/api/logs.hpp"
#include "net/api/metrics.hpp"
#include "net/api/openapi.hpp"
#include "net/api/openapi_v2.hpp"
#include "net/api/read.hpp"
#include "net/api/refusal.hpp"
#include "net/api/report_routes.hpp"
#include "net/api/reviews.hpp"
#include "net/api/usage.hpp"
#include "net/api/watch.hpp"

namespace moored::net::api {
namespace {

using Segments = std::span<const std::string>;

// What Kubernetes opens a connection for, and moored does not serve at all.
constexpr std::array<std::string_view, 4> kConnections{"exec", "attach", "portforward", "proxy"};

bool is_connection(const Target& target) {
  return target.resource != nullptr && std::find(kConnections.begin(), kConnections.end(),
                                                 target.subresource) != kConnections.end();
}

Response not_found() {
  return make_response(404, "text/plain", "404 page not found\n");
}

Response list_paths() {
  std::string out = R"({"paths":["/api","/api/v1","/apis")";
  std::string last;
  for (const auto& row : all_resources()) {
    if (!row.listed || row.group.empty()) continue;
    const auto path = "/apis/" + row.api_version();
    if (path == last) continue;
    out += "," + quoted(path);
    last = path;
  }
  for (const auto* path : {"/drift", "/healthz", "/history", "/livez", "/metrics", "/openapi/v3",
                           "/readyz", "/status", "/version"}) {
    out += "," + quoted(path);
  }
  out += "]}";
  return make_json(std::move(out));
}

// Reads [namespaces, NS, RESOURCE, NAME, SUB] or [RESOURCE, NAME, SUB] below a group version.
// A target without a resource names nothing that is served.
Target find_target(std::string_view group, std::string_view version, Segments rest) {
  Target target;
  const bool own_subresource = rest.size() == 3 && (rest[2] == "status" || rest[2] == "finalize");
  const bool namespaced =
      rest.size() >= 3 && rest[0] == "namespaces" && !(own_subresource && group.empty());
  if (namespaced) {
    target.namespace_name = rest[1];
    rest = rest.subspan(2);
  }
  if (rest.empty() || rest.size() > 3) return target;
  const auto* resource = find_served(group, version, rest[0]);
  if (resource == nullptr) return target;
  if (rest.size() > 1) target.name = rest[1];
  if (rest.size() > 2) target.subresource = rest[2];
  const bool misplaced = resource->namespaced ? !namespaced && !target.name.empty() : namespaced;
  if (!misplaced) target.resource = resource;
  return target;
}

Failure not_served(const Target& target) {
  Failure failure;
  failure.code = 405;
  failure.reason = "MethodNotAllowed";
  const bool exec = target.subresource == "exec";
  failure.message = std::string(target.resource->plural) + "/" + target.subresource +
                    " is not served" + (exec ? ", use moorctl exec" : "");
  failure.name = target.name;
  failure.resource = target.resource->plural;
  return failure;
}

Failure not_acceptable() {
  Failure failure;
  failure.code = 406;
  failure.reason = "NotAcceptable";
  failure.message =
      "only the following media types are accepted: application/json, "
      "application/json;as=Table;g=meta.k8s.io, "
      "application/json;as=PartialObjectMetadata;g=meta.k8s.io";
  return failure;
}

Response answer_target(const Target& target, const Request& request, const Query& query,
                       const ApiContext& context) {
  const auto& sub = target.subresource;
  if (!sub.empty() && !target.resource->has_subresource(sub)) return refuse(no_such_resource());
  if (sub == "log") return read_log(target, query, context);
  const auto choice = choose(request.header("accept"), Offer::objects);
  if (!choice) return refuse(not_acceptable());
  if (!target.name.empty()) return read_object(target, query, *choice, context);
  if (!query.truth("watch")) return read_list(target, query, *choice, context);
  if (!request.header("upgrade").empty()) {
    Target sockets = target;
    sockets.subresource = "watch over WebSocket";
    return refuse(not_served(sockets));
  }
  return start_watch(target, query, *choice, context);
}

Response answer_usage(const Target& target, const Request& request, const Query& query,
                      const ApiContext& context) {
  if (!target.subresource.empty()) return refuse(no_such_resource());
  if (query.truth("watch")) {
    Target watched = target;
    watched.subresource = "watch";
    return refuse(not_served(watched));
  }
  if (!choose(request.header("accept"), Offer::only_plain)) return refuse(not_acceptable());
  return read_usage(target, query, context);
}

// A GET below /api/v1 or /apis/GROUP/VERSION, or any other method there.
Response answer_group(std::string_view group, std::string_view version, Segments rest,
                      const Request& request, const Query& query, const ApiContext& context) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const auto target = find_target(group, version, rest);
  const bool review = target.resource != nullptr && target.resource->review();
  if (review && request.method == "POST" && target.name.empty()) {
    return answer_review(*target.resource, request);
  }
  const bool stored = target.resource != nullptr && target.resource->stored != nullptr;
  if (stored && target.subresource.empty() && context.preview != nullptr &&
      is_dry_run(request, query)) {
    return answer_dry_run(target, request, context);
  }
  if (is_connection(target)) return refuse(not_served(target));
  if (!reads || review) return refuse(refuse_write(target, *context.state.view()));
  if (!serves_group(group, version)) return not_found();
  if (rest.empty()) return discover_version(group, version);
  if (target.resource == nullptr) return refuse(no_such_resource());
  if (target.resource->usage) return answer_usage(target, request, query, context);
  return answer_target(target, request, query, context);
}

Response answer_discovery(bool core, const Request& request, const ApiContext& context) {
  const auto choice = choose(request.header("accept"), Offer::discovery);
  if (!choice) return refuse(not_acceptable());
  return core ? discover_core(*choice, context.address) : discover_groups(*choice);
}

// /openapi/v3 and the documents below it. v2 exists as protobuf only, for those who ask for that: a
// readable 404 tells the others.
Response answer_openapi(Segments path, const Request& request) {
  if (path[1] == "v2" && path.size() == 2 &&
      request.header("accept").find(kOpenapiV2Type) != std::string_view::npos) {
    return openapi_v2_document();
  }
  if (path[1] == "v3" && path.size() == 2) return openapi_index();
  if (path[1] == "v3" && path.size() == 4 && path[2] == "api") return openapi_document("", path[3]);
  if (path[1] == "v3" && path.size() == 5 && path[2] == "apis") {
    return openapi_document(path[3], path[4]);
  }
  auto failure = no_such_resource();
  failure.message = "moored serves OpenAPI v3, and v2 as protobuf alone";
  return refuse(failure);
}

// Everything that is neither /api nor /apis.
Response answer_other(Segments path, const Request& request, const Query& query,
                      const ApiContext& context) {
  if (path.empty()) return list_paths();
  const auto& first = path[0];
  if (first == "version" && path.size() == 1) return discover_release();
  if (first == "healthz" || first == "livez" || first == "readyz") {
    return answer_health(path, query, context);
  }
  if (first == "metrics" && path.size() == 1) return answer_metrics(context);
  if (auto report = answer_report(path, query, context)) return *std::move(report);
  if (first == "openapi" && path.size() >= 2) return answer_openapi(path, request);
  return not_found();
}

}  // namespace

Response answer(const Request& request, const ApiContext& context) {
  const auto path = parse_path(request.path);
  if (!path) return refuse(bad_request(path.error().message));
  const auto query = Query::parse(request.query);
  if (!query) return refuse(bad_request(query.error().message));
  const Segments segments(path->segments);
  const bool core = segments.size() >= 2 && segments[0] == "api";
  const bool grouped = segments.size() >= 3 && segments[0] == "apis";
  if (path->trailing_slash && segments.size() > (core ? 2U : 3U)) return not_found();
  if (core) {
    return answer_group("", segments[1], segments.subspan(2), request, *query, context);
  }
  if (grouped) {
    return answer_group(segments[1], segments[2], segments.subspan(3), request, *query, context);
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return refuse(refuse_write({}, *context.state.view()));
  }
  if (segments.size() == 1 && segments[0] == "api") return answer_discovery(true, request, context);
  if (segments.size() == 1 && segments[0] == "apis") {
    return answer_discovery(false, request, context);
  }
  if (segments.size() == 2 && segments[0] == "apis") {
    return serves_group(segments[1]) ? discover_group(segments[1]) : not_found();
  }
  return answer_other(segments, request, *query, context);
}

}  // namespace moored::net::api
