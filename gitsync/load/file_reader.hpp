// Where a loader gets manifest files from: a commit, or a directory on disk.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/base/result.hpp"

namespace moored::git {

// One file that may hold manifests.
struct ManifestFile {
  std::string path;  // safe to show
  std::string id;    // of the content: equal ids are equal bytes
};

// All files of one load, and what was wrong with finding them.
struct ManifestSet {
  std::vector<ManifestFile> files;
  std::vector<std::string> kustomizations;  // paths of kustomization files
  Diagnostics diagnostics;
};

class FileReader {
 public:
  virtual ~FileReader() = default;
  // Size in bytes, without reading the content. Errors: corrupt, not_found.
  virtual Result<std::size_t> read_size(const ManifestFile& file) = 0;
  // The content. Errors: corrupt, not_found.
  virtual Result<std::string> read(const ManifestFile& file) = 0;
};

}  // namespace moored::git
