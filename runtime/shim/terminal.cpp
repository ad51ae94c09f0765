#include "runtime/shim/terminal.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace moored::shim {
namespace {

constexpr gid_t kTtyGroup = 5;

Unexpected failed(const char* what) { return Unexpected(system_error(what, errno)); }

}  // namespace

Result<Terminal> open_terminal(std::uint32_t uid) {
  Terminal terminal;
  terminal.master.reset(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!terminal.master) return failed("open terminal");
  int locked = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &locked) != 0) return failed("unlock terminal");
  terminal.slave.reset(
      ::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return failed("open terminal's other end");
  if (::fchown(terminal.slave.get(), uid, kTtyGroup) != 0) return failed("give terminal away");
  return terminal;
}

}  // namespace moored::shim
