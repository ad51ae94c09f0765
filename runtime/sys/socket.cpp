#include "runtime/sys/socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace moored::sys {
namespace {

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// An address below an open directory: socket paths may be at most 107 bytes long.
struct LocalAddress {
  UniqueFd directory;
  std::string name;
  sockaddr_un address{};
};

// The descriptor in the name is the trick: /proc/self/fd/N stands for the directory.
Result<LocalAddress> make_address(const std::string& path) {
  LocalAddress made;
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return fail(Code::invalid, "socket path " + path);
  made.name = path.substr(slash + 1);
  made.directory.reset(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!made.directory) return failed("open directory of " + path);
  const std::string shortened =
      "/proc/self/fd/" + std::to_string(made.directory.get()) + "/" + made.name;
  if (shortened.size() >= sizeof made.address.sun_path) {
    return fail(Code::invalid, "socket name " + made.name + " is too long");
  }
  made.address.sun_family = AF_UNIX;
  std::memcpy(made.address.sun_path, shortened.c_str(), shortened.size() + 1);
  return made;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Result<UniqueFd> listen_messages(const std::string& path) {
  constexpr int kBacklog = 16;
  MOORED_TRY(const auto local, make_address(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed("make socket");
  if (::unlinkat(local.directory.get(), local.name.c_str(), 0) != 0 && errno != ENOENT) {
    return failed("replace " + path);
  }
  if (::bind(socket.get(), generic(local.address), sizeof local.address) != 0) {
    return failed("bind " + path);
  }
  if (::fchmodat(local.directory.get(), local.name.c_str(), 0600, 0) != 0) {
    return failed("protect " + path);
  }
  if (::listen(socket.get(), kBacklog) != 0) return failed("listen on " + path);
  return socket;
}

// Connecting may wait for the listener's queue; talking afterwards never does.
Result<UniqueFd> connect_messages(const std::string& path) {
  MOORED_TRY(const auto local, make_address(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return failed("make socket");
  if (::connect(socket.get(), generic(local.address), sizeof local.address) != 0) {
    return failed("connect to " + path);
  }
  if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) return failed("set up " + path);
  return socket;
}

// A peer that went away again before it was accepted is the same as none.
Result<UniqueFd> accept_messages(int listener) {
  UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
    return failed("accept connection");
  }
  return socket;
}

Result<Peer> read_peer(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return failed("read peer");
  }
  return Peer{credentials.pid, credentials.uid};
}

Status send_message(int socket, std::string_view message) {
  if (message.size() > kMaxMessageBytes) {
    return fail(Code::exhausted, "message of " + std::to_string(message.size()) + " bytes");
  }
  for (;;) {
    if (::send(socket, message.data(), message.size(), MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return fail(Code::exhausted, "send message: the peer does not read");
    return failed("send message");
  }
}

// One descriptor for each message keeps the control buffer a fixed size on both sides.
Status send_descriptor(int socket, std::string_view message, int descriptor) {
  iovec part{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* attached = CMSG_FIRSTHDR(&header);
  attached->cmsg_level = SOL_SOCKET;
  attached->cmsg_type = SCM_RIGHTS;
  attached->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(attached), &descriptor, sizeof descriptor);
  if (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) return failed("send descriptor");
  return {};
}

Result<Received> receive_descriptor(int socket) {
  Received received;
  received.message.resize(kMaxMessageBytes);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  for (;;) {
    iovec part{received.message.data(), received.message.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      return Unexpected(system_error("receive message", EAGAIN).because("Again"));
    }
    if (got < 0) return failed("receive message");
    const cmsghdr* attached = CMSG_FIRSTHDR(&header);
    if (attached != nullptr && attached->cmsg_type == SCM_RIGHTS &&
        attached->cmsg_len == CMSG_LEN(sizeof(int))) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(attached), sizeof descriptor);
      received.descriptor.reset(descriptor);
    }
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      return fail(Code::corrupt, "a message is longer than the limit");
    }
    received.message.resize(static_cast<std::size_t>(got));
    return received;
  }
}

Result<std::string> receive_message(int socket) {
  // A descriptor that nobody asked for is closed with the value.
  MOORED_TRY(auto received, receive_descriptor(socket));
  return std::move(received.message);
}

}  // namespace moored::sys
