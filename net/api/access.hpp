// Who may read: by a token, or by a certificate that was verified.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/api/http.hpp"
#include "net/api/tokens.hpp"

namespace moored::net::api {

// The name under which moorctl of this machine reads.
inline constexpr std::string_view kLocalUser = "root@localhost";

// Thread safe.
class Access {
 public:
  // local_token: one more token, for moorctl of this machine; empty: none. tokens may be absent.
  Access(std::unique_ptr<TokenFile> tokens, std::string_view local_token);

  // Whose certificate it is, else whose token; nothing: neither. A token counts only in the
  // Authorization header, because addresses end up in logs.
  std::optional<std::string> find_user(const Request& request, const std::string& peer, Now now);
  // Another number whenever the answer for the same request may have become another.
  std::uint64_t version(Now now) { return tokens_ ? tokens_->version(now) : 0; }

 private:
  std::unique_ptr<TokenFile> tokens_;
  std::vector<TokenRow> local_;
};

// The token of "Authorization: Bearer TOKEN"; empty: there is none.
std::string_view bearer_of(const Request& request);

}  // namespace moored::net::api
