// From manifest files to a complete, validated set of objects; unchanged files are never parsed
// again.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gitsync/load/file_reader.hpp"
#include "gitsync/load/parse.hpp"
#include "gitsync/load/selection.hpp"
#include "schema/base/time.hpp"
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
};

// One file's part in the set. Objects carry file and line; the rest of the provenance is empty.
struct LoadedFile {
  std::string path;
  std::string id;
  bool parsed_now = false;
  std::vector<Object> objects;
};

// Everything below one path at one moment.
struct LoadedSet {
  bool complete = false;  // no error anywhere: every file was read, parsed and validated
  std::vector<LoadedFile> files;
  Diagnostics diagnostics;
  std::size_t blobs_read = 0;
  Time rendered_at{};
  Time validated_at{};
};

// Loads one unit again and again. Keeps the files of the last load parsed, so its memory is
// bounded by the limits of one load. One thread.
class ManifestLoader {
 public:
  // Errors: corrupt, when a file cannot be read; nothing is known about the commit then.
  // Everything that is wrong with the manifests is in the diagnostics, in one pass.
  Result<LoadedSet> load(const ManifestSet& manifests, FileReader& reader,
                         const LoadOptions& options, const Clock& clock);

 private:
  struct CachedFile {
    std::size_t bytes = 0;
    ParsedFile parsed;
  };
  using CachedPtr = std::shared_ptr<const CachedFile>;
  using Cache = std::unordered_map<std::string, CachedPtr>;

  Result<CachedPtr> parse_file(const ManifestFile& file, FileReader& reader,
                               const std::string& target_namespace);

  Cache cache_;
  std::string cached_namespace_;
};

}  // namespace moored::git
