#include "gitsync/repo/address.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <utility>

#include "gitsync/repo/names.hpp"
#include "gitsync/repo/url.hpp"

namespace moored::git {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

}  // namespace

Result<std::vector<std::string>> find_addresses(const std::string& host, bool allow_local) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw);
  const std::unique_ptr<addrinfo, FreeAddresses> list(raw);
  if (code != 0) {
    return Unexpected(Error{Code::unavailable, "find the address of " + show_text(host, 253) +
                                                   ": " + ::gai_strerror(code),
                            "FetchFailed", {}, "look at the name and the name servers"});
  }
  std::vector<std::string> found;
  for (const addrinfo* entry = raw; entry != nullptr; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    const bool usable = found.size() < kTriedAddresses &&
                        is_reachable(entry->ai_addr, allow_local) &&
                        ::getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(),
                                      nullptr, 0, NI_NUMERICHOST) == 0;
    if (usable) found.emplace_back(text.data());
  }
  if (!found.empty()) return found;
  return Unexpected(Error{
      Code::denied, "the name of the server leads to this machine or to a reserved address",
      "URLNotAllowed", {}, "name the git server's own address, or set sources.allowLocal"});
}

}  // namespace moored::git
