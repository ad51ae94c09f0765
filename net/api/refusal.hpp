// Writes are refused, and the refusal says where the change belongs: the repository and branch.
#pragma once

#include "net/api/read.hpp"

namespace moored::net::api {

// The 405 of a write. The target may name nothing (an unknown path).
Failure refuse_write(const Target& target, const StateView& view);

}  // namespace moored::net::api
