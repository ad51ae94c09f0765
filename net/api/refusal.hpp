// Writes are refused, and the refusal says where the change belongs: the repository and branch.
#pragma once

#include <string>

#include "net/api/read.hpp"

namespace moored::net::api {

// The 405 of a write. The target may name nothing (an unknown path).
Failure refuse_write(const Target& target, const StateView& view);
// A repository's address without credentials: https://***@host/path.
std::string hide_credentials(const std::string& url);

}  // namespace moored::net::api
