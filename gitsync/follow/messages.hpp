// What the daemon and a worker say to each other: requests one way, replies the other. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

inline constexpr std::int64_t kProtocolVersion = 3;

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

using Request = std::variant<FetchRequest, LoadTreeRequest>;

// A sign of life; restarts the daemon's patience.
struct ProgressReply {};

struct HeadReply {
  CommitInfo commit;
  bool changed = false;
  bool history_rewritten = false;
};

// One file of a complete load. Comes before the LoadedReply, in the order of the tree.
struct FileReply {
  std::string path;
  std::string id;
  bool same = false;            // sent with the last complete load of this unit already
  std::vector<Object> objects;  // with the line in their provenance; empty when same
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
};

using Reply = std::variant<ProgressReply, HeadReply, FileReply, LoadedReply, ErrorReply>;

std::string encode_request(const Request& request);
std::string encode_reply(const Reply& reply);
// Errors: corrupt, for anything that the encoders above do not write.
Result<Request> decode_request(std::string_view message);
Result<Reply> decode_reply(std::string_view message);

}  // namespace moored::git
