// Notes on objects become Kubernetes Events; repetitions raise their count. Pure.
#pragma once

#include <string>

#include "reconciler/core/plan.hpp"

namespace moored::store {

// Events are dropped when they were not repeated for this long.
inline constexpr Duration kEventLife = std::chrono::hours(1);

// The key of the Event that a note belongs to: the same for the same object, reason, message,
// component and type. Events of cluster-scoped objects live in namespace default.
ObjectKey event_key(const EventNote& note);
// The Event of a note that was seen count times since existing was written (nullptr: never).
Object make_event(const EventNote& note, const Object* existing, std::int32_t count, Now now);
// Removes every Event whose time has come.
Plan plan_event_expiry(const StateView& view, Now now);

}  // namespace moored::store
