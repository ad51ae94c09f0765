// Takes away from moored-unpack whatever unpacking does not need.
#pragma once

#include <cstdint>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/confinement.hpp"

namespace moored::image {

// From here on the process is that user, keeps only the capabilities that making a layer needs
// (owners, modes, whiteouts, attributes), can write below target only, read lowers and what is
// open, use the memory and time it was given, and no other part of the kernel: no sockets, no
// programs, no mounts. Call it before the first thread is made.
// Errors: those of the system calls; the process must then not go on.
Status enter_jail(const WorkerUser& user, int target, const std::vector<int>& lowers,
                  std::int64_t max_file_bytes);

}  // namespace moored::image
