// Takes away from moored-unpack whatever unpacking does not need.
#pragma once

#include <cstdint>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::image {

// From here on the process can write below target only, read lowers and what is open, use the
// memory and time it was given, and no other part of the kernel: no sockets, no programs, no
// mounts. Landlock is used where the kernel has it (5.19 and later).
// Errors: those of the system calls; the process must then not go on.
Status enter_jail(int target, const std::vector<int>& lowers, std::int64_t max_file_bytes);

}  // namespace moored::image
