// Who we are for a server, whom we believe, and by which way we reach it.
#pragma once

#include <map>
#include <string>

#include "gitsync/repo/url.hpp"
#include "schema/base/result.hpp"

namespace moored::git {

// What a Secret holds for a server. Everything is text as it stands in the Secret; empty: none.
struct Credentials {
  std::string username;
  std::string password;      // with identity: of the private key
  std::string bearer_token;
  std::string authority;     // ca.crt: certificates in PEM that alone are believed
  std::string certificate;   // tls.crt: our own, in PEM
  std::string key;           // tls.key
  std::string identity;      // private key for ssh
  std::string known_hosts;   // as OpenSSH writes them
  bool operator==(const Credentials&) const = default;
};

// The way to a server that is not reached directly. An empty address: none.
struct Proxy {
  std::string address;       // http://host:port or https://host:port
  std::string username;
  std::string password;
  bool operator==(const Proxy&) const = default;
};

struct ServerAccess {
  Credentials credentials;
  Proxy proxy;
  bool allow_local = false;  // addresses of this machine may be connected to
  bool operator==(const ServerAccess&) const = default;
};

// Names and values of a Secret, or of a directory with a file for each.
using SecretValues = std::map<std::string, std::string>;

// Reads a secretRef's values for a URL, under Flux's names: username, password, bearerToken,
// ca.crt or caFile, tls.crt or certFile, tls.key or keyFile, identity, known_hosts.
// Errors: denied (CredentialsRefused): a name that is none of these or is for another transport, a
// half of a pair, a secret that would travel unencrypted. No value is in any message.
Result<Credentials> read_credentials(const SecretValues& values, const SourceUrl& url);

// Reads a proxySecretRef's values: address, username, password.
// Errors: denied (CredentialsRefused, URLNotAllowed).
Result<Proxy> read_proxy(const SecretValues& values, const SourceUrl& url, bool allow_local);

}  // namespace moored::git
