// The composition root: every part made once, in order, each given what it needs and no more.
#pragma once

#include <memory>

#include "reconciler/daemon/configuration.hpp"
#include "schema/base/result.hpp"

namespace moored {

// One running daemon. Parts start in create() from the kernel side up and stop in reverse.
class Daemon {
 public:
  // Errors: conflict (the state directory or the address is in use), invalid (configuration),
  // denied (not root), corrupt (store).
  static Result<std::unique_ptr<Daemon>> create(const Configuration& configuration);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Serves until SIGTERM or SIGINT, or until `moorctl down` was carried out. Pods go on running,
  // except after down. The signals must be blocked in every thread before create().
  Status run();

 private:
  struct State;
  explicit Daemon(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored
