// The later steps of a receipt, read off the recorded state. Pure.
#pragma once

#include <map>
#include <set>
#include <string>

#include "reconciler/core/plan.hpp"

namespace moored {

// Names of the steps written here; those before (seen … committed) come with the facts.
inline constexpr std::string_view kStepScheduled = "scheduled";  // every pod has a node
inline constexpr std::string_view kStepStarted = "started";      // every pod runs something
inline constexpr std::string_view kStepReady = "ready";          // every object is ready
inline constexpr std::string_view kStepFailed = "failed";        // detail: "Reason: message"

// Revisions that units have applied or tried last, as branch@sha1:….
std::set<std::string> current_revisions(const StateView& view);
// The commit id in a revision.
std::string sha_of_revision(const std::string& revision);

// Steps that have been reached and are not known yet. A revision that was refused, or whose
// objects cannot become ready by themselves, has failed; it may become ready later.
Plan plan_receipts(const StateView& view,
                   const std::map<std::string, std::set<std::string>>& known, Now now);

// The objects that a unit (namespace/name) declares.
std::vector<Object> objects_of_unit(const StateView& view, const std::string& unit);

}  // namespace moored
