// OpenAPI v3, made from the schema tables: for `kubectl explain`, and so that clients go straight
// to a write and show moored's own refusal instead of failing on a missing document.
#pragma once

#include <string_view>

#include "net/api/http.hpp"

namespace moored::net::api {

// GET /openapi/v3: the documents there are, each with a hash that changes with its content.
Response openapi_index();
// GET /openapi/v3/api/v1 and /openapi/v3/apis/GROUP/VERSION. The version must be served.
Response openapi_document(std::string_view group, std::string_view version);

}  // namespace moored::net::api
