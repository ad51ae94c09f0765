// Notices that somebody else changed links, addresses, routes or a table of rules.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "schema/base/result.hpp"

namespace moored::net {

// Hears the network namespace it was opened in, and those that pods have of their own. What this
// process or the kernel itself does is not told. Not thread safe.
class NetworkEvents {
 public:
  // table: the one of which changes are told ("moored_1a2b3c"). Errors: denied, exhausted.
  // Source: rtnetlink(7), NETLINK_LISTEN_ALL_NSID in netlink(7).
  static Result<NetworkEvents> open(std::string table);
  NetworkEvents(NetworkEvents&&) noexcept;
  NetworkEvents& operator=(NetworkEvents&&) noexcept;
  ~NetworkEvents();

  // Readable when there may be something to take.
  int descriptor() const;
  // Takes what has arrived. Nothing: nobody else changed anything. The text names the likely actor
  // ("ip[4711]"), or is empty when messages were lost.
  std::optional<std::string> take();

 private:
  struct State;
  explicit NetworkEvents(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::net
