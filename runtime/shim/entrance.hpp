// How a process enters version 1 cgroups: by itself, thread by thread.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// Opens the tasks files of groups, for enter_group. Errors: not_found, denied.
Result<std::vector<UniqueFd>> open_entrances(const std::vector<std::string>& tasks_files);

// Moves the calling thread, which must be the only one of its process, into the group.
// A thread that moves itself needs no lock over all processes of the machine; moving another
// process waits until every processor has passed a quiet state, some ten milliseconds a group.
// Errors: exhausted, denied, not_found (the group is gone).
// Source: cgroup_procs_write_start() of kernel 5.15 and later.
Status enter_group(int entrance);

}  // namespace moored::shim
