// Certificate and tokens of the API as the operator gave them.
#pragma once

#include <string>

#include "net/api/server.hpp"
#include "reconciler/daemon/configuration.hpp"
#include "schema/base/random.hpp"
#include "schema/base/result.hpp"

namespace moored {

// Opens what the configuration names and puts it into the options; touches nothing else, so that a
// mistake stops a start that has done nothing yet. The token that was drawn for moorctl of this
// machine; empty: none is needed.
// Errors: those of Tls and TokenFile, each with the flag that named the file.
Result<std::string> open_access(const Configuration& configuration, Random& random,
                                net::ApiOptions& options);

// Tells moorctl where the API listens (run-dir/api.json) and root's the token (run-dir/api.token).
Status write_api_files(const Configuration& configuration, const std::string& listen,
                       const std::string& local_token);
// ADDRESS:PORT, with brackets where they are needed.
std::string format_listen(const std::string& address, int port);

}  // namespace moored
