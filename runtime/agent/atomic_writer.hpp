// Writes a volume so that a reader sees all of the old files or all of the new ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/agent/volume_files.hpp"

namespace moored::agent {

// Brings a directory to exactly these files: a new dated directory, then one rename of ..data;
// what a container sees are links name -> ..data/name. Makes the directory when it is missing.
// With a group every file belongs to it and is readable by it. stamp names the new directory.
// True when anything changed. A crash at any point leaves the old or the new content.
// Errors: those of the file system.
Result<bool> write_volume(const std::string& directory, const std::vector<VolumeFile>& files,
                          std::optional<std::uint32_t> group, Time stamp);

}  // namespace moored::agent
