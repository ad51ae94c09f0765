#include "net/api/head.hpp"

#include <algorithm>

#include "net/api/url.hpp"

namespace moored::net::api {
namespace {

// Source: RFC 9110, section 5.6.2, "tchar". Not isalnum, which depends on the locale.
bool is_token_char(char c) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kSigns.find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// HTTP/d.d, of whatever version.
bool is_version(std::string_view text) {
  return text.size() == 8 && text.substr(0, 5) == "HTTP/" && is_digit(text[5]) && text[6] == '.' &&
         is_digit(text[7]);
}

// Only the form that starts with a single slash; a fragment has no place in a request.
bool is_target(std::string_view text) {
  if (text.empty() || text[0] != '/' || text.substr(0, 2) == "//") return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c < 0x7F && c != '#'; });
}

// Only blanks and tabs surround a value (RFC 9110, section 5.5).
std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// Empty for what is no host: an unclosed bracket, or a port that is not digits.
std::string_view without_port(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return {};
    const auto rest = host.substr(end + 1);
    if (!rest.empty() && (rest[0] != ':' || !std::all_of(rest.begin() + 1, rest.end(), is_digit))) {
      return {};
    }
    return host.substr(1, end - 1);
  }
  const auto colon = host.find(':');
  if (colon == std::string_view::npos) return host;
  const auto port = host.substr(colon + 1);
  if (!std::all_of(port.begin(), port.end(), is_digit)) return {};
  return host.substr(0, colon);
}

// 127.0.0.0/8 in its plain form.
bool is_loopback_address(std::string_view host) {
  if (host == "::1") return true;
  if (host.substr(0, 4) != "127.") return false;
  return std::count(host.begin(), host.end(), '.') == 3 &&
         std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || is_digit(c); });
}

}  // namespace

// The first fault is answered and the connection ends: what follows cannot be told apart.
HeadReader::State HeadReader::refuse(int status, std::string reason) {
  status_ = status;
  reason_ = std::move(reason);
  return State::refused;
}

// Looks at each byte once, however the head is cut into packets: scanned_ remembers the
// place.
HeadReader::State HeadReader::read(std::string_view buffer) {
  while (scanned_ < buffer.size()) {
    const char c = buffer[scanned_];
    const bool after_return = scanned_ > line_start_ && buffer[scanned_ - 1] == '\r';
    const auto byte = static_cast<unsigned char>(c);
    ++scanned_;
    if (c == '\n') {
      // Bare line feeds and returns are how requests are smuggled past a proxy that reads
      // otherwise.
      if (!after_return) return refuse(400, "a line ends without a carriage return");
      const auto line = buffer.substr(line_start_, scanned_ - 2 - line_start_);
      line_start_ = scanned_;
      const auto state = take_line(line);
      if (state != State::more) return state;
      continue;
    }
    if (after_return) return refuse(400, "a carriage return stands alone");
    if ((byte < 0x20 && c != '\r' && c != '\t') || byte == 0x7F) {
      return refuse(400, "the head holds a control character");
    }
    const auto length = scanned_ - line_start_;
    if (!started_ && length > limits_.request_line_bytes) {
      return refuse(414, "the request line is longer than " +
                             std::to_string(limits_.request_line_bytes) + " bytes");
    }
    if (started_ && length > limits_.header_line_bytes) {
      return refuse(
          431, "a header is longer than " + std::to_string(limits_.header_line_bytes) + " bytes");
    }
    if (started_ && header_bytes_ + length > limits_.total_bytes) {
      return refuse(
          431, "the headers are longer than " + std::to_string(limits_.total_bytes) + " bytes");
    }
  }
  return State::more;
}

HeadReader::State HeadReader::take_line(std::string_view line) {
  if (!started_) {
    started_ = true;
    return take_request_line(line);
  }
  header_bytes_ += line.size() + 2;
  return line.empty() ? finish() : take_header(line);
}

// Exactly two blanks: more of them would end up in the version and be refused there.
HeadReader::State HeadReader::take_request_line(std::string_view line) {
  const auto first = line.find(' ');
  const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return refuse(400, "the request line is not one");
  const auto method = line.substr(0, first);
  const auto target = line.substr(first + 1, second - first - 1);
  const auto version = line.substr(second + 1);
  if (!is_token(method)) return refuse(400, "the method is not a word");
  if (!is_version(version)) return refuse(400, "the request line is not one");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return refuse(505, "this version of HTTP is not served");
  if (!is_target(target))
    return refuse(400, "the target must be a path that starts with one slash");
  head_.method = method;
  head_.target = target;
  head_.old = version == "HTTP/1.0";
  return State::more;
}

// A blank before the colon is no token, so it is refused as RFC 9112, section 5.1 asks.
HeadReader::State HeadReader::take_header(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return refuse(400, "a header is not a name, a colon and a value");
  }
  if (head_.headers.size() == limits_.headers) {
    return refuse(431, "there are more than " + std::to_string(limits_.headers) + " headers");
  }
  head_.headers.push_back(
      {std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1)))});
  return State::more;
}

// Everything about the length of the body must be certain, or the next request starts
// wrong.
HeadReader::State HeadReader::finish() {
  int hosts = 0;
  int lengths = 0;
  head_.keep_alive = !head_.old;
  for (const auto& [name, value] : head_.headers) {
    if (same_name(name, "host")) {
      ++hosts;
      head_.host = value;
    } else if (same_name(name, "content-length")) {
      ++lengths;
      const auto size = parse_integer(value);
      if (!size || !std::all_of(value.begin(), value.end(), is_digit)) {
        return refuse(400, "Content-Length is not a number");
      }
      head_.body_bytes = static_cast<std::uint64_t>(*size);
    } else if (same_name(name, "transfer-encoding")) {
      return refuse(400, "Transfer-Encoding is not taken: send Content-Length");
    } else if (same_name(name, "expect")) {
      return refuse(417, "Expect is not served");
    } else if (same_name(name, "connection")) {
      if (same_name(value, "close")) head_.keep_alive = false;
      if (head_.old && same_name(value, "keep-alive")) head_.keep_alive = true;
    }
  }
  if (hosts != 1 || head_.host.empty()) return refuse(400, "there must be one Host header");
  if (lengths > 1) return refuse(400, "there is more than one Content-Length");
  if (head_.body_bytes > 0 && (head_.method == "GET" || head_.method == "HEAD")) {
    return refuse(413, "a GET has no body");
  }
  return State::ready;
}

// A page of a stranger can point its own name at 127.0.0.1; its Host header gives it away.
bool is_known_host(std::string_view host, std::string_view local_address,
                   const std::vector<std::string>& allowed) {
  const auto name = without_port(host);
  if (name.empty()) return false;
  if (same_name(name, "localhost") || is_loopback_address(name) || name == local_address) {
    return true;
  }
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& known) {
    if (known.substr(0, 2) != "*.") return same_name(known, name);
    // One more label in front, as in certificates.
    const auto dot = name.find('.');
    return dot != std::string_view::npos && dot > 0 &&
           same_name(name.substr(dot), std::string_view(known).substr(1));
  });
}

// Browsers send these headers by themselves and no script can leave them out or change
// them.
bool is_foreign_site(const Request& request) {
  const auto site = request.header("sec-fetch-site");
  if (site == "cross-site" || site == "same-site") return true;
  const auto origin = request.header("origin");
  if (origin.empty()) return false;
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return true;
  return !same_name(origin.substr(scheme + 3), request.header("host"));
}

}  // namespace moored::net::api
