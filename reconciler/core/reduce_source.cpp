// A source was looked at: its status, artifact and conditions in Flux's words.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

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

// How Flux calls what we have a finer word for. Source: source-controller, condition_types.go and
// gitrepository_types.go of source.toolkit.fluxcd.io/v1.
struct FluxWords {
  std::string_view ours;
  std::string_view type;    // of the condition that is true
  std::string_view reason;
  bool stalled;             // looking again will not help: somebody has to change something
};
constexpr std::string_view kFetchFailed = "FetchFailed";
constexpr std::string_view kStorageFailed = "StorageOperationFailed";
constexpr FluxWords kOtherwise{"", kFetchFailed, "GitOperationFailed", false};
constexpr std::array<FluxWords, 13> kFluxWords{
    {{"URLNotAllowed", kFetchFailed, "URLInvalid", true},
     {"InvalidValue", kFetchFailed, "GitOperationFailed", true},
     {"AmbiguousReference", kFetchFailed, "GitOperationFailed", true},
     {"RedirectRefused", kFetchFailed, "GitOperationFailed", true},
     {"HostKeyMismatch", kFetchFailed, "GitOperationFailed", true},
     {"HistoryRewritten", kFetchFailed, "GitOperationFailed", true},
     {"AuthFailed", kFetchFailed, "AuthenticationFailed", false},
     {"SecretNotFound", kFetchFailed, "AuthenticationFailed", false},
     {"SecretExposed", kFetchFailed, "AuthenticationFailed", true},
     {"CredentialsRefused", kFetchFailed, "AuthenticationFailed", true},
     {"DiskBudget", kStorageFailed, "ArchiveOperationFailed", false},
     {"DiskFull", kStorageFailed, "ArchiveOperationFailed", false},
     {"Denied", kStorageFailed, "DirectoryCreationFailed", false}}};

const FluxWords& words_for(std::string_view ours) {
  const auto* found = std::find_if(kFluxWords.begin(), kFluxWords.end(),
                                   [&](const FluxWords& row) { return row.ours == ours; });
  return found == kFluxWords.end() ? kOtherwise : *found;
}

// Sets the conditions of one look and takes away those that no longer hold. True: there is news.
bool set_conditions(std::vector<Condition>& conditions, std::vector<Condition> wanted, Time now) {
  for (const auto type : {kFetchFailed, kStorageFailed, std::string_view("Stalled"),
                          std::string_view("Reconciling")}) {
    const bool holds = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const Condition& row) { return row.type == type; });
    if (!holds) drop_condition(conditions, type);
  }
  bool news = false;
  for (auto& condition : wanted) news |= set_condition(conditions, std::move(condition), now);
  return news;
}

// The fetch failed: the artifact stays, the reason is shown in Flux's word, with ours before the
// sentence.
void fail_source(Plan& plan, const Object& object, GitRepository& source, const Error& error,
                 Time now) {
  const std::string ours = error.reason.empty() ? "FetchFailed" : error.reason;
  const FluxWords& words = words_for(ours);
  const std::string reason(words.reason);
  const std::string message = ours + ": " + escape_text(error.text());
  const auto condition = [&](std::string_view type, std::string_view status,
                             std::string_view why) {
    return make_condition(std::string(type), std::string(status), std::string(why), message,
                          source.metadata.generation);
  };
  const bool news = set_conditions(
      source.status.conditions,
      {condition(words.type, "True", reason), condition("Ready", "False", reason),
       words.stalled ? condition("Stalled", "True", reason)
                     : condition("Reconciling", "True", "ProgressingWithRetry")},
      now);
  if (news) note(plan, object, true, reason, message);
}

// The revision that a source is at; empty: none yet.
std::string revision_before(const GitRepository& source) {
  return source.status.artifact ? source.status.artifact->revision : std::string();
}

// A revision that is new: the first steps of its receipt.
void take_artifact(Plan& plan, const Object& object, GitRepository& source,
                   const SourceObserved& fact) {
  const std::string before = revision_before(source);
  if (before == fact.revision) return;
  source.status.artifact =
      SourceArtifact{fact.revision, std::chrono::floor<std::chrono::seconds>(fact.fetched_at)};
  const std::string what = object.key().text();
  plan.receipt.push_back({fact.revision, "seen", fact.seen_at, what});
  plan.receipt.push_back({fact.revision, "fetched", fact.fetched_at, what});
  note(plan, object, false, "NewArtifact",
       "stored artifact for commit '" + escape_text(fact.commit.subject, 200) + "'");
  if (fact.history_rewritten) {
    note(plan, object, true, "HistoryRewritten",
         "the history was rewritten: " + before + " is no ancestor of " + fact.revision);
  }
}

// Both conditions say the same revision, as Flux words it.
void accept_source(GitRepository& source, Time now) {
  const std::string message =
      "stored artifact for revision '" + source.status.artifact->revision + "'";
  const auto succeeded = [&](std::string type) {
    return make_condition(std::move(type), "True", "Succeeded", message,
                          source.metadata.generation);
  };
  set_conditions(source.status.conditions, {succeeded("Ready"), succeeded("ArtifactInStorage")},
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
  const std::string before = revision_before(source);
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
              : fact.history_rewritten ? "HistoryRewritten from " + before + " to " + fact.revision
                                       : "fetched");
  return plan;
}

}  // namespace moored
