// The cgroup values of a container beside those that were asked for. Pure.
#pragma once

#include <string>
#include <vector>

#include "schema/ports/fact.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// Which cgroup values differ, one record each: field cgroup.memory.max and so on. The cpu request
// is compared as the weight that it becomes.
std::vector<DriftRecord> compare_limits(const std::string& container, const CgroupLimits& desired,
                                        const CgroupLimits& observed);

}  // namespace moored::agent
