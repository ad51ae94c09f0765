// What the server serves, told in the old form and in the aggregated one.
#pragma once

#include <string>
#include <string_view>

#include "net/api/accept.hpp"
#include "net/api/http.hpp"

namespace moored::net::api {

// GET /api and /apis in the form chosen: APIVersions or APIGroupList, or APIGroupDiscoveryList.
Response discover_core(const Choice& choice, const std::string& address);
Response discover_groups(const Choice& choice);
// GET /apis/GROUP: APIGroup. The group must be served.
Response discover_group(std::string_view group);
// GET /api/v1 and /apis/GROUP/VERSION: APIResourceList. The version must be served.
Response discover_version(std::string_view group, std::string_view version);
// GET /version: the level of the API that is implemented, and moored's own version.
Response discover_release();

}  // namespace moored::net::api
