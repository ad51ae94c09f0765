// Which URLs a source may have: the one input that decides whom the node talks to. Pure.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.hpp"

struct sockaddr;

namespace moored::git {

enum class Transport { local, http, https, git, ssh };

// A source URL that passed, taken apart.
struct SourceUrl {
  Transport transport = Transport::https;
  std::string url;   // as libgit2 takes it; for local a path
  std::string host;  // lower case, without brackets; empty for local
  int port = 0;      // as written; 0: the scheme's own
  bool own = false;  // this machine itself, as far as the name tells
};

// Judges a source URL. allow_local admits local paths, file:// and this machine's own addresses;
// link-local addresses, commands, passwords in the URL and other schemes are never admitted. A user
// is admitted for ssh alone, also in the form user@host:path.
// Names are judged as written: no look-up is made.
// Errors: denied (reason URLNotAllowed); the text of the URL is in no message.
Result<SourceUrl> check_source_url(std::string_view url, bool allow_local);

// The text of a remote URL with an address (IPv4 or IPv6, without brackets) in place of its host.
std::string with_address(const SourceUrl& url, const std::string& address);

// Judges an address that a name has led to, by the same rule. address is a sockaddr of an Internet
// family; other families are refused.
bool is_reachable(const sockaddr* address, bool allow_local);

}  // namespace moored::git
