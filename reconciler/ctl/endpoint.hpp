// Where the API is, whom to trust there, and what to show it.
#pragma once

#include <string>

#include "reconciler/ctl/options.hpp"
#include "schema/base/result.hpp"

namespace moored::ctl {

// Everything a client needs before it connects.
struct Endpoint {
  std::string url;      // http://HOST:PORT or https://HOST:PORT
  std::string pin;      // the only certificate to be trusted, in PEM, whatever name it has
  std::string ca_file;  // authorities beside the machine's own; the name must fit then
  std::string token;    // empty: none
  bool local_token = false;  // the token is that of this machine's moorctl
};

// The URL of the API: --server, else run-dir/api.json, else http://127.0.0.1:6446.
std::string find_server(const Options& options);
// The whole. Of the daemon on this machine the certificate is read from the file that it serves,
// and root may read the token that was drawn for moorctl.
// Errors: those of reading the files that options name.
Result<Endpoint> find_endpoint(const Options& options);

// The smallest kubeconfig that every client accepts. authority: certificates in PEM to trust; with
// neither it nor https the client is told not to look. A token only where there is one.
std::string make_kubeconfig(const Endpoint& endpoint, const std::string& authority);
// The certificates that a kubeconfig for the endpoint should trust: of --ca-file, else what this
// machine's daemon serves, else none.
Result<std::string> find_authority(const Options& options);

}  // namespace moored::ctl
