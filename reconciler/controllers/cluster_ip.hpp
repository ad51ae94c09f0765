// Cluster addresses of Services. Pure: the same taken addresses give the same free one.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "schema/model/object.hpp"

namespace moored {

// A free IPv4 address of the range for a Service, found from the hash of its name onwards. The
// first sixteen addresses and the last one are never given out. Nothing: none is free, or the
// range is not one.
std::optional<std::string> plan_cluster_ip(const std::string& cidr, const ObjectKey& service,
                                           const std::set<std::string>& taken);

}  // namespace moored
