#include <algorithm>
#include <cctype>
#include <charconv>

#include "runtime/shim/wire.hpp"

namespace moored::shim {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

bool has_break(std::string_view text) {
  return text.find_first_of("\r\n") != text.npos;
}

// The fields of an answer that matter to a probe.
struct Head {
  int status = 0;
  std::string location;
  std::optional<std::size_t> length;
  bool chunked = false;
};

// "HTTP/1.x NNN…": the reason phrase is nobody's business.
bool read_status(std::string_view line, Head& head) {
  if (line.substr(0, 7) != "HTTP/1." || line.size() < 12) return false;
  const auto digits = line.substr(9, 3);
  const auto read = std::from_chars(digits.data(), digits.data() + 3, head.status);
  return read.ec == std::errc() && read.ptr == digits.data() + 3 && head.status >= 100;
}

// Unknown fields pass; a length that is no number is a broken answer, never a guess.
bool read_field(std::string_view line, Head& head) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto name = lower(line.substr(0, colon));
  const auto value = trim(line.substr(colon + 1));
  if (name == "location") head.location = value;
  if (name == "transfer-encoding") head.chunked = lower(value) == "chunked";
  if (name == "content-length") {
    std::size_t length = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), length);
    if (read.ec != std::errc() || read.ptr != value.data() + value.size()) return false;
    head.length = length;
  }
  return true;
}

// A header line without a colon is refused: it may be the rest of something smuggled.
bool read_head(std::string_view text, Head& head) {
  bool first = true;
  while (!text.empty()) {
    const auto end = text.find("\r\n");
    const auto line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
    if (!(first ? read_status(line, head) : read_field(line, head))) return false;
    first = false;
  }
  return !first;
}

// Appends whole chunks. 1: the last one was read, 0: more is needed, -1: no chunks.
int read_chunks(std::string_view bytes, std::string& body) {
  for (;;) {
    const auto end = bytes.find("\r\n");
    if (end == std::string_view::npos) return bytes.size() > 64 ? -1 : 0;
    std::size_t size = 0;
    const auto read = std::from_chars(bytes.data(), bytes.data() + end, size, 16);
    if (read.ec != std::errc() || read.ptr == bytes.data()) return -1;
    bytes.remove_prefix(end + 2);
    if (size == 0) return 1;
    if (bytes.size() < 2 || bytes.size() - 2 < size) {
      body += bytes.substr(0, size);
      return 0;
    }
    body += bytes.substr(0, size);
    bytes.remove_prefix(size + 2);
  }
}

}  // namespace

std::optional<std::string> make_http_request(const std::string& host, int port,
                                             const std::string& path,
                                             const std::vector<std::string>& headers) {
  std::string fields;
  bool has_host = false, has_agent = false, has_accept = false;
  for (const auto& header : headers) {
    const auto colon = header.find(':');
    if (has_break(header) || colon == std::string::npos || colon == 0) return std::nullopt;
    const auto name = lower(header.substr(0, colon));
    has_host = has_host || name == "host";
    has_agent = has_agent || name == "user-agent";
    has_accept = has_accept || name == "accept";
    fields += header + "\r\n";
  }
  const std::string target = path.empty() || path.front() != '/' ? "/" + path : path;
  if (has_break(target) || target.find(' ') != std::string::npos) return std::nullopt;
  std::string out = "GET " + target + " HTTP/1.1\r\n";
  if (!has_host) out += "Host: " + host + ":" + std::to_string(port) + "\r\n";
  if (!has_agent) out += "User-Agent: kube-probe/1.30\r\n";
  if (!has_accept) out += "Accept: */*\r\n";
  return out + fields + "Connection: close\r\n\r\n";
}

// Reads from the start each time: an answer is cut at 64 KiB.
HttpReply parse_http_reply(std::string_view bytes, bool closed, std::size_t body_limit) {
  constexpr std::size_t kMaxHead = 32U << 10U;
  HttpReply reply;
  const auto broken = closed ? HttpReply::Progress::broken : HttpReply::Progress::more;
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    reply.progress = bytes.size() > kMaxHead ? HttpReply::Progress::broken : broken;
    return reply;
  }
  Head head;
  if (!read_head(bytes.substr(0, end), head)) {
    reply.progress = HttpReply::Progress::broken;
    return reply;
  }
  const auto rest = bytes.substr(end + 4);
  if (head.status < 200) return parse_http_reply(rest, closed, body_limit);  // 100 Continue
  reply.status = head.status;
  reply.location = head.location;
  bool whole = head.status == 204 || head.status == 304;
  if (!whole && head.chunked) {
    const int read = read_chunks(rest, reply.body);
    whole = read == 1;
    if (read < 0) reply.progress = HttpReply::Progress::broken;
  } else if (!whole) {
    reply.body = rest.substr(0, head.length.value_or(rest.size()));
    whole = head.length.has_value() && rest.size() >= *head.length;
  }
  // The status is known: a body that is too long or cut short does not change the outcome.
  if (reply.body.size() > body_limit) {
    reply.body.resize(body_limit);
    whole = true;
  }
  if (whole || (closed && reply.progress != HttpReply::Progress::broken)) {
    reply.progress = HttpReply::Progress::done;
  }
  return reply;
}

Redirect resolve_redirect(const std::string& location, const std::string& host, int port,
                          const std::string& path) {
  Redirect redirect;
  const auto scheme = location.find("://");
  if (scheme != std::string::npos || location.compare(0, 2, "//") == 0) {
    const auto begin = scheme == std::string::npos ? 2 : scheme + 3;
    const auto slash = std::min(location.find_first_of("/?#", begin), location.size());
    const auto authority = location.substr(begin, slash - begin);
    const auto wanted = host + ":" + std::to_string(port);
    const bool plain = scheme == std::string::npos || lower(location.substr(0, scheme)) == "http";
    redirect.other_host = !plain || (authority != wanted && !(authority == host && port == 80));
    redirect.path = location.substr(slash);
  } else if (!location.empty() && location.front() == '/') {
    redirect.path = location;
  } else {
    const auto query = path.substr(0, path.find('?'));
    redirect.path = query.substr(0, query.find_last_of('/') + 1) + location;
  }
  redirect.path = redirect.path.substr(0, redirect.path.find('#'));
  if (redirect.path.empty() || redirect.path.front() != '/') {
    redirect.path.insert(redirect.path.begin(), '/');
  }
  return redirect;
}

}  // namespace moored::shim
