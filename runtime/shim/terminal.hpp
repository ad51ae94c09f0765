// Pseudo terminals for containers with tty.
#pragma once

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

struct Terminal {
  UniqueFd master;  // not blocking
  UniqueFd slave;
};

// A new terminal of the devpts that is mounted in the container, so that its programs find their
// own terminal by name. The slave is opened by TIOCGPTPEER, never by name.
// Errors: exhausted, denied, not_found (no /dev/pts in the root).
Result<Terminal> open_terminal(int root);
// Makes it the controlling terminal of this session and the three standard streams.
Status enter_terminal(int slave);

}  // namespace moored::shim
