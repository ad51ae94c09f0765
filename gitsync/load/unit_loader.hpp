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
  // Errors: corrupt (ObjectMissing, ObjectCorrupt), invalid (NotACommit).
  Result<LoadedSet> load(Mirror& mirror, const std::string& sha, const std::string& path,
                         const LoadOptions& options, const Clock& clock);

 private:
  TreeReader tree_;
  ManifestLoader loader_;
};

}  // namespace moored::git
