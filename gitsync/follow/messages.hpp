// What the daemon and a worker say to each other: requests one way, replies the other. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "gitsync/load/selection.hpp"
#include "gitsync/repo/access.hpp"
#include "schema/base/error.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/codec/value.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/commit.hpp"
#include "schema/validate/validate.hpp"

namespace moored::git {

inline constexpr std::int64_t kProtocolVersion = 5;

// Units whose files both sides remember; one more starts the collection anew. Each side can forget
// without asking the other.
inline constexpr std::size_t kMaxUnits = 64;

// What a memory of files is for: another remote must not be answered with what the old one had.
struct UnitKey {
  std::string url;               // of the repository, or empty
  std::string directory;         // on disk, or empty
  std::string path;
  std::string target_namespace;
  bool operator<(const UnitKey& other) const {
    return std::tie(url, directory, path, target_namespace) <
           std::tie(other.url, other.directory, other.path, other.target_namespace);
  }
};

// Which repository a request is about.
struct RepositoryRef {
  std::string url;
  bool allow_local = false;
};

// Looks at the remote and fetches what is new.
struct FetchRequest {
  RepositoryRef repository;
  std::string reference;
  std::string known_sha;
  Credentials credentials;
  Proxy proxy;
  std::size_t space = 0;  // bytes on disk that the mirror may take in all
};

// Loads a path of a commit of the mirror, or (directory set) a directory on disk.
struct LoadTreeRequest {
  RepositoryRef repository;
  std::string sha;
  std::string path;
  std::string directory;
  std::string target_namespace;
  bool fresh = false;  // the daemon remembers nothing of an earlier load: send every object
  AdmissionPolicy policy;
  std::string host;    // of this machine; empty: take the objects of all
  SourceRights rights;
  std::string ignore;
};

// Whose memory a load reads and renews: the same on both sides.
UnitKey key_of(const LoadTreeRequest& request);

using Request = std::variant<FetchRequest, LoadTreeRequest>;

// A sign of life; restarts the daemon's patience.
struct ProgressReply {};

struct HeadReply {
  CommitInfo commit;
  bool changed = false;
  bool history_rewritten = false;
};

// One file of a complete load that the last one did not have. These and KeptReply come before the
// LoadedReply, in the order of the tree; a long file comes in several, one after another.
struct FileReply {
  std::string path;
  std::string id;
  std::vector<Object> objects;  // with the line in their provenance
};

// Files of the last complete load of this unit, in its order: some that are not there any more,
// and then some that are there as they were.
struct KeptReply {
  std::size_t skipped = 0;
  std::size_t kept = 0;
};

struct LoadedReply {
  bool complete = false;
  Diagnostics diagnostics;
  std::size_t blobs_read = 0;
  std::size_t blobs_total = 0;
  Time rendered_at{};
  Time validated_at{};
};

// The request failed as a whole.
struct ErrorReply {
  Error error;
  std::optional<std::chrono::seconds> wait;  // that an overloaded server asks for; 0: no time
};

using Reply = std::variant<ProgressReply, HeadReply, FileReply, KeptReply, LoadedReply, ErrorReply>;

std::string encode_request(const Request& request);
std::string encode_reply(const Reply& reply);
// Errors: corrupt, for anything that the encoders above do not write.
Result<Request> decode_request(std::string_view message);
Result<Reply> decode_reply(std::string_view message);

}  // namespace moored::git
