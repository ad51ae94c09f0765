// Taking everything down: `moorctl down`, step by step, each safe to repeat.
#pragma once

#include <cstddef>

#include "schema/base/result.hpp"

namespace moored {

struct Parts;

// Removes all workloads from the store, with the operator as the cause; how many pods there were.
// The loop must have stopped. Errors: those of Store::record.
Result<std::size_t> forget_everything(Parts& parts);
// Waits until the agent has stopped every pod and removed its directory.
// Errors: timeout, naming what is left.
Status wait_until_gone(Parts& parts);
// Removes rules, links, cgroups and mounts of this instance. The agent must have stopped.
Status remove_kernel_state(Parts& parts);
// Removes run-dir's contents and, with all, state-dir and log-dir too.
Status remove_directories(Parts& parts, bool all);

}  // namespace moored
