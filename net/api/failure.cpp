#include "net/api/failure.hpp"

#include <utility>

#include "net/api/json_text.hpp"

namespace moored::net::api {
namespace {

bool has_details(const Failure& failure) {
  return !failure.name.empty() || !failure.resource.empty() || !failure.cause.empty() ||
         failure.retry_after > 0;
}

void append_details(std::string& out, const Failure& failure) {
  append_name(out, "details");
  out.push_back('{');
  if (!failure.name.empty()) append_member(out, "name", failure.name);
  if (!failure.group.empty()) append_member(out, "group", failure.group);
  if (!failure.resource.empty()) append_member(out, "kind", failure.resource);
  if (!failure.cause.empty()) {
    append_name(out, "causes");
    out += "[{";
    append_member(out, "reason", failure.cause);
    append_member(out, "message", failure.message);
    out += "}]";
  }
  if (failure.retry_after > 0) {
    append_name(out, "retryAfterSeconds");
    out += std::to_string(failure.retry_after);
  }
  out.push_back('}');
}

}  // namespace

std::string status_json(const Failure& failure) {
  std::string out = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure")";
  append_member(out, "message", failure.message);
  append_member(out, "reason", failure.reason);
  if (has_details(failure)) append_details(out, failure);
  append_name(out, "code");
  out += std::to_string(failure.code);
  out.push_back('}');
  return out;
}

Response refuse(const Failure& failure) {
  Response response = make_json(status_json(failure), failure.code);
  if (failure.code == 405) response.headers.push_back({"Allow", "GET, HEAD"});
  if (failure.retry_after > 0) {
    response.headers.push_back({"Retry-After", std::to_string(failure.retry_after)});
  }
  return response;
}

Failure bad_request(std::string message) {
  Failure failure;
  failure.code = 400;
  failure.reason = "BadRequest";
  failure.message = std::move(message);
  return failure;
}

Failure no_such_resource() {
  Failure failure;
  failure.code = 404;
  failure.reason = "NotFound";
  failure.message = "the server could not find the requested resource";
  return failure;
}

Failure expired(std::string message) {
  Failure failure;
  failure.code = 410;
  failure.reason = "Expired";
  failure.message = std::move(message);
  return failure;
}

Failure too_new(std::int64_t asked, std::int64_t current) {
  Failure failure;
  failure.code = 504;
  failure.reason = "Timeout";
  failure.message = "Too large resource version: " + std::to_string(asked) +
                    ", current: " + std::to_string(current);
  failure.cause = "ResourceVersionTooLarge";
  failure.retry_after = 1;
  return failure;
}

Failure failure_of(const Error& error) {
  if (error.reason == "Expired") return expired(error.message);
  if (error.code == Code::invalid) return bad_request(error.message);
  const auto& row = traits(error.code);
  Failure failure;
  failure.code = row.http_status;
  failure.reason = error.reason.empty() ? std::string(row.reason) : error.reason;
  failure.message = error.message;
  if (failure.code == 429) failure.retry_after = 1;
  return failure;
}

}  // namespace moored::net::api
