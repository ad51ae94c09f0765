// The daemon's end of the admin socket.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "reconciler/admin/verbs.hpp"
#include "schema/base/result.hpp"
#include "schema/ports/fact.hpp"

namespace moored {

// Listens on run-dir/admin.sock (mode 0600). Only root and the daemon's own user are heard. Every
// verb is posted as OperatorActed with the peer's uid and process: verbs that act once before they
// run (result "asked") and all of them once after ("done" or "failed: …"). What cannot be recorded
// is not begun, unless it makes room; and nobody is told of a success that is not on record.
class AdminServer {
 public:
  // Connections served at once; one more is answered with exhausted.
  static constexpr std::size_t kMaxConnections = 8;

  struct Options {
    std::string path;                                // at most 107 bytes
    std::chrono::milliseconds request_time{10'000};  // for the request line
    std::chrono::milliseconds write_time{10'000};    // for a reader that does not read
    // Posts a fact and returns when it is durable, or with the reason why it is not; empty: facts
    // are posted and not waited for.
    std::function<Status(Fact, Cause)> record{};
  };
  // Takes over the path: a socket that nobody listens on any more is replaced.
  // Errors: conflict (another daemon listens there), invalid (path too long), denied.
  static Result<std::unique_ptr<AdminServer>> create(Options options, AdminVerbs& verbs,
                                                     FactSink& facts);
  // Stops listening, tells running verbs to end, waits for them and removes the socket.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

 private:
  struct State;
  explicit AdminServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored
