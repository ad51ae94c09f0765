// Follows the GitRepository objects: looks, fetches, loads, and posts what it found as facts.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "schema/base/random.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/source_reader.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

struct GitFollowerOptions {
  bool allow_local = false;                // local paths, file:// and loopback for every source
  std::vector<std::string> allowed_urls;   // local URLs that are allowed nevertheless
  bool fast_forward_only = false;          // refuse rewritten history of every source
  std::size_t max_looks = 4;               // sources looked at at once by run()
};

// What one look at a source came to.
struct LookReport {
  std::string source;    // namespace/name
  std::string revision;  // as known now; empty when there was never one
  std::optional<Error> error;
};

// Reads the desired sources and units from the store and keeps the core told of their revisions
// and trees. SourceObserved is posted when a revision or an error is new, TreeLoaded when a unit's
// (revision, path, generation) is new; the same news is never posted twice.
class GitFollower {
 public:
  // The parts that the follower is given; all outlive it.
  struct Ports {
    SourceReader& reader;
    const StateSource& state;
    RevisionSignal& signal;
    FactSink& facts;
    const Clock& clock;
    Random& random;
  };
  GitFollower(Ports ports, GitFollowerOptions options);
  ~GitFollower();

  // Makes every look that is due, on this thread, and posts the facts. Returns the time of the
  // next one. For the simulation; not together with run().
  MonoTime step(const Now& now);

  // Follows until stop is requested, with up to max_looks looks at once, so that a silent server
  // delays no other source. Looks under way are waited for: stop the reader first.
  void run(std::stop_token stop);

  // Makes a source due now (namespace/name; empty: all of them). Returns at once. Thread safe.
  void request_look(const std::string& source = {});

  // The same, and waits until looks that began after this call are over and their facts posted.
  // Needs run() on another thread. Thread safe.
  // Errors: not_found (no such source), timeout.
  Result<std::vector<LookReport>> sync_now(const std::string& source,
                                           std::chrono::milliseconds timeout);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moored
