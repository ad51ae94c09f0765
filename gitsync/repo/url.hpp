// Which URLs a source may have: the one input that decides whom the node talks to. Pure.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.hpp"

namespace moored::git {

enum class Transport { local, http, https, git };

// A source URL that passed, taken apart.
struct SourceUrl {
  Transport transport = Transport::https;
  std::string url;   // as libgit2 takes it; for local a path
  std::string host;  // lower case, without brackets; empty for local
};

// Judges a source URL. allow_local admits local paths, file:// and this machine's own addresses;
// link-local addresses, commands, credentials in the URL and other schemes are never admitted.
// Names are judged as written: no look-up is made.
// Errors: denied (reason URLNotAllowed); the text of the URL is in no message.
Result<SourceUrl> check_source_url(std::string_view url, bool allow_local);

}  // namespace moored::git
