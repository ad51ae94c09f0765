// The exchange with one repository of one registry: challenges, tokens, redirects.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "runtime/image/registry_wire.hpp"
#include "runtime/registry/challenge.hpp"
#include "runtime/registry/http.hpp"

namespace moored::registry {

inline constexpr int kMaxRedirects = 5;
inline constexpr std::size_t kMaxTokenBytes = 64U << 10U;

// Where the parts of an answer go, in order.
struct AnswerSink {
  std::function<Status(const image::RegistryHead&)> head;
  std::function<Status(std::string_view)> piece;
};

// Source: OCI distribution specification; the registry's token authentication specification.
// One thread. Borrows the client.
class RegistrySession {
 public:
  // Seconds of some steady clock, for the end of tokens.
  using Seconds = std::function<std::int64_t()>;

  // Errors: invalid (URLNotAllowed: base is none).
  static Result<RegistrySession> create(image::RegistryAccess access, HttpClient& client,
                                        Seconds clock);

  // Answers one ask (manifest or blob). Bytes are handed on unchecked: whoever asked knows the
  // digest. Errors: not_found (ManifestUnknown, BlobUnknown), denied (Unauthorized, RealmRefused,
  // RedirectRefused), unavailable (the registry's trouble; ConnectionLost in the middle), timeout,
  // exhausted (more bytes than the limit), those of HttpClient and of the sink.
  Status answer(const image::RegistryAsk& ask, const AnswerSink& sink);

 private:
  struct Token {
    std::string text;
    std::int64_t good_until = 0;
  };
  RegistrySession(image::RegistryAccess access, std::string origin, HttpClient& client,
                  Seconds clock);

  // One request to the registry, redirects included; whatever the status.
  Result<HttpResponse> fetch(const HttpRequest& request, const BodySink& sink);
  Result<HttpResponse> fetch_authorized(HttpRequest request, const BodySink& sink);
  // The header that meets one of the challenges, or nothing when none can be met.
  Result<std::optional<std::string>> authorize(const std::vector<Challenge>& challenges,
                                               const image::RegistryLogin* login);
  Result<std::string> fetch_token(const Challenge& challenge, const image::RegistryLogin* login);
  Status check_realm(const std::string& realm) const;
  Result<Token> ask_token(const Challenge& challenge, const image::RegistryLogin* login);
  Status follow(HttpRequest& request, const HttpResponse& response) const;
  Error explain(const image::RegistryAsk& ask, const HttpResponse& response) const;

  image::RegistryAccess access_;
  std::string origin_;  // of base
  HttpClient* client_;
  Seconds clock_;
  std::string authorization_;           // what worked last
  std::size_t login_ = 0;               // which of the logins is tried now
  std::map<std::string, Token> tokens_; // by login, realm, service and scope
};

}  // namespace moored::registry
