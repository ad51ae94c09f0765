// The one place where libmnl sockets are used: sends a request, collects its answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "schema/base/result.hpp"

struct nlattr;
struct nlmsghdr;
struct mnl_socket;

namespace moored::net {

// Calls take with type and attribute for each one behind a fixed header of body bytes.
void each_attribute(const nlmsghdr* message, std::size_t body,
                    const std::function<void(std::uint16_t, const nlattr*)>& take);
// The same for the attributes nested in another.
void each_nested(const nlattr* parent,
                 const std::function<void(std::uint16_t, const nlattr*)>& take);

// A netlink socket with bounded waiting. Not thread safe.
class MnlPort {
 public:
  // Opens a socket of a netlink family (NETLINK_ROUTE, NETLINK_NETFILTER) that is told the
  // given multicast groups (a bit mask as bind takes it).
  static Result<MnlPort> open(int family, unsigned groups = 0);

  // Sends a request and hands each answer to take, until the kernel acknowledges or ends the
  // dump. The request's sequence number and acknowledge flag are set here.
  // Errors: those of the kernel's answer; timeout; unavailable (the table changed while it was
  // dumped).
  Status talk(nlmsghdr* request, std::string_view what,
              const std::function<void(const nlmsghdr*)>& take = {});
  // Hands every message that has already arrived to take, without waiting. False: some were lost.
  Result<bool> drain(const std::function<void(const nlmsghdr*)>& take);
  int descriptor() const;

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit MnlPort(mnl_socket* socket) : socket_(socket) {}

  std::unique_ptr<mnl_socket, Close> socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace moored::net
