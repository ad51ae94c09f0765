#include "gitsync/repo/url.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "gitsync/repo/names.hpp"

namespace moored::git {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;

// What an address may be reached for.
enum class Reach { foreign, own, never };

Unexpected refuse(std::string why, std::string fix) {
  return Unexpected(Error{Code::denied, std::move(why), "URLNotAllowed", {}, std::move(fix)});
}

Reach judge_ipv4(std::uint32_t address) {
  const std::uint32_t first = address >> 24U;
  if ((address >> 16U) == 0xa9feU) return Reach::never;       // 169.254/16, metadata services
  if (first >= 224) return Reach::never;                      // multicast, reserved, broadcast
  return first == 127 || first == 0 ? Reach::own : Reach::foreign;
}

Reach judge_ipv6(const in6_addr& address) {
  const auto* bytes = address.s6_addr;
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address)) return Reach::own;
  if (IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MULTICAST(&address)) return Reach::never;
  const bool nat64 = bytes[0] == 0 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b;
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address) || nat64) {
    std::uint32_t inner = 0;
    for (std::size_t i = 12; i < 16; ++i) inner = (inner << 8U) | bytes[i];
    return judge_ipv4(inner);
  }
  return Reach::foreign;
}

// The odd spellings of IPv4 (2130706433, 0x7f.1, 017700000001) are read as the resolver reads them.
Reach judge_host(const std::string& host) {
  in6_addr six{};
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return judge_ipv6(six);
  in_addr four{};
  if (inet_aton(host.c_str(), &four) != 0) return judge_ipv4(ntohl(four.s_addr));
  constexpr std::string_view kOwn = "localhost";
  const bool own = host == kOwn || (host.size() > kOwn.size() + 1 &&
                                    host.compare(host.size() - 10, 10, ".localhost") == 0);
  return own ? Reach::own : Reach::foreign;
}

bool is_plain(char c) { return c > 0x20 && c < 0x7f && c != '\\' && c != '"' && c != '\''; }

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

// Not what a program would take for an option.
bool is_user(std::string_view user) {
  if (user.empty() || user.size() > 64 || user.front() == '-') return false;
  return std::all_of(user.begin(), user.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_';
  });
}

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  int port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    port = port * 10 + (c - '0');
  }
  return port >= 1 && port <= 65535;
}

struct Authority {
  std::string host;
  int port = 0;
};

// Host and port of what stands between "://" and the first slash. Nothing: not such a thing.
std::optional<Authority> read_authority(std::string_view authority) {
  std::string host;
  std::string_view rest;
  if (!authority.empty() && authority.front() == '[') {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = authority.substr(1, end - 1);
    rest = authority.substr(end + 1);
    in6_addr six{};
    if (inet_pton(AF_INET6, host.c_str(), &six) != 1) return std::nullopt;
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    host = authority.substr(0, colon);
    rest = authority.substr(colon);
    std::transform(host.begin(), host.end(), host.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    while (!host.empty() && host.back() == '.') host.pop_back();
    if (!is_host_name(host)) return std::nullopt;
  }
  if (rest.empty()) return Authority{host, 0};
  if (rest.front() != ':' || !is_port(rest.substr(1))) return std::nullopt;
  return Authority{host, std::stoi(std::string(rest.substr(1)))};
}

Result<SourceUrl> check_local(std::string_view path, bool allow_local) {
  if (!allow_local) {
    return refuse("a path on this machine is no source here",
                  "set sources.allowLocal, or give the path with --git");
  }
  return SourceUrl{Transport::local, std::string(path), {}, 0, true};
}

Result<SourceUrl> check_remote(Transport transport, std::string_view url,
                               std::string_view authority, bool allow_local) {
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    // A user of ssh is no secret; a password is one, and for http so may be the user.
    const std::string_view user = authority.substr(0, at);
    if (transport != Transport::ssh || !is_user(user)) {
      return refuse("the URL carries a user or a password",
                    "leave the credentials out of the URL and name them in secretRef");
    }
    authority.remove_prefix(at + 1);
  }
  const auto read = read_authority(authority);
  if (!read) return refuse("the URL names no usable host and port", "write https://host/path");
  SourceUrl out{transport, std::string(url), read->host, read->port, false};
  switch (judge_host(read->host)) {
    case Reach::foreign: break;
    case Reach::never:
      return refuse("the URL leads to a link-local or reserved address",
                    "name the git server's own address");
    case Reach::own:
      out.own = true;
      if (allow_local) break;
      return refuse("the URL leads to this machine itself", "set sources.allowLocal");
  }
  return out;
}

// user@host:path, as git and ssh write it, in the form that is judged. The path is below the user's
// home, which no URL can say, so that libgit2 takes the text as it is.
std::optional<std::string> from_scp_form(std::string_view url) {
  const std::size_t colon = url.find(':');
  const std::size_t at = url.find('@');
  if (at == std::string_view::npos || colon == std::string_view::npos || at > colon) return {};
  if (url.find("://") != std::string_view::npos || url.find('/') < colon) return {};
  const std::string_view path = url.substr(colon + 1);
  if (path.empty()) return {};
  return "ssh://" + std::string(url.substr(0, colon)) + (path.front() == '/' ? "" : "/") +
         std::string(path);
}

struct Scheme {
  std::string_view prefix;
  Transport transport;
};
constexpr std::array<Scheme, 5> kSchemes{{{"https://", Transport::https},
                                          {"ssh://", Transport::ssh},
                                          {"http://", Transport::http},
                                          {"git://", Transport::git},
                                          {"file://", Transport::local}}};

}  // namespace

Result<SourceUrl> check_source_url(std::string_view url, bool allow_local) {
  if (url.empty()) return refuse("the URL is empty", "write https://host/path");
  if (url.size() > kMaxUrlBytes) return refuse("the URL is longer than 2048 bytes", "shorten it");
  if (url.front() == '/' && show_text(url) == url) return check_local(url, allow_local);
  if (!std::all_of(url.begin(), url.end(), is_plain)) {
    return refuse("the URL holds spaces, quotes, control or foreign characters",
                  "encode them with %");
  }
  if (const auto ssh = from_scp_form(url)) {
    MOORED_TRY(SourceUrl judged, check_source_url(*ssh, allow_local));
    judged.url = url;
    return judged;
  }
  for (const auto& scheme : kSchemes) {
    if (url.substr(0, scheme.prefix.size()) != scheme.prefix) continue;
    const std::string_view rest = url.substr(scheme.prefix.size());
    if (scheme.transport == Transport::local) {
      if (rest.empty() || rest.front() != '/') {
        return refuse("file:// takes an absolute path without a host", "write file:///path");
      }
      return check_local(rest, allow_local);
    }
    return check_remote(scheme.transport, url, rest.substr(0, rest.find_first_of("/?#")),
                        allow_local);
  }
  return refuse("the URL has a scheme that is not carried out",
                "use https://, ssh://, http:// or git://, or a local path where it is allowed");
}

// The host is what stands between the last @ of the authority and its port, if it has one; in the
// form of ssh it ends at the first colon.
std::string with_address(const SourceUrl& url, const std::string& address) {
  const std::string literal =
      address.find(':') == std::string::npos ? address : '[' + address + ']';
  const std::size_t scheme = url.url.find("://");
  const std::size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t authority_end = scheme == std::string::npos
                                        ? url.url.find(':')
                                        : std::min(url.url.find_first_of("/?#", start),
                                                   url.url.size());
  const std::size_t at = url.url.rfind('@', authority_end);
  const std::size_t host = at == std::string::npos || at < start ? start : at + 1;
  std::size_t end = authority_end;
  if (url.url[host] == '[') {
    end = url.url.find(']', host) + 1;
  } else if (scheme != std::string::npos) {
    end = std::min(url.url.find(':', host), authority_end);
  }
  return url.url.substr(0, host) + literal + url.url.substr(end);
}

bool is_reachable(const sockaddr* address, bool allow_local) {
  Reach reach = Reach::never;
  if (address->sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, address, sizeof four);
    reach = judge_ipv4(ntohl(four.sin_addr.s_addr));
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, address, sizeof six);
    reach = judge_ipv6(six.sin6_addr);
  }
  return reach == Reach::foreign || (reach == Reach::own && allow_local);
}

}  // namespace moored::git
