// Manifests in a directory on disk, under the same rules as those of a commit.
#pragma once

#include <string>

#include "gitsync/load/file_reader.hpp"

namespace moored::git {

// Finds the manifests below a directory. Hidden names are passed over; links to files inside the
// directory are resolved, all others are SymlinkRefused. Paths are relative to the directory, and
// ids are digests of the content.
// Errors: not_found, denied.
Result<ManifestSet> list_directory_manifests(const std::string& directory);

// Reads the files of such a listing.
class DirectoryReader final : public FileReader {
 public:
  explicit DirectoryReader(std::string directory) : directory_(std::move(directory)) {}
  Result<std::size_t> read_size(const ManifestFile& file) override;
  Result<std::string> read(const ManifestFile& file) override;

 private:
  std::string directory_;
};

}  // namespace moored::git
