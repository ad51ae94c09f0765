// moorctl's end of the admin socket.
#pragma once

#include <functional>
#include <string>

#include "reconciler/admin/verbs.hpp"
#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

// One connection for one verb.
class AdminClient {
 public:
  // Errors: not_found (no socket: the daemon does not run), denied (not root),
  // unavailable (nobody listens any more).
  static Result<AdminClient> connect(const std::string& path);

  // Sends the verb and waits for its end; progress is called for every step on this thread.
  // Errors: the verb's own; unavailable (the daemon went away), corrupt (not this protocol).
  Result<Value> ask(const AdminVerb& verb,
                    const std::function<void(const Value& step)>& progress = {});

 private:
  explicit AdminClient(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
};

}  // namespace moored
