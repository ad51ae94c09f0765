// Whether an object is what it is meant to be. Pure.
#pragma once

#include <string>

#include "schema/ports/state_view.hpp"

namespace moored {

struct Readiness {
  enum class State { ready, progressing, failed } state = State::ready;
  std::string reason;   // ProgressDeadlineExceeded, ImagePullBackOff, …
  std::string message;

  bool ready() const { return state == State::ready; }
};

// The readiness of one object with what it owns. Kinds that only hold values are always ready.
// A waiting container that cannot start by itself fails its workload before the deadline does.
Readiness readiness_of(const Object& object, const StateView& view);

// How far the pods of a workload are on their way: all of the newest template exist and are bound
// to a node; all of them have a container that runs. Objects without pods are both.
struct PodProgress {
  bool scheduled = true;
  bool started = true;
};
PodProgress pod_progress(const Object& object, const StateView& view);

}  // namespace moored
