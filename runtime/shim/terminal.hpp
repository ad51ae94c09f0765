// Pseudo terminals for containers with tty.
#pragma once

#include <cstdint>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

struct Terminal {
  UniqueFd master;  // not blocking
  UniqueFd slave;
};

// A new terminal whose slave belongs to the user. The slave is opened by TIOCGPTPEER, never by
// name. Errors: exhausted, denied.
Result<Terminal> open_terminal(std::uint32_t uid);

}  // namespace moored::shim
