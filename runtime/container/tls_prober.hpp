// The daemon's side of moored-probe.
#pragma once

#include <string>

#include "schema/host/confinement.hpp"
#include "schema/host/unique_fd.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

// Starts a fresh worker for each probe. Thread safe.
class TlsProber {
 public:
  // program: absolute path of moored-probe; user: whom it becomes; none: ours, no capabilities.
  TlsProber(std::string program, WorkerUser user);

  // net_namespace: the pin of the pod's network; empty: the node's. Blocks up to the request's
  // timeout. A worker that a pod's answer brought down is a failure of that pod.
  // Errors: not_found (no such network, no such program), exhausted, unavailable (stopped).
  Result<ProbeResult> run(const ProbeRequest& request, const std::string& net_namespace) const;

  // Ends probes under way, and those to come, with "unavailable".
  void stop();

 private:
  std::string program_;
  WorkerUser user_;
  UniqueFd stop_;
};

}  // namespace moored::container
