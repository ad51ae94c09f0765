// Local sockets that keep message borders, with the peer's identity.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::sys {

// Nothing longer is sent or accepted (bytes).
constexpr std::size_t kMaxMessageBytes = 64U << 10U;

struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};

// Binds and listens on a path with mode 0600. The path may be long: it is bound relative to its
// directory. An old socket in its place is removed first.
Result<UniqueFd> listen_messages(const std::string& path);
// Connects to such a socket. Errors: not_found, unavailable (nobody listens).
Result<UniqueFd> connect_messages(const std::string& path);
// Takes one waiting connection, not blocking; an empty descriptor when there is none.
Result<UniqueFd> accept_messages(int listener);
// Who was at the other end when it connected.
Result<Peer> read_peer(int socket);
// Sends one message whole. Errors: exhausted (too long, or the peer does not read).
Status send_message(int socket, std::string_view message);
// Sends a message with a descriptor of ours; the peer gets one of its own.
Status send_descriptor(int socket, std::string_view message, int descriptor);
// Takes one message, not blocking. An empty text: the peer closed. Errors: unavailable (none
// now, reason Again), corrupt (longer than the limit).
Result<std::string> receive_message(int socket);
// The same from a peer that may send one descriptor along; empty when there was none.
struct Received {
  std::string message;
  UniqueFd descriptor;
};
Result<Received> receive_descriptor(int socket);

}  // namespace moored::sys
