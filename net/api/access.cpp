#include "net/api/access.hpp"

#include "schema/host/sha256.hpp"

namespace moored::net::api {

std::string_view bearer_of(const Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto header = request.header("authorization");
  if (!same_name(header.substr(0, kScheme.size()), kScheme)) return {};
  auto token = header.substr(kScheme.size());
  while (!token.empty() && token.front() == ' ')
    token.remove_prefix(1);
  return token;
}

Access::Access(std::unique_ptr<TokenFile> tokens, std::string_view local_token)
    : tokens_(std::move(tokens)) {
  if (local_token.empty()) return;
  local_.push_back({std::string(kLocalUser), sha256_hex(local_token), std::nullopt});
}

std::optional<std::string> Access::find_user(const Request& request, const std::string& peer,
                                             Now now) {
  if (!peer.empty()) return peer;
  const auto token = bearer_of(request);
  if (auto name = find_name(local_, token, now.wall)) return name;
  if (!tokens_) return std::nullopt;
  return tokens_->find_user(token, now);
}

}  // namespace moored::net::api
