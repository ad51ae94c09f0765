// A source was looked at: its status, artifact and conditions in Flux's words.
#include <utility>

#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/core/reduce_parts.hpp"
#include "schema/base/log.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

constexpr std::string_view kComponent = "source-controller";

// Events of a source, under the name of Flux's controller.
void note(Plan& plan, const Object& object, bool warning, std::string reason,
          std::string message) {
  plan.events.push_back({reference_to(object), warning, std::move(reason), std::move(message),
                         std::string(kComponent)});
}

// The fetch failed: the artifact stays, the reason is shown.
void fail_source(Plan& plan, const Object& object, GitRepository& source, const Error& error,
                 Time now) {
  const std::string reason = error.reason.empty() ? "FetchFailed" : error.reason;
  const std::string message = escape_text(error.text());
  const std::int64_t generation = source.metadata.generation;
  auto& conditions = source.status.conditions;
  bool news = set_condition(
      conditions, make_condition("FetchFailed", "True", reason, message, generation), now);
  news |= set_condition(conditions,
                        make_condition("Ready", "False", reason, message, generation), now);
  if (news) note(plan, object, true, reason, message);
}

// A revision that is new: the first steps of its receipt.
void take_artifact(Plan& plan, const Object& object, GitRepository& source,
                   const SourceObserved& fact) {
  if (source.status.artifact && source.status.artifact->revision == fact.revision) return;
  source.status.artifact =
      SourceArtifact{fact.revision, std::chrono::floor<std::chrono::seconds>(fact.fetched_at)};
  const std::string what = object.key().text();
  plan.receipt.push_back({fact.revision, "seen", fact.seen_at, what});
  plan.receipt.push_back({fact.revision, "fetched", fact.fetched_at, what});
  note(plan, object, false, "NewArtifact",
       "stored artifact for commit '" + escape_text(fact.commit.subject, 200) + "'");
  if (fact.history_rewritten) {
    note(plan, object, true, "HistoryRewritten",
         "the commit known before is no ancestor of " + fact.revision);
  }
}

// Both conditions say the same revision, as Flux words it.
void accept_source(GitRepository& source, Time now) {
  const std::int64_t generation = source.metadata.generation;
  auto& conditions = source.status.conditions;
  const std::string message =
      "stored artifact for revision '" + source.status.artifact->revision + "'";
  drop_condition(conditions, "FetchFailed");
  set_condition(conditions, make_condition("Ready", "True", "Succeeded", message, generation),
                now);
  set_condition(conditions,
                make_condition("ArtifactInStorage", "True", "Succeeded", message, generation),
                now);
}

// An answer that was overtaken by a later one. An artifact from the future says only that the clock
// was set back since: believing it would leave the source behind until that time comes.
bool is_overtaken(const GitRepository& source, const SourceObserved& fact, Time now) {
  const auto& artifact = source.status.artifact;
  return artifact && artifact->last_update_time && artifact->revision != fact.revision &&
         fact.fetched_at < *artifact->last_update_time && *artifact->last_update_time <= now;
}

}  // namespace

Plan reduce_source(const SourceObserved& fact, const PlanContext& context) {
  Plan plan;
  const auto recorded = context.view.find(fact.source);
  if (!recorded || !recorded->is<GitRepository>()) return plan;
  auto source = recorded->as<GitRepository>();
  if (source.spec.suspend) return plan;
  const Time now = stamp(context.now);
  if (fact.error) {
    fail_source(plan, *recorded, source, *fact.error, now);
  } else if (fact.revision.empty() || is_overtaken(source, fact, now)) {
    return plan;
  } else {
    take_artifact(plan, *recorded, source, fact);
    accept_source(source, now);
  }
  source.status.observed_generation = source.metadata.generation;
  if (source.status == recorded->as<GitRepository>().status) return plan;
  plan.status(make_object(std::move(source), recorded->provenance()),
              fact.error               ? "fetch failed"
              : fact.history_rewritten ? "fetched, history rewritten"
                                       : "fetched");
  return plan;
}

}  // namespace moored
