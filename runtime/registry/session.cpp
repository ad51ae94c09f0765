#include "runtime/registry/session.hpp"

#include <algorithm>
#include <charconv>

#include "runtime/image/names.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"

namespace moored::registry {
namespace {

using image::RegistryAsk;
using image::RegistryHead;
using image::RegistryLogin;

constexpr std::int64_t kTokenSeconds = 60;        // when the server does not say
constexpr std::int64_t kTokenReserveSeconds = 10; // a token is not used in its last seconds
// An old and a new form of index and manifest; a registry may have either.
const std::vector<std::string> kManifestTypes{
    "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json"};

Unexpected refuse(const char* reason, std::string what, std::string fix = {}) {
  return Unexpected(Error{Code::denied, std::move(what), reason, {}, std::move(fix)});
}

std::string header_of(const HttpResponse& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? std::string() : found->second;
}

// The first number of "bytes 100-199/200".
std::int64_t read_range_start(const HttpResponse& response) {
  if (response.status != 206) return 0;
  const auto text = header_of(response, "content-range");
  const auto digit = text.find_first_of("0123456789");
  std::int64_t start = 0;
  if (digit == std::string::npos) return -1;
  std::from_chars(text.data() + digit, text.data() + text.size(), start);
  return start;
}

RegistryHead make_head(const HttpResponse& response) {
  auto type = header_of(response, "content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  return {type, header_of(response, "docker-content-digest"), read_range_start(response)};
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// True for names by which an operator means this machine, so that strangers' rules do not apply.
bool is_loopback(const std::string& origin) {
  return image::is_loopback_host(origin.substr(origin.find("://") + 3));
}

std::string read_text(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  return value != nullptr && value->type == Value::Type::text ? value->scalar : std::string();
}

std::string make_basic(const RegistryLogin& login) {
  return "Basic " + base64_encode(login.user + ":" + login.password);
}

// Header lines are put together from it: nothing but visible characters.
bool is_token_text(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return c > 32 && c < 127; });
}

}  // namespace

RegistrySession::RegistrySession(image::RegistryAccess access, std::string origin,
                                 HttpClient& client, Seconds clock)
    : access_(std::move(access)),
      origin_(std::move(origin)),
      client_(&client),
      clock_(std::move(clock)) {}

Result<RegistrySession> RegistrySession::create(image::RegistryAccess access, HttpClient& client,
                                                Seconds clock) {
  MOORED_TRY(auto origin, read_origin(access.base));
  return RegistrySession(std::move(access), std::move(origin), client, std::move(clock));
}

// ---- redirects ----

// Another host gets the request without the credentials, and never by a weaker protocol.
Status RegistrySession::follow(HttpRequest& request, const HttpResponse& response) const {
  const auto location = header_of(response, "location");
  const auto target = location.empty() ? Result<std::string>(fail(Code::invalid, "no location"))
                                       : resolve_location(request.url, location);
  const auto origin = target ? read_origin(*target) : Result<std::string>(std::string());
  const bool https = origin && origin->rfind("https://", 0) == 0;
  if (!target || !origin || (!https && origin_.rfind("https://", 0) == 0)) {
    return refuse("RedirectRefused", "the registry " + origin_ + " leads to " +
                                         location.substr(0, 256));
  }
  request.url = *target;
  if (*origin != origin_) {
    request.authorization.clear();
    request.foreign = !is_loopback(origin_);
  }
  return {};
}

Result<HttpResponse> RegistrySession::fetch(const HttpRequest& request, const BodySink& sink) {
  HttpRequest next = request;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    MOORED_TRY(auto response, client_->send(next, sink));
    if (!is_redirect(response.status)) {
      // Only the registry itself may ask for credentials.
      if (next.authorization.empty() && next.foreign) response.challenges.clear();
      return response;
    }
    MOORED_CHECK(follow(next, response));
  }
  return refuse("RedirectRefused", "the registry " + origin_ + " redirects without end");
}

// ---- credentials ----

// A realm gets the user's password, so the registry alone does not decide who it is.
Status RegistrySession::check_realm(const std::string& realm) const {
  const auto origin = read_origin(realm);
  const auto& allowed = access_.realms;
  const bool good = origin && (*origin == origin_ || std::find(allowed.begin(), allowed.end(),
                                                               *origin) != allowed.end());
  if (good) return {};
  return refuse("RealmRefused",
                "the registry " + origin_ + " sends the request for a token to " +
                    realm.substr(0, 256),
                "if that is right, name it in images.registries[].realms");
}

// Source: token authentication specification; with an identity token its OAuth 2 form.
Result<RegistrySession::Token> RegistrySession::ask_token(const Challenge& challenge,
                                                          const RegistryLogin* login) {
  const auto scope = challenge.scope.empty() ? "repository:" + access_.repository + ":pull"
                                             : challenge.scope;
  const auto query =
      "service=" + escape_query(challenge.service) + "&scope=" + escape_query(scope);
  HttpRequest request;
  request.url = challenge.realm;
  if (login != nullptr && !login->identity_token.empty()) {
    request.form = "grant_type=refresh_token&client_id=moored&" + query +
                   "&refresh_token=" + escape_query(login->identity_token);
  } else {
    request.url += (request.url.find('?') == std::string::npos ? '?' : '&') + query;
    if (login != nullptr) request.authorization = make_basic(*login);
  }
  std::string body;
  MOORED_TRY(const auto response,
             client_->send(request, [&](const HttpResponse&, std::string_view bytes) -> Status {
               body.append(bytes);
               if (body.size() <= kMaxTokenBytes) return {};
               return fail(Code::exhausted, "the token is longer than 64 KiB");
             }));
  if (response.status == 401 || response.status == 403) {
    return refuse("Unauthorized", "the token server refuses the credentials");
  }
  const auto value = read_json(body);
  if (response.status != 200 || !value || !value->is_map()) {
    return Unexpected(Error{Code::unavailable,
                            "the token server answered with status " +
                                std::to_string(response.status) + " and no token",
                            {}, {}, {}});
  }
  Token token;
  token.text = read_text(*value, "token");
  if (token.text.empty()) token.text = read_text(*value, "access_token");
  if (!is_token_text(token.text)) return fail(Code::unavailable, "the token server gave no token");
  std::int64_t seconds = kTokenSeconds;
  if (const auto* said = value->find("expires_in")) {
    std::from_chars(said->scalar.data(), said->scalar.data() + said->scalar.size(), seconds);
  }
  seconds = std::clamp<std::int64_t>(seconds, kTokenSeconds, 3600);
  token.good_until = clock_() + seconds - kTokenReserveSeconds;
  return token;
}

Result<std::string> RegistrySession::fetch_token(const Challenge& challenge,
                                                 const RegistryLogin* login) {
  MOORED_CHECK(check_realm(challenge.realm));
  const auto key = std::to_string(login_) + ' ' + challenge.realm + ' ' + challenge.service + ' ' +
                   challenge.scope;
  auto& kept = tokens_[key];
  // A token that is refused before its time has lost its worth: authorization_ holds it.
  const bool refused = authorization_ == "Bearer " + kept.text;
  if (kept.text.empty() || refused || clock_() >= kept.good_until) {
    MOORED_TRY(kept, ask_token(challenge, login));
  }
  return "Bearer " + kept.text;
}

Result<std::optional<std::string>> RegistrySession::authorize(
    const std::vector<Challenge>& challenges, const RegistryLogin* login) {
  for (const auto& challenge : challenges) {
    if (challenge.scheme == "bearer") {
      MOORED_TRY(auto header, fetch_token(challenge, login));
      return std::optional<std::string>(std::move(header));
    }
    const bool usable = login != nullptr && login->identity_token.empty();
    if (challenge.scheme == "basic" && usable) return std::optional(make_basic(*login));
  }
  return std::optional<std::string>();
}

// First as before, then with each login in turn; a login is given two tries, because a token may
// just have run out.
Result<HttpResponse> RegistrySession::fetch_authorized(HttpRequest request, const BodySink& sink) {
  const std::size_t logins = std::max<std::size_t>(access_.logins.size(), 1);
  request.authorization = authorization_;
  MOORED_TRY(auto response, fetch(request, sink));
  while (response.status == 401 && login_ < logins) {
    const auto* login = access_.logins.empty() ? nullptr : &access_.logins[login_];
    auto header = authorize(parse_challenges(response.challenges), login);
    if (!header && header.error().reason != "Unauthorized") {
      return Unexpected(std::move(header).error());
    }
    if (!header || !*header || **header == request.authorization) {
      ++login_;
      continue;
    }
    request.authorization = **header;
    MOORED_TRY(response, fetch(request, sink));
    if (response.status == 401) {
      ++login_;
    } else {
      authorization_ = request.authorization;
    }
  }
  return response;
}

// ---- answers ----

// Kubernetes' and the registry's words for why nothing came.
Error RegistrySession::explain(const RegistryAsk& ask, const HttpResponse& response) const {
  const auto words = read_error_words(response.body);
  const auto said = words.empty() ? std::string() : " (" + words + ")";
  const bool manifest = ask.kind == RegistryAsk::Kind::manifest;
  switch (response.status) {
    case 401:
    case 403:
      return {Code::denied,
              "pull access denied, repository does not exist or may require authorization" + said,
              "Unauthorized", {}, "give credentials by imagePullSecrets or images.credentialsFile"};
    case 404:
      return {Code::not_found, "not found" + said, manifest ? "ManifestUnknown" : "BlobUnknown", {},
              {}};
    case 429:
      return {Code::unavailable, "the registry " + origin_ + " has had too many requests" + said,
              "TooManyRequests", {}, {}};
    default:
      return {Code::unavailable,
              "the registry " + origin_ + " answered with status " +
                  std::to_string(response.status) + said,
              {}, {}, {}};
  }
}

Status RegistrySession::answer(const RegistryAsk& ask, const AnswerSink& sink) {
  const bool manifest = ask.kind == RegistryAsk::Kind::manifest;
  HttpRequest request;
  request.url = access_.base + "/v2/" + access_.repository +
                (manifest ? "/manifests/" : "/blobs/") + ask.reference;
  if (!access_.origin.empty()) request.url += "?ns=" + escape_query(access_.origin);
  if (manifest) request.accept = kManifestTypes;
  request.offset = ask.offset;
  bool begun = false;
  std::int64_t left = ask.limit;
  const auto begin = [&](const HttpResponse& response) -> Status {
    if (std::exchange(begun, true)) return {};
    const auto head = make_head(response);
    if (head.offset != 0 && head.offset != ask.offset) {
      return fail(Code::corrupt, "the registry sent another part than was asked for");
    }
    if (head.offset == 0) left += ask.offset;
    return sink.head(head);
  };
  MOORED_TRY(const auto response,
             fetch_authorized(std::move(request), [&](const HttpResponse& head,
                                                      std::string_view bytes) -> Status {
               MOORED_CHECK(begin(head));
               left -= static_cast<std::int64_t>(bytes.size());
               if (left < 0) {
                 return fail(Code::exhausted, "the registry sends more than was announced");
               }
               return sink.piece(bytes);
             }));
  if (response.status != 200 && response.status != 206) {
    return Unexpected(explain(ask, response));
  }
  return begin(response);  // an empty body has a head as well
}

}  // namespace moored::registry
