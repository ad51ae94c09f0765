#include "gitsync/repo/access.hpp"

#include <array>
#include <string_view>

#include "gitsync/repo/names.hpp"

namespace moored::git {
namespace {

Unexpected refuse(std::string why, std::string fix) {
  return Unexpected(
      Error{Code::denied, std::move(why), "CredentialsRefused", {}, std::move(fix)});
}

// A name that a Secret may have, where its value goes, and for which transports it means a thing.
struct Row {
  std::string_view name;
  std::string Credentials::*target;
  bool for_http;
  bool for_ssh;
};

// Source: source.toolkit.fluxcd.io/v1, "Secret reference"; the second of a pair is the old name.
constexpr std::array<Row, 12> kRows{{{"username", &Credentials::username, true, true},
                                     {"password", &Credentials::password, true, true},
                                     {"bearerToken", &Credentials::bearer_token, true, false},
                                     {"ca.crt", &Credentials::authority, true, false},
                                     {"caFile", &Credentials::authority, true, false},
                                     {"tls.crt", &Credentials::certificate, true, false},
                                     {"certFile", &Credentials::certificate, true, false},
                                     {"tls.key", &Credentials::key, true, false},
                                     {"keyFile", &Credentials::key, true, false},
                                     {"identity", &Credentials::identity, false, true},
                                     {"identity.pub", nullptr, false, true},
                                     {"known_hosts", &Credentials::known_hosts, false, true}}};

// Files end with a newline that belongs to no password; PEM and known_hosts do not mind.
std::string without_line_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// A value that goes into a header must not be able to begin another one.
bool is_one_line(const std::string& text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos;
}

Status judge_http(const Credentials& credentials, const SourceUrl& url) {
  if (!credentials.bearer_token.empty() && !credentials.password.empty()) {
    return refuse("the Secret holds a bearerToken and a password", "keep one of them");
  }
  if (credentials.certificate.empty() != credentials.key.empty()) {
    return refuse("the Secret holds one of tls.crt and tls.key", "put in both");
  }
  const bool secret = !credentials.bearer_token.empty() || !credentials.password.empty();
  if (secret && url.transport == Transport::http && !url.own) {
    return refuse("the credentials would travel over http unencrypted", "use https");
  }
  return {};
}

Status judge_ssh(const Credentials& credentials) {
  if (credentials.identity.empty() && credentials.password.empty()) {
    return refuse("the Secret holds no identity", "put in the private key, best an ed25519 one");
  }
  if (credentials.known_hosts.empty()) {
    return refuse("the Secret holds no known_hosts: the server could be anybody",
                  "put in the output of ssh-keyscan HOST, after comparing it");
  }
  return {};
}

}  // namespace

Result<Credentials> read_credentials(const SecretValues& values, const SourceUrl& url) {
  const bool ssh = url.transport == Transport::ssh;
  const bool http = url.transport == Transport::http || url.transport == Transport::https;
  if (!ssh && !http) {
    return refuse("this kind of URL takes no credentials", "use https or ssh, or no secretRef");
  }
  Credentials credentials;
  for (const auto& [name, value] : values) {
    const Row* row = nullptr;
    for (const auto& known : kRows) {
      if (known.name == name && (ssh ? known.for_ssh : known.for_http)) row = &known;
    }
    if (row == nullptr) {
      return refuse("the Secret holds " + show_text(name, 64) + ", which is nothing for this URL",
                    "remove it");
    }
    if (row->target == nullptr) continue;  // the public half is in the private one
    const bool file = name == "identity" || name == "known_hosts" || value.find("-----BEGIN") == 0;
    credentials.*row->target = file ? value : without_line_end(value);
  }
  for (const std::string* text : {&credentials.username, &credentials.password,
                                  &credentials.bearer_token}) {
    if (!is_one_line(*text)) return refuse("a name, password or token has two lines", "mend it");
  }
  MOORED_CHECK(ssh ? judge_ssh(credentials) : judge_http(credentials, url));
  return credentials;
}

Result<Proxy> read_proxy(const SecretValues& values, const SourceUrl& url, bool allow_local) {
  if (url.transport != Transport::http && url.transport != Transport::https) {
    return refuse("a proxy is for http and https", "remove proxySecretRef");
  }
  Proxy proxy;
  for (const auto& [name, value] : values) {
    if (name == "address") {
      proxy.address = without_line_end(value);
    } else if (name == "username") {
      proxy.username = without_line_end(value);
    } else if (name == "password") {
      proxy.password = without_line_end(value);
    } else {
      return refuse("the proxy's Secret holds " + show_text(name, 64), "remove it");
    }
  }
  auto judged = check_source_url(proxy.address, allow_local);
  if (!judged) return Unexpected(std::move(judged).error().context("the proxy's address"));
  if (judged->transport != Transport::http && judged->transport != Transport::https) {
    return refuse("the proxy's address is not http:// or https://", "write http://host:port");
  }
  return proxy;
}

}  // namespace moored::git
