// Repositories on disk and conversations with servers: the other half of Mirror.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gitsync/repo/handles.hpp"
#include "gitsync/repo/mirror.hpp"
#include "gitsync/repo/transport.hpp"

struct git_oid;

namespace moored::git {

// The one reference of a mirror: what the source's reference pointed at when last fetched.
inline constexpr std::string_view kTrackedRef = "refs/moored/tracked";

// Tags of tags are followed this far.
inline constexpr std::size_t kMaxTagChain = 8;

// Opens an existing repository, bare or not, for reading. Errors: not_found, denied, corrupt.
Result<Repository> open_repository(const std::string& path);
// Opens a bare mirror, makes it when missing, and replaces what is no repository.
Result<Repository> open_or_make_bare(const std::string& directory);
// Errors: invalid (InvalidValue) unless it is HEAD or a well-formed name below refs/.
Status check_reference_name(const std::string& reference);
// The failed read of an object, naming it: ObjectMissing or ObjectCorrupt.
Error object_error(const ObjectId& id, int code);

// Points the tracked reference at an object that the mirror has.
Status track(git_repository* repository, const git_oid& id);

// Forgets all branches that fetch_everything() noted but these, named without refs/heads/.
Status keep_branches(git_repository* repository, const std::set<std::string>& kept);

std::size_t count_packs(const std::string& directory);
// Removes what a fetch that was killed has left among the packs. Nobody may be fetching.
Status remove_leftovers(const std::string& directory);
// Writes everything reachable from our references to a fresh mirror beside the old one.
Status write_compacted(git_repository* old_repository, const std::string& directory);
// Puts the fresh mirror in the old one's place. The old one must be closed.
Status swap_in_compacted(const std::string& directory);

// One connection to one server. Not reused after an error.
class RemoteSession {
 public:
  // The repository and the meter, which names the server, outlive the session.
  RemoteSession(git_repository* repository, TransferMeter& meter);
  ~RemoteSession();

  // Tries the addresses of the server one after another.
  Status connect();
  // The id a reference has in the server's list, or nothing. connect() came before.
  Result<std::optional<git_oid>> find_reference(const std::string& reference);
  Result<std::set<std::string>> list_branches();
  // Fetches and updates by a refspec over the same connection.
  Status download(const std::string& refspec);

 private:
  Result<std::vector<std::string>> find_targets() const;
  Status connect_to(const std::string& target);
  Error explain(std::string_view what, int code, bool downloading) const;

  git_repository* repository_;
  TransferMeter& meter_;
  MeterScope scope_;
  Remote remote_;
};

// Fetches all branches, for a source that names a commit by its id.
Status fetch_everything(git_repository* repository, TransferMeter& meter);

}  // namespace moored::git
