#include "runtime/shim/terminal.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/sys/mount.hpp"

namespace moored::shim {
namespace {

Unexpected failed(const char* what) {
  return Unexpected(system_error(what, errno));
}

}  // namespace

// A new terminal is locked until its owner says otherwise.
Result<Terminal> open_terminal(int root) {
  Terminal terminal;
  MOORED_TRY(terminal.master,
             sys::open_without_links(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK));
  int locked = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &locked) != 0) return failed("unlock terminal");
  terminal.slave.reset(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return failed("open terminal's other end");
  return terminal;
}

// The session was started before, so the terminal can become its own.
Status enter_terminal(int slave) {
  if (::ioctl(slave, TIOCSCTTY, 0) != 0) return failed("take terminal");
  for (int stream = 0; stream < 3; ++stream) {
    if (::dup2(slave, stream) < 0) return failed("set stream");
  }
  return {};
}

}  // namespace moored::shim
