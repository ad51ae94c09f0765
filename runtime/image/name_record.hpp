// The file that gives an image its name.
#pragma once

#include <string>

#include "schema/base/result.hpp"

namespace moored::image {

// A name and what it stands for.
struct NameRecord {
  enum class Origin {
    imported,  // nobody else may have it
    pulled,    // a registry has it, so it may be given up for room
    replaced,  // its tag has moved on; stays while containers run from it
  };
  std::string name;    // in full
  std::string digest;  // of the manifest
  Origin origin = Origin::imported;
};

// Replaces a record durably. Errors: those of write_file_durably.
Status write_record(const std::string& path, const NameRecord& record);
// Errors: not_found when the file is gone, corrupt when it is there but means nothing.
Result<NameRecord> read_record(const std::string& path);

}  // namespace moored::image
