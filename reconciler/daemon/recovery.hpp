// What the daemon does when its store was lost: takes over what runs, and holds what must wait.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

struct Parts;

// The pods that an earlier daemon left on this machine, as their pod.json tells them. One that
// cannot be read is left out with a word in the log.
std::vector<Object> read_left_pods(const std::string& run_dir);

// Opens the store of the state directory. One that is damaged, missing or behind what was
// acknowledged is rebuilt from the pods that run; that is the first row of its audit chain.
// Errors: as Store::open.
Status open_surviving_store(Parts& parts);

// Waits until the recorded state is whole again after a loss, so that rules of Services which are
// not known yet stay in the kernel. Returns at once when nothing was lost.
void wait_until_recovered(const StateSource& state, RevisionSignal& signal,
                          const std::string& node_name, const std::stop_token& stop);

}  // namespace moored
