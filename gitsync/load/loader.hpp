// From manifest files to a complete, validated set of objects; unchanged files are never parsed
// again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gitsync/load/file_reader.hpp"
#include "gitsync/load/parse.hpp"
#include "gitsync/load/selection.hpp"
#include "schema/base/time.hpp"
#include "schema/validate/claims.hpp"
#include "schema/validate/validate.hpp"

namespace moored::git {

// Limits of one load.
inline constexpr std::size_t kMaxManifestBytes = 3U << 20U;     // one file
inline constexpr std::size_t kMaxBlobBytes = 256U << 20U;       // beyond this it is no manifest
inline constexpr std::size_t kMaxSourceBytes = 64U << 20U;      // all files together
inline constexpr std::size_t kMaxDocuments = 20'000;

struct LoadOptions {
  std::string target_namespace;
  AdmissionPolicy policy;
  std::string host;      // objects that are for other machines are left out; empty: none are
  SourceRights rights;
  bool operator==(const LoadOptions&) const = default;
};

// The content of one file, whatever path it lies under.
struct ParsedBlob {
  std::size_t bytes = 0;
  bool json = false;  // the same bytes are read differently as JSON
  ParsedFile parsed;
};

// One file's part in the set. Objects carry file and line; the rest of the provenance is empty.
// Immutable: a later load of which it is a part holds the very same one.
struct LoadedFile {
  std::string path;
  std::string id;
  std::vector<Object> objects;  // that are for this machine
  Diagnostics diagnostics;      // with the path
  std::shared_ptr<const ParsedBlob> blob;
};
using LoadedFilePtr = std::shared_ptr<const LoadedFile>;

// Everything below one path at one moment.
struct LoadedSet {
  bool complete = false;  // no error anywhere: every file was read, parsed and validated
  std::vector<LoadedFilePtr> files;
  Diagnostics diagnostics;
  std::size_t blobs_read = 0;
  Time rendered_at{};
  Time validated_at{};
};

// Loads one unit again and again. Remembers the last load, so that the next one costs what has
// changed; its memory is bounded by the limits of one load. One thread, beside which parsing takes
// another when there is much to do.
class ManifestLoader {
 public:
  // Errors: corrupt, when a file cannot be read; nothing is known about the commit then.
  // Everything that is wrong with the manifests is in the diagnostics, in one pass.
  Result<LoadedSet> load(const ManifestSet& manifests, FileReader& reader,
                         const LoadOptions& options, const Clock& clock);

 private:
  class Run;

  // The last load.
  struct Memory {
    LoadOptions options;
    std::vector<LoadedFilePtr> files;
    bool faultless = false;              // judged as a whole, and nothing was found
    std::optional<CommitClaims> claims;  // of all its objects; made when they are asked for
  };

  Memory memory_;
};

}  // namespace moored::git
