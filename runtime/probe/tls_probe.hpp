// HTTPS probes: one GET over TLS. Runs inside moored-probe, never in the daemon, because what a pod
// answers is foreign; the shim is kept too small for TLS.
#pragma once

#include "runtime/shim/probe.hpp"
#include "runtime/shim/record.hpp"

namespace moored::probe {

// The descriptor on which moored-probe finds the pod's network namespace, unless the network is the
// node's.
inline constexpr int kNetworkDescriptor = 4;

// request: host (an address, or localhost), port, path, headers and timeoutMillis, as the shim's
// http probes have them; the network is that of this process. The certificate is not verified, as
// the kubelet does not: a probe asks whether the pod answers, not who it is. Redirects to the same
// host are followed. Blocks up to the request's timeout. Unknown: nothing could be asked.
shim::ProbeAnswer run_tls_probe(const shim::Record& request);

}  // namespace moored::probe
