// Access reviews: the questions "may I?", which clients ask before they read.
#pragma once

#include <string_view>

#include "net/api/http.hpp"
#include "net/api/resources.hpp"
#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"

namespace moored::net::api {

// Answers a POST of an access review. Nothing is stored. The body may be JSON or protobuf.
Response answer_review(const Resource& resource, const Request& request);

// The spec of an access review out of Kubernetes' protobuf envelope, as the JSON would say it.
// Errors: invalid (not that envelope, or cut short).
Result<Value> decode_review_spec(std::string_view body, bool rules);

}  // namespace moored::net::api
