// Which addresses a server's name leads to, judged before anybody connects.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::git {

// A name with more addresses than these has enough that answer.
inline constexpr std::size_t kTriedAddresses = 4;

// The addresses of a host in the resolver's order, without those that may not be connected to: a
// name that leads to this machine or to a metadata service is refused, whoever said so. Waits for
// the resolver. Errors: denied (URLNotAllowed: none is left), unavailable (FetchFailed).
Result<std::vector<std::string>> find_addresses(const std::string& host, bool allow_local);

}  // namespace moored::git
