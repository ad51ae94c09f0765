// OpenAPI v2 for older clients, in the one encoding that they ask for.
#pragma once

#include <string>
#include <string_view>

#include "net/api/http.hpp"

namespace moored::net::api {

// What kubectl up to 1.28 asks for, and nothing else can read.
inline constexpr std::string_view kOpenapiV2Type =
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
// The same in the answer, where Go refuses to read an @.
inline constexpr std::string_view kOpenapiV2ReplyType =
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

// Definitions of all kinds that are served, made from moored's own tables: for `kubectl explain`
// and the checks before a write.
// Source: github.com/google/gnostic, openapiv2/OpenAPIv2.proto.
Response openapi_v2_document();

}  // namespace moored::net::api
