// The composition root: every part made once, in order, each given what it needs and no more.
#pragma once

#include <functional>
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

  // Why run() came to its end.
  enum class End { asked, down, reload, start_anew };
  // Serves until SIGTERM or SIGINT (asked), until `moorctl down` was carried out (down), or until
  // SIGHUP finds a configuration that holds (reload: it is taken by a new start). Pods go on
  // running, except after down. start_anew: the database is damaged, and only a start can replace
  // it. The signals must be blocked in every thread before create().
  Result<End> run(const std::function<Status()>& check_configuration);

 private:
  struct State;
  explicit Daemon(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored
