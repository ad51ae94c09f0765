// The system call filter that containers run under.
#pragma once

#include <cstdint>
#include <string>

#include "schema/base/result.hpp"

namespace moored::container {

// The RuntimeDefault program for a set of capabilities, as struct sock_filter bytes. Denied calls
// get EPERM, calls that this build does not know get ENOSYS (the C library falls back only then),
// another architecture ends the process. The same capabilities give the same bytes.
// Errors: internal (the library refuses a rule), exhausted (more than 4096 instructions).
Result<std::string> make_seccomp_program(std::uint64_t capabilities);
// The highest call number that the library knows for this architecture.
int highest_known_call();

}  // namespace moored::container
