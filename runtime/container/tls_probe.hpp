// HTTPS probes: spoken by the daemon, from inside the pod's network, because the shim is kept too
// small for TLS.
#pragma once

#include <string>

#include "schema/base/result.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

// One GET over TLS. The certificate is not verified, as the kubelet does not: a probe asks whether
// the pod answers, not who it is. net_namespace: the pin of the pod's network; empty: the node's.
// Redirects to the same host are followed. Blocks up to the request's timeout. Thread safe.
ProbeResult run_tls_probe(const ProbeRequest& request, const std::string& net_namespace);

}  // namespace moored::container
