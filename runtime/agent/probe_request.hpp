// From declared probes and hooks to what the sandbox runs. Pure.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// The number of a port by number or by the name that the container gives it.
// Errors: invalid (no such name, out of range).
Result<int> find_port(const Container& container, const IntOrString& port);

// address is what an empty host means. Errors: invalid (unknown port name, no action).
Result<ProbeRequest> make_probe_request(const Container& container, const Probe& probe,
                                        const std::string& address);
// A hook has no timeout of its own: timeout is what is left of the grace period, or 0 for a
// postStart, which may take up to kPostStartLimit.
Result<ProbeRequest> make_hook_request(const Container& container, const LifecycleHandler& hook,
                                       const std::string& address, Duration timeout);

// The longest that a postStart hook may keep a probe thread.
inline constexpr std::chrono::minutes kPostStartLimit{10};

}  // namespace moored::agent
