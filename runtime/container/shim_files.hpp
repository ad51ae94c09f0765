// What a pod's directory says when its shim cannot be asked.
#pragma once

#include <string>
#include <vector>

#include "runtime/container/plan.hpp"
#include "runtime/shim/order.hpp"
#include "schema/base/result.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

// A report of the agent's words from the shim's.
ContainerReport to_report(const shim::ContainerState& state);

// pod.json of a directory. Errors: not_found, corrupt.
Result<PodRecord> read_pod(const std::string& pod_directory);
// Whether a failed read says that there is nothing, or nothing sound. Any other failure (no
// descriptor is left, the disk fails) says nothing about what was to be read.
bool is_verdict(const Error& error);
// The attempts on disk, by name and number. One that started and has no exit on record ended with
// its shim: exited, 137, SIGKILL. Errors: what cannot be read now, which is no end of anything.
Result<std::vector<ContainerReport>> read_attempts(const std::string& pod_directory);
// The highest attempt of a container on disk, or -1.
int find_latest_attempt(const std::string& pod_directory, const std::string& name);
// Writes down that what still ran when the shim was lost has ended.
Status record_lost(const std::string& pod_directory);
// Whether a living process holds the pod's lock. Errors: it cannot be told now.
Result<bool> is_shim_alive(const std::string& pod_directory);

}  // namespace moored::container
