// One remote repository as the node sees it: libgit2 behind one class.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gitsync/repo/access.hpp"
#include "gitsync/repo/commit.hpp"
#include "gitsync/repo/object_source.hpp"
#include "gitsync/repo/url.hpp"

namespace moored::git {

struct MirrorOptions {
  std::string directory;                         // of the bare mirror; made when missing
  std::size_t advertisement_limit = 32U << 20U;  // bytes
  std::size_t pack_limit = 512U << 20U;          // bytes of one fetch
  std::size_t max_packs = 100;                   // more are joined into one, in a fresh mirror
  std::size_t space = 512U << 20U;               // bytes on disk that the mirror may take in all
  std::function<void()> progress;                // a sign of life while bytes come; may be empty
  ServerAccess access;                           // who we are for the server, and the way to it
};

// What a look at the remote found.
struct Head {
  CommitHeader commit;
  bool changed = false;            // differs from the commit given as known
  bool history_rewritten = false;  // the known commit is no ancestor of the new one
};

// A bare mirror below state-dir, or a local repository read in place: that one is already on this
// disk, so nothing of it is copied. Never has a work tree, never runs anything, never reads a
// configuration of the machine. One thread at a time.
class Mirror final : public ObjectSource {
 public:
  // Opens or makes the mirror of a URL; a directory that is no repository any more is replaced.
  // Errors: not_found (a local path without a repository), denied, exhausted, internal.
  static Result<std::unique_ptr<Mirror>> open(const SourceUrl& url, MirrorOptions options);
  ~Mirror() override;

  // Sets who we are from the next fetch on; connections made for somebody else are closed.
  void set_access(const ServerAccess& access);

  // Sets how many bytes the mirror may take on disk from the next fetch on.
  void set_space(std::size_t bytes);

  // Looks at one reference (full name, HEAD, or 7 to 40 hex digits of a commit) and fetches only
  // when it points elsewhere than the mirror. known_sha may be empty.
  // Errors: not_found (RefNotFound), invalid (InvalidValue, NotACommit, AmbiguousReference),
  // corrupt (PackCorrupt, ObjectMissing), exhausted (AdvertisementLimit, DiskBudget), denied
  // (AuthFailed, TlsRefused, HostKeyMismatch, RedirectRefused, URLNotAllowed), unavailable
  // (FetchHTTP, FetchFailed), timeout (FetchTimeout).
  Result<Head> fetch(const std::string& reference, const std::string& known_sha);

  // What the server asked for when the last fetch failed for overload: how long it wants to be left
  // alone; 0: it names no time. Nothing after any other fetch.
  std::optional<std::chrono::seconds> asked_wait() const;

  Result<CommitHeader> read_commit(const ObjectId& id);
  Result<std::string> read_tree(const ObjectId& id) override;
  Result<std::size_t> read_blob_size(const ObjectId& id) override;
  Result<std::string> read_blob(const ObjectId& id) override;

  // True when the objects are this node's own copy, which can be thrown away and fetched again.
  bool is_copy() const;

 private:
  struct State;
  explicit Mirror(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Removes a mirror that holds broken objects; the next open starts afresh. Missing is success.
Status discard_mirror(const std::string& directory);

}  // namespace moored::git
