// Node leases: they change every few seconds without news, so they are computed when read.
#pragma once

#include <vector>

#include "schema/ports/state_view.hpp"

namespace moored::net::api {

inline constexpr std::string_view kLeaseNamespace = "kube-node-lease";
// How long a node counts as alive after its last renewal.
inline constexpr std::int32_t kLeaseSeconds = 40;

// One Lease per recorded Node, renewed now; its version and uid come from the Node.
std::vector<Object> node_leases(const StateView& view, Time now);

}  // namespace moored::net::api
