// The decisions of the follower; no thread, no clock and no I/O but in perform().
#include "gitsync/follow/tracks.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "gitsync/follow/schedule.hpp"
#include "gitsync/repo/url.hpp"
#include "schema/model/core.hpp"

namespace moored::git {
namespace {

// Flux's own default; the second bounds what a manifest can ask for, because a look holds a thread.
constexpr std::chrono::milliseconds kDefaultTimeout{60'000};
constexpr std::chrono::milliseconds kLongestTimeout{120'000};

// namespace/name: how sources and units are called everywhere outside.
std::string id_of(const ObjectKey& key) { return key.namespace_name + '/' + key.name; }

// Units may follow a source of another namespace; without one it is their own.
bool refers_to(const Object& unit, const ObjectKey& source) {
  const auto& reference = unit.as<Kustomization>().spec.source_ref;
  const std::string& space = reference.namespace_name.empty() ? unit.meta().namespace_name
                                                              : reference.namespace_name;
  return reference.kind == source.kind->kind && reference.name == source.name &&
         space == source.namespace_name;
}

// Suspended units and those that are going away keep what they have.
std::vector<UnitWish> wishes_of(const std::vector<Object>& units, const ObjectKey& source,
                                const std::string& ignore) {
  std::vector<UnitWish> wishes;
  for (const auto& unit : units) {
    const auto& spec = unit.as<Kustomization>().spec;
    if (spec.suspend || unit.meta().deletion_timestamp || !refers_to(unit, source)) continue;
    wishes.push_back({unit.key(), unit.meta().generation, spec.path, spec.target_namespace,
                      ignore});
  }
  return wishes;
}

// Flux's default is a minute; longer than two is never waited.
std::chrono::milliseconds timeout_of(const GitRepositorySpec& spec) {
  const auto written = parse_duration(spec.timeout);
  if (!written) return kDefaultTimeout;
  return std::min(std::chrono::ceil<std::chrono::milliseconds>(*written), kLongestTimeout);
}

// News of a commit are brought about by its author.
Cause cause_of(const CommitInfo& commit, const std::string& revision) {
  return {Cause::Actor::commit, commit.author, revision};
}

// The objects are passed on as they were read: unit and revision are put on what is recorded, so
// that those which a commit leaves alone cost nothing.
Fact tree_fact(const Look& look, const UnitWish& wish, const std::string& revision,
               const CommitInfo& commit, LoadedTree tree) {
  TreeLoaded fact;
  fact.source = look.source_key;
  fact.unit = wish.key;
  fact.revision = revision;
  fact.commit = commit;
  fact.complete = tree.complete;
  fact.diagnostics = std::move(tree.diagnostics);
  fact.rendered_at = tree.rendered_at;
  fact.validated_at = tree.validated_at;
  fact.objects = std::move(tree.objects);
  return fact;
}

// The commit that was taken stays the measure, so the error stays until the branch comes back to it
// or the operator allows the new history.
Error rewritten_error(const Look& look, const CommitInfo& commit) {
  return Error{Code::conflict,
               "the history was rewritten: " + look.known_sha + " is no ancestor of " + commit.sha +
                   ", which only follows by fast-forward",
               "HistoryRewritten", {},
               "merge " + look.known_sha.substr(0, 12) + " into it, or allow it: " +
                   std::string(kHistoryAnnotation) + "=follow or sources.history"};
}

}  // namespace

// The only part that takes time, hence called without the lock. A failed fetch ends the look: the
// units keep what they have instead of being loaded from a commit nobody confirmed.
LookOutcome perform(const Look& look, SourceReader& reader, const Clock& clock) {
  LookOutcome outcome;
  outcome.seen_at = clock.now().wall;
  std::string sha = look.known_sha;
  if (look.fetch) {
    // Judged here already: a URL that is not allowed starts no process and no connection.
    auto url = check_source_url(look.source.url, look.source.allow_local);
    auto head = url ? reader.fetch(look.source, look.known_sha)
                    : FetchAnswer(Unexpected(std::move(url).error()));
    outcome.wait = head.wait;
    if (head && head->history_rewritten && look.fast_forward_only) {
      outcome.error = rewritten_error(look, head->commit);
    } else if (head) {
      sha = head->commit.sha;
      outcome.head = std::move(*head);
    } else {
      outcome.error = std::move(head).error();
    }
  }
  outcome.fetched_at = clock.now().wall;
  if (outcome.error) return outcome;
  // A new commit concerns every unit; without one only those that have something outstanding.
  for (const auto& wish : sha == look.known_sha ? look.units : look.all_units) {
    LookOutcome::UnitOutcome unit{wish, {}, {}};
    auto tree = reader.load(look.source, {sha, wish.path, wish.target_namespace});
    if (tree) {
      unit.tree = *std::move(tree);
    } else {
      unit.error = std::move(tree).error();
      outcome.error = unit.error;
    }
    outcome.units.push_back(std::move(unit));
  }
  return outcome;
}

// What the store knows of an earlier life is the measure for rewritten history.
bool Tracks::refresh(const StateView& view) {
  if (view.resource_version() < seen_) return false;
  seen_ = view.resource_version();
  std::set<std::string> desired;
  for (const auto& source : view.list(kind_of<GitRepository>())) {
    const std::string id = id_of(source.key());
    desired.insert(id);
    if (tracks_.find(id) != tracks_.end()) continue;
    vanished_.erase(std::remove(vanished_.begin(), vanished_.end(), id), vanished_.end());
    SourceTrack track;
    const auto& repository = source.as<GitRepository>();
    track.url = repository.spec.url;
    track.reference = reference_of(repository.spec);
    if (repository.status.artifact) track.sha = sha_of(repository.status.artifact->revision);
    tracks_.emplace(id, std::move(track));
  }
  for (auto track = tracks_.begin(); track != tracks_.end();) {
    const bool gone = desired.count(track->first) == 0 && !track->second.busy;
    if (gone) vanished_.push_back(track->first);
    track = gone ? tracks_.erase(track) : std::next(track);
  }
  return true;
}

// Sources come in key order; each due one is marked busy and handed out once.
std::vector<Look> Tracks::plan(const StateView& view, const Now& now, std::size_t limit,
                               MonoTime& next) {
  std::vector<Look> looks;
  next = now.mono;
  if (!refresh(view)) return looks;  // at once again, with another view
  next += std::chrono::hours(1);
  const auto units = view.list(kind_of<Kustomization>());
  for (const auto& source : view.list(kind_of<GitRepository>())) {
    if (looks.size() == limit) break;
    auto look = plan_one(view, source, units, now);
    const SourceTrack& track = tracks_.at(id_of(source.key()));
    if (!track.busy && !track.suspended) next = std::min(next, track.next_look);
    if (look) looks.push_back(*std::move(look));
  }
  return looks;
}

// The URL of the command line is allowed by its exact text and no other.
bool Tracks::is_allowed(const std::string& url) const {
  return allow_local_ ||
         std::find(allowed_urls_.begin(), allowed_urls_.end(), url) != allowed_urls_.end();
}

namespace {

// True when the core has seen this revision of the unit and did not take it: deletions wait for a
// confirmation, or an object belonged to another unit. What stood in the way may be gone.
bool is_kept_back(const UnitWish& wish, const std::vector<Object>& units,
                  const std::string& revision) {
  const auto found = std::find_if(units.begin(), units.end(),
                                  [&](const Object& unit) { return unit.key() == wish.key; });
  if (found == units.end() || revision.empty()) return false;
  const auto& status = found->as<Kustomization>().status;
  return status.last_attempted_revision == revision && status.last_applied_revision != revision;
}

}  // namespace

// A failed load is tried again with the next fetch; one that was read but is incomplete is the
// author's fault and comes again with a new commit or on request.
bool Tracks::is_wanted(const UnitWish& wish, const std::vector<Object>& units, const Look& look,
                       const SourceTrack& track, bool asked) const {
  const auto found = track.units.find(id_of(wish.key));
  if (found == track.units.end()) return true;
  const UnitTrack& unit = found->second;
  if (!unit.was_tried(wish, look.known_sha)) return true;
  if (!unit.complete) return asked || (unit.failed && look.fetch);
  return look.fetch && is_kept_back(wish, units, track.revision);
}

namespace {

// The Secret of the same namespace, as the store has it; what is on disk goes before and is read
// by the look.
std::optional<SourceSecret> find_secret(const StateView& view, const ObjectKey& source,
                                        const std::optional<LocalObjectReference>& reference) {
  if (!reference) return std::nullopt;
  SourceSecret secret{reference->name, std::nullopt};
  const auto found = view.find({&kind_of<Secret>(), source.namespace_name, reference->name});
  if (found) secret.values = found->as<Secret>().data;
  return secret;
}

// Any other word than follow is the stricter one: a slip must not open what was to be closed.
bool is_fast_forward_only(const ObjectMeta& meta) {
  const auto found = meta.annotations.find(std::string(kHistoryAnnotation));
  return found != meta.annotations.end() && found->second != "follow";
}

}  // namespace

// Level-triggered: looks at what is wanted and what was last done, never at what has changed.
std::optional<Look> Tracks::plan_one(const StateView& view, const Object& source,
                                     const std::vector<Object>& units, const Now& now) {
  SourceTrack& track = tracks_.at(id_of(source.key()));
  const auto& spec = source.as<GitRepository>().spec;
  if (track.busy) return std::nullopt;
  track.suspended = spec.suspend;
  if (spec.suspend) {
    track.done = track.wanted;
    return std::nullopt;
  }
  const bool asked = track.wanted > track.done;
  // Another remote or reference: its commits say nothing about the history of the old one.
  const bool other = track.url != spec.url || track.reference != reference_of(spec);
  Look look;
  look.fetch = asked || now.mono >= track.next_look || track.generation != source.meta().generation;
  look.known_sha = other ? std::string() : track.sha;
  look.all_units = wishes_of(units, source.key(), spec.ignore);
  for (const auto& wish : look.all_units) {
    if (is_wanted(wish, units, look, track, asked)) look.units.push_back(wish);
  }
  // Without a look of this process the mirror is not known to have the revision; and what another
  // remote or reference had says nothing of this one.
  if (!look.fetch && (look.units.empty() || track.revision.empty() || other)) return std::nullopt;
  look.source_key = source.key();
  look.source.id = id_of(source.key());
  look.source.url = spec.url;
  look.source.reference = reference_of(spec);
  look.source.allow_local = is_allowed(spec.url);
  look.source.timeout = timeout_of(spec);
  look.source.secret = find_secret(view, source.key(), spec.secret_ref);
  look.source.proxy_secret = find_secret(view, source.key(), spec.proxy_secret_ref);
  look.source.ignore = spec.ignore;
  look.spec = spec;
  look.fast_forward_only = fast_forward_only_ || is_fast_forward_only(source.meta());
  look.generation = source.meta().generation;
  look.known_revision = track.revision;
  look.known_commit = track.commit;
  look.ticket = track.wanted;
  track.busy = true;
  return look;
}

namespace {

// Where the source stands after a look: what was found, or else what was known.
struct Standing {
  CommitInfo commit;
  std::string revision;
};

// A look for units alone has no head and speaks of the revision that was known before.
Standing standing_of(const Look& look, const LookOutcome& outcome) {
  if (!outcome.head) return {look.known_commit, look.known_revision};
  return {outcome.head->commit, revision_of(look.spec, outcome.head->commit.sha)};
}

// True when the look has something to say that was not said by the last fact.
bool is_news(const Look& look, const SourceTrack& track, const LookOutcome& outcome,
             const Standing& standing) {
  if (!track.said || track.generation != look.generation) return true;
  if (track.error.has_value() != outcome.error.has_value()) return true;
  if (outcome.error) {
    return track.error->reason != outcome.error->reason ||
           track.error->text() != outcome.error->text();
  }
  return standing.revision != track.revision;
}

// A failure has no author: its cause is the follower, with the reason in place of a revision.
std::pair<Fact, Cause> observed_fact(const Look& look, const LookOutcome& outcome,
                                     const Standing& standing) {
  SourceObserved observed;
  observed.source = look.source_key;
  observed.seen_at = outcome.seen_at;
  observed.fetched_at = outcome.fetched_at;
  observed.error = outcome.error;
  if (outcome.error) {
    return {observed, Cause{Cause::Actor::controller, "gitsync", outcome.error->reason}};
  }
  observed.revision = standing.revision;
  observed.commit = standing.commit;
  observed.history_rewritten = outcome.head && outcome.head->history_rewritten;
  return {observed, cause_of(standing.commit, standing.revision)};
}

// Notes one load and adds its fact, unless it is the same failure again.
void settle_unit(const Look& look, LookOutcome::UnitOutcome& unit, const Standing& standing,
                 Time when, UnitTrack& memory, std::vector<std::pair<Fact, Cause>>& facts) {
  const std::string said = std::move(memory.said_error);
  memory.wish = unit.wish;
  memory.sha = standing.commit.sha;
  memory.failed = unit.error.has_value();
  memory.complete = unit.tree && unit.tree->complete;
  memory.said_error = unit.error ? memory.sha + ' ' + unit.error->reason + unit.error->text() : "";
  if (unit.error && memory.said_error == said) return;
  LoadedTree tree;
  if (unit.tree) {
    tree = *std::move(unit.tree);
  } else {
    tree.diagnostics.add_error(*unit.error);
    tree.rendered_at = tree.validated_at = when;
  }
  facts.emplace_back(
      tree_fact(look, unit.wish, standing.revision, standing.commit, std::move(tree)),
      cause_of(standing.commit, standing.revision));
}

}  // namespace

// The source's fact goes before those of its units, so that the core knows the commit when its
// trees arrive. The track is moved on afterwards, since what is news is judged against the old one.
std::vector<std::pair<Fact, Cause>> Tracks::settle(const Look& look, LookOutcome outcome,
                                                   const Now& now, Random& random) {
  std::vector<std::pair<Fact, Cause>> facts;
  const auto found = tracks_.find(look.source.id);
  if (found == tracks_.end()) return facts;
  SourceTrack& track = found->second;
  const Standing standing = standing_of(look, outcome);
  if (is_news(look, track, outcome, standing)) {
    facts.push_back(observed_fact(look, outcome, standing));
    track.said = true;
  }
  for (auto& unit : outcome.units) {
    UnitTrack& memory = track.units[id_of(unit.wish.key)];
    settle_unit(look, unit, standing, outcome.fetched_at, memory, facts);
    // The source's fact had the error of another unit in place of the revision, and a tree of a
    // revision that the core was not told is left out there: it is said again.
    if (outcome.error && memory.complete) {
      memory.complete = false;
      memory.failed = true;
    }
  }
  if (outcome.head) {
    track.url = look.source.url;
    track.reference = look.source.reference;
    track.sha = standing.commit.sha;
    track.revision = standing.revision;
    track.commit = standing.commit;
  }
  // The back-off counts looks, whatever they failed of.
  track.failures = outcome.error ? track.failures + 1 : 0;
  track.error = std::move(outcome.error);
  track.generation = look.generation;
  track.busy = false;
  track.done = look.ticket;
  // A look for units alone leaves the schedule of the source as it is, unless it failed.
  if (look.fetch || track.error) {
    track.next_look = now.mono + delay_after(interval_of(look.spec), track.failures,
                                             track.error ? &*track.error : nullptr,
                                             outcome.wait, random);
  }
  return facts;
}

// Only raises the ticket; the next plan finds the source due.
std::vector<std::string> Tracks::request(const std::string& source, std::uint64_t ticket) {
  std::vector<std::string> asked;
  for (auto& [id, track] : tracks_) {
    if (!source.empty() && id != source) continue;
    track.wanted = ticket;
    asked.push_back(id);
  }
  return asked;
}

const SourceTrack* Tracks::find(const std::string& id) const {
  const auto found = tracks_.find(id);
  return found == tracks_.end() ? nullptr : &found->second;
}

}  // namespace moored::git
