// Git as the follower sees it: a seam of the simulation. The real one speaks to moored-git.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/base/result.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/commit.hpp"

namespace moored {

// A Secret that a source refers to, with its values if the store has it.
struct SourceSecret {
  std::string name;  // in the namespace of the source
  std::optional<std::map<std::string, std::string>> values;
};

// Which remote and which point of it.
struct SourceSpec {
  std::string id;         // namespace/name of the GitRepository
  std::string url;
  std::string reference;  // full reference name (refs/heads/main) or 40 hex digits of a commit
  bool allow_local = false;  // local paths, file:// and loopback are allowed for this source
  std::chrono::milliseconds timeout{120'000};  // of one fetch in total; at most 120 s
  std::optional<SourceSecret> secret;
  std::optional<SourceSecret> proxy_secret;
  std::string ignore;        // patterns as in .gitignore: files that are not there for a load
};

// What a look at the remote found.
struct SourceHead {
  CommitInfo commit;
  bool changed = false;            // differs from the commit given as known
  bool history_rewritten = false;  // the known commit is no ancestor of the new one
};

// A head, or why there is none.
struct [[nodiscard]] FetchAnswer : Result<SourceHead> {
  using Result<SourceHead>::Result;
  FetchAnswer(Result<SourceHead> result) : Result<SourceHead>(std::move(result)) {}

  // Set when the server is overloaded: how long it asks to be left alone; 0: it names no time.
  std::optional<std::chrono::seconds> wait;
};

// Which directory of which commit, and how its objects are put into namespaces.
struct LoadRequest {
  std::string sha;               // 40 hex digits; the mirror has it
  std::string path;              // below the root of the tree, such as ./deploy; empty: the root
  std::string target_namespace;  // for every namespaced object; empty: as written, else default
};

// What reading one directory of one commit gave.
struct LoadedTree {
  bool complete = false;
  std::vector<Object> objects;     // with provenance
  Diagnostics diagnostics;
  std::size_t blobs_read = 0;      // parsed now; the rest came from the cache
  std::size_t blobs_total = 0;
  Time rendered_at{};
  Time validated_at{};
};

class SourceReader {
 public:
  virtual ~SourceReader() = default;
  // Looks at the remote and fetches what is new into the mirror.
  virtual FetchAnswer fetch(const SourceSpec& source, const std::string& known_sha) = 0;
  // Reads, parses, validates the manifests below path at a commit of the mirror.
  // Manifests that are wrong are diagnostics of the tree. Errors: not_found (PathNotFound),
  // corrupt (ObjectMissing, ObjectCorrupt), unavailable and timeout (the worker was lost).
  virtual Result<LoadedTree> load(const SourceSpec& source, const LoadRequest& request) = 0;
  // Lets go of what is kept of a source (namespace/name) that is no longer desired. A call for it
  // that is under way is waited for; a later one begins anew. By default nothing is kept.
  virtual void forget(const std::string& id) { static_cast<void>(id); }
};

}  // namespace moored
