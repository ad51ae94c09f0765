// Takes away from moored-pull whatever talking to a registry does not need.
#pragma once

#include "schema/base/result.hpp"

namespace moored::registry {

// From here on the process can read what resolving names and checking certificates needs, write no
// file, start no program, be looked into by nobody, and use bounded memory and descriptors.
// Landlock is used where the kernel has it (5.13 and later).
// Errors: those of the system calls; the process must then not go on.
Status enter_cell();

}  // namespace moored::registry
