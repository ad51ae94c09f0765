// Which node a pod goes to: filters with Kubernetes' words for what does not fit. Pure.
#pragma once

#include <string>

#include "schema/model/pod.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// Where a pod can go, or why it cannot.
struct Placement {
  std::string node_name;  // empty: nowhere
  std::string message;    // 0/1 nodes are available: 1 Insufficient memory.
};

// Judges every node: schedulable, selected, free host ports, and cpu, memory and pods left beside
// what the pods bound there request. Of several that fit: the one with the most memory left.
Placement place(const Pod& pod, const StateView& view);

}  // namespace moored
