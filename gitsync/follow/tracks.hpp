// The follower's memory: what was last looked at, loaded and said. Pure but for the dice it is
// given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schema/base/random.hpp"
#include "schema/base/time.hpp"
#include "schema/model/flux.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/source_reader.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::git {

// What decides whether a unit must be loaded again.
struct UnitWish {
  ObjectKey key;
  std::int64_t generation = 0;
  std::string path;
  std::string target_namespace;
  std::string ignore;             // of the source: other patterns give other objects
  bool operator==(const UnitWish&) const = default;
};

// One look to be made: everything it needs is copied, so it runs without a lock.
struct Look {
  ObjectKey source_key;
  SourceSpec source;
  GitRepositorySpec spec;
  bool fast_forward_only = false;  // history that was rewritten is an error
  std::int64_t generation = 0;
  bool fetch = true;              // false: only units changed; the mirror has the revision
  std::string known_sha;          // empty: none, or of another reference
  std::string known_revision;
  CommitInfo known_commit;
  std::vector<UnitWish> units;    // to be loaded if the revision is still the known one;
                                  // those the core has not applied are said again at every look
  std::vector<UnitWish> all_units;  // to be loaded if it is another
  std::uint64_t ticket = 0;
};

// What a look found.
struct LookOutcome {
  std::optional<SourceHead> head;
  std::optional<Error> error;     // of the fetch, or broken objects found by a load
  std::optional<std::chrono::seconds> wait;  // that an overloaded server asks for
  Time seen_at{};
  Time fetched_at{};
  struct UnitOutcome {
    UnitWish wish;
    std::optional<LoadedTree> tree;
    std::optional<Error> error;   // the load as a whole failed; tried again
  };
  std::vector<UnitOutcome> units;
};

// A unit as it was last loaded.
struct UnitTrack {
  UnitWish wish;
  std::string sha;                // empty: never loaded
  bool complete = false;
  bool failed = false;            // the load failed as a whole and is tried again
  std::string said_error;         // text of the last such failure posted

  bool was_tried(const UnitWish& next, const std::string& at) const {
    return wish == next && sha == at;
  }
};

// A source as it was last looked at.
struct SourceTrack {
  std::string url;
  std::string reference;
  std::string sha;
  std::string revision;
  CommitInfo commit;
  std::int64_t generation = -1;   // of the last look
  MonoTime next_look{};
  unsigned failures = 0;
  bool said = false;              // a SourceObserved was posted since the start
  std::optional<Error> error;     // of the last look
  bool busy = false;
  bool suspended = false;
  std::uint64_t wanted = 0;       // ticket of the newest request for a look
  std::uint64_t done = 0;         // ticket that the last finished look had
  std::map<std::string, UnitTrack> units;  // by namespace/name
};

// Makes a look: the only part of it that waits for anything.
LookOutcome perform(const Look& look, SourceReader& reader, const Clock& clock);

// Everything the follower remembers, with its decisions as functions of values.
class Tracks {
 public:
  Tracks(bool allow_local, std::vector<std::string> allowed_urls, bool fast_forward_only = false)
      : allow_local_(allow_local),
        allowed_urls_(std::move(allowed_urls)),
        fast_forward_only_(fast_forward_only) {}

  // Brings the tracks in line with the desired sources and gives the looks that are due, at most
  // limit; those are marked busy until settle(). next is set to when the next one is due.
  std::vector<Look> plan(const StateView& view, const Now& now, std::size_t limit, MonoTime& next);
  // Notes an outcome and gives the facts that are news, in the order to post them.
  std::vector<std::pair<Fact, Cause>> settle(const Look& look, LookOutcome outcome,
                                             const Now& now, Random& random);

  // Brings new sources in and takes vanished ones out. False: a newer view was seen before, as
  // happens when two threads each take one and then wait for the lock; nothing is changed.
  bool refresh(const StateView& view);
  // Makes one source (empty: all) due; the ids it was asked of.
  std::vector<std::string> request(const std::string& source, std::uint64_t ticket);
  // The ids of sources that have vanished since the last call and not come back.
  std::vector<std::string> take_vanished() { return std::exchange(vanished_, {}); }
  const SourceTrack* find(const std::string& id) const;

 private:
  bool is_wanted(const UnitWish& wish, const std::vector<Object>& units, const Look& look,
                 const SourceTrack& track, bool asked) const;
  std::optional<Look> plan_one(const StateView& view, const Object& source,
                               const std::vector<Object>& units, const Now& now);
  bool is_allowed(const std::string& url) const;

  bool allow_local_;
  std::vector<std::string> allowed_urls_;
  bool fast_forward_only_;
  std::map<std::string, SourceTrack> tracks_;  // by namespace/name
  std::vector<std::string> vanished_;
  std::int64_t seen_ = 0;                      // resource version of the newest view
};

}  // namespace moored::git
