#include "runtime/shim/starter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"

namespace moored::shim {
namespace {

// Blocks until there is a message or the end of the line.
Result<sys::Received> await_message(int line) {
  for (;;) {
    auto received = sys::receive_descriptor(line);
    if (received || received.error().reason != "Again") return received;
    pollfd set{line, POLLIN, 0};
    ::poll(&set, 1, -1);
  }
}

// Of the starter's belongings nothing but its groups and its program. Messages go to the pod's log.
Status become_shim(const std::string& directory) {
  if (::setsid() < 0) return Unexpected(system_error("start session", errno));
  const std::string path = directory + "/shim.log";
  const UniqueFd log(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!log) return Unexpected(system_error("open " + path, errno));
  if (::dup2(log.get(), STDERR_FILENO) < 0) return Unexpected(system_error("set log", errno));
  return {};
}

}  // namespace

Result<std::optional<Birth>> run_starter(UniqueFd line) {
  MOORED_CHECK(sys::send_message(line.get(), "ready"));
  for (;;) {
    MOORED_TRY(auto order, await_message(line.get()));
    if (order.message.empty()) return std::optional<Birth>();
    sys::CloneRequest copy;
    copy.sibling = true;
    const auto made = sys::clone_process(copy);
    if (made && made->pid == 0) {
      line.reset();
      MOORED_CHECK(become_shim(order.message));
      return std::optional<Birth>(Birth{std::move(order.message), std::move(order.descriptor)});
    }
    MOORED_CHECK(sys::send_message(
        line.get(), made ? std::to_string(made->pid) : "error " + made.error().message));
  }
}

// The words lie one behind the other; what is longer than all of them is cut.
void rename_process(int count, char** words, const std::string& directory) {
  if (count < 2) return;
  char* const last = words[count - 1];
  const auto room = static_cast<std::size_t>(last - words[1]) + std::strlen(last);
  std::memset(words[1], 0, room);
  std::memcpy(words[1], directory.data(), std::min(room, directory.size()));
}

}  // namespace moored::shim
