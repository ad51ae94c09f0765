// The daemon's side of moored-pull.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/image/registry_wire.hpp"
#include "schema/host/confinement.hpp"

namespace moored::image {

// Where an answer goes: first the head, then the bytes in order.
struct RegistrySink {
  std::function<Status(const RegistryHead&)> head;
  std::function<Status(std::string_view)> piece;
};

// A conversation with one repository. One thread.
class RegistryLink {
 public:
  virtual ~RegistryLink() = default;
  // Blocks until the answer is complete. Errors: those of RegistrySession; unavailable (the worker
  // was lost, or moored is stopping), those of the sink. After an error of the sink or of the
  // worker the link is of no more use.
  virtual Status ask(const RegistryAsk& ask, const RegistrySink& sink) = 0;
};

// A seam of the tests. Thread safe.
class RegistryConnector {
 public:
  virtual ~RegistryConnector() = default;
  virtual Result<std::unique_ptr<RegistryLink>> connect(const RegistryAccess& access) = 0;
  // Makes calls under way and later ones return unavailable at once. May be called on any thread.
  virtual void stop() = 0;
};

struct RegistryWorkerOptions {
  std::string program;  // absolute path of moored-pull
  WorkerUser user;      // none: ours, without capabilities
};
// Starts a process for each link; it ends with it.
std::unique_ptr<RegistryConnector> make_registry_connector(RegistryWorkerOptions options);

}  // namespace moored::image
