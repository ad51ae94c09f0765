#include "net/link/mnl_port.hpp"

#include <libmnl/libmnl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <string>

namespace moored::net {
namespace {

// The kernel answers at once; a longer silence is a fault to be reported, not waited for.
constexpr timeval kAnswerTimeout{5, 0};
// Larger than any single message of the kernel (dumps are cut at 32 KiB).
constexpr std::size_t kBufferBytes = 64U << 10U;

enum class Progress { more, done, interrupted };

// What one message means for the request it answers. A kernel error becomes an Error.
Result<Progress> judge(const nlmsghdr* message, std::string_view what) {
  if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) return Progress::interrupted;
  if (message->nlmsg_type == NLMSG_DONE) return Progress::done;
  if (message->nlmsg_type != NLMSG_ERROR) return Progress::more;
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  if (error->error == 0) return Progress::done;
  return Unexpected(system_error(what, -error->error));
}

// Walks attributes from first to the end of the bytes they lie in.
void walk(const void* first, const char* end,
          const std::function<void(std::uint16_t, const nlattr*)>& take) {
  const auto* attribute = static_cast<const nlattr*>(first);
  for (;;) {
    const auto left = end - static_cast<const char*>(static_cast<const void*>(attribute));
    if (!mnl_attr_ok(attribute, static_cast<int>(left))) return;
    take(mnl_attr_get_type(attribute), attribute);
    attribute = mnl_attr_next(attribute);
  }
}

}  // namespace

void each_attribute(const nlmsghdr* message, std::size_t body,
                    const std::function<void(std::uint16_t, const nlattr*)>& take) {
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  walk(mnl_nlmsg_get_payload_offset(message, body), end, take);
}

void each_nested(const nlattr* parent,
                 const std::function<void(std::uint16_t, const nlattr*)>& take) {
  const auto* first = static_cast<const char*>(mnl_attr_get_payload(parent));
  walk(first, first + mnl_attr_get_payload_len(parent), take);
}

void MnlPort::Close::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

// AUTOPID lets the kernel choose the port number, as one process opens several sockets.
Result<MnlPort> MnlPort::open(int family, unsigned groups) {
  mnl_socket* socket = mnl_socket_open2(family, SOCK_CLOEXEC);
  if (socket == nullptr) return Unexpected(system_error("open a netlink socket", errno));
  MnlPort port(socket);
  if (mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
    return Unexpected(system_error("bind a netlink socket", errno));
  }
  if (setsockopt(port.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout,
                 sizeof kAnswerTimeout) < 0) {
    return Unexpected(system_error("set a netlink timeout", errno));
  }
  return port;
}

int MnlPort::descriptor() const {
  return mnl_socket_get_fd(socket_.get());
}

Status MnlPort::talk(nlmsghdr* request, std::string_view what,
                     const std::function<void(const nlmsghdr*)>& take) {
  const bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  // A dump ends with NLMSG_DONE by itself; anything else is silent without a wanted ACK.
  if (!dump) request->nlmsg_flags = static_cast<std::uint16_t>(request->nlmsg_flags | NLM_F_ACK);
  request->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), request, request->nlmsg_len) < 0) {
    return Unexpected(system_error(what, errno));
  }
  alignas(nlmsghdr) std::array<char, kBufferBytes> buffer{};
  bool interrupted = false;
  for (;;) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return fail(Code::timeout, std::string(what) + ": the kernel did not answer");
    }
    if (got < 0) return Unexpected(system_error(what, errno));
    int left = static_cast<int>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence_) continue;  // the late answer of an earlier request
      MOORED_TRY(const Progress progress, judge(message, what));
      interrupted = interrupted || progress == Progress::interrupted;
      if (progress == Progress::done || message->nlmsg_type == NLMSG_DONE) {
        if (interrupted) return fail(Code::unavailable, std::string(what) + ": changed while read");
        return {};
      }
      if (take && message->nlmsg_type >= NLMSG_MIN_TYPE) take(message);
    }
  }
}

Result<bool> MnlPort::drain(const std::function<void(const nlmsghdr*)>& take) {
  alignas(nlmsghdr) std::array<char, kBufferBytes> buffer{};
  bool complete = true;
  for (;;) {
    const ssize_t got = recv(descriptor(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return complete;
    if (got < 0 && errno == ENOBUFS) {  // the queue overflowed: the caller must look for itself
      complete = false;
      continue;
    }
    if (got < 0) return Unexpected(system_error("read netlink events", errno));
    int left = static_cast<int>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
      take(message);
  }
}

}  // namespace moored::net
