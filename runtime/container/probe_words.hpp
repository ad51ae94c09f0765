// Probes as the shim and moored-probe are asked for them, and their answers.
#pragma once

#include "runtime/shim/record.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

shim::Record write_probe(const ProbeRequest& request);
// Unknown outcomes, and those that are no words of ours, read as unknown.
ProbeResult read_probe(const shim::Record& answer);

}  // namespace moored::container
