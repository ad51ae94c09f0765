// Takes away from moored-probe whatever one request to a pod does not need.
#pragma once

#include "schema/base/result.hpp"
#include "schema/host/confinement.hpp"

namespace moored::probe {

// From here on the process is that user without any capability, reads what a TLS library reads,
// writes no file, starts no program and no thread, makes sockets of IPv4 in the network it is in
// and no others, and uses bounded memory and time.
// Errors: those of the system calls; the process must then not go on.
Status enter_cell(const WorkerUser& user);

}  // namespace moored::probe
