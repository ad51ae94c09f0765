// Files without a name that nobody can change any more.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::sys {

// A memory file with this content, sealed against growing, shrinking and writing. With executable
// it may be started as a program. Errors: exhausted, denied.
Result<UniqueFd> make_sealed_file(const std::string& name, std::string_view content,
                                  bool executable);
// Whether a descriptor is a memory file with all those seals.
bool is_sealed(int fd);

}  // namespace moored::sys
