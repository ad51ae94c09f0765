// Steps of a receipt that only the recorded state shows, and what a receipt comes to. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reconciler/core/plan.hpp"
#include "reconciler/store/types.hpp"

namespace moored {

// Revisions that units have applied or tried last, as branch@sha1:….
std::set<std::string> current_revisions(const StateView& view);
// The commit id in a revision.
std::string sha_of_revision(const std::string& revision);

// Steps of applied revisions that have been reached and are not known yet: scheduled (every pod of
// the newest templates is bound to a node) and started (each of them runs a container).
Plan plan_receipts(const StateView& view, const std::map<std::string, std::set<std::string>>& known,
                   Now now);

// The step that carries the commit's author and subject into the receipt; not shown as a step.
inline constexpr std::string_view kCommitStep = "commit";
// Adds it when the plan of the fact brings the first step of a revision.
void add_commit_step(const Fact& fact, Plan& plan);

// What a revision has come to, with the reason (ImagePullBackOff, ProgressDeadlineExceeded,
// UnknownField, …) and the sentence behind it.
struct ReceiptOutcome {
  std::string word;  // ready, failed, refused, held, superseded, progressing
  std::string reason;
  std::string message;
};
// The latest of the steps that end a way decides. current: a unit is at the revision, or tried it.
ReceiptOutcome judge_receipt(const std::vector<ReceiptEntry>& steps, bool current);

// What the units that tried this revision last say of it now, the worst of them; nothing: none
// tried it. It tells more than the steps when a revision fails and heals, or is gone back to.
std::optional<ReceiptOutcome> judge_units(const StateView& view, const std::string& revision);

}  // namespace moored
