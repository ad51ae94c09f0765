// One unit of one source: its tree view and its parsed files, kept between commits.
#pragma once

#include <string>

#include "gitsync/load/loader.hpp"
#include "gitsync/repo/mirror.hpp"
#include "gitsync/repo/tree.hpp"

namespace moored::git {

// Loads the manifests below one path of a mirror, again and again. One thread.
class UnitLoader {
 public:
  // Finds the manifests below path at a commit, without those that ignore leaves out (patterns as
  // in .gitignore, from the root of the repository).
  // Errors: corrupt (ObjectMissing, ObjectCorrupt), invalid (NotACommit).
  Result<ManifestSet> list(Mirror& mirror, const std::string& sha, const std::string& path,
                           const std::string& ignore = {});
  // Reads, parses and validates what list() found. Errors: corrupt.
  Result<LoadedSet> load(Mirror& mirror, const ManifestSet& manifests, const LoadOptions& options,
                         const Clock& clock);

 private:
  TreeReader tree_;
  ManifestLoader loader_;
};

}  // namespace moored::git
