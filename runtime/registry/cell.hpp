// Takes away from moored-pull whatever talking to a registry does not need.
#pragma once

#include "schema/base/result.hpp"
#include "schema/host/confinement.hpp"

namespace moored::registry {

// From here on the process is that user without any capability, can read what resolving names and
// checking certificates needs, write no file, start no program, be looked into by nobody, and use
// bounded memory and descriptors. Call it before the first thread is made.
// Errors: those of the system calls; the process must then not go on.
Status enter_cell(const WorkerUser& user);

}  // namespace moored::registry
