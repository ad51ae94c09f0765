#include "net/api/answer_head.hpp"

#include <array>
#include <ctime>

#include "net/api/failure.hpp"

namespace moored::net::api {
namespace {

std::string http_date(Time now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const std::time_t when = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  std::array<char, 40> text{};
  const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text.data(), size);
}

// A header value cannot start another line, whoever wrote it.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value)
    out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  out += "\r\n";
}

std::string_view reason_of(int status) {
  switch (status) {
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 413:
      return "RequestEntityTooLarge";
    case 429:
      return "TooManyRequests";
    case 421:
      return "MisdirectedRequest";
    case 505:
      return "HTTPVersionNotSupported";
    default:
      return "BadRequest";
  }
}

}  // namespace

std::string make_answer_head(const Response& response, const HeadStyle& style) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out += status_words(response.status);
  out += "\r\n";
  append_header(out, "Date", http_date(style.now));
  append_header(out, "Content-Type", response.content_type);
  append_header(out, "Cache-Control", "no-cache, private");
  append_header(out, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers)
    append_header(out, name, value);
  if (!response.stream) {
    append_header(out, "Content-Length", std::to_string(response.body ? response.body->size() : 0));
  } else if (!style.old) {
    append_header(out, "Transfer-Encoding", "chunked");
  }
  if (!style.keep_alive) append_header(out, "Connection", "close");
  if (style.keep_alive && style.old) append_header(out, "Connection", "keep-alive");
  out += "\r\n";
  return out;
}

Response make_refusal(int status, const std::string& why) {
  auto failure = bad_request(why);
  failure.code = status;
  failure.reason = reason_of(status);
  return refuse(failure);
}

}  // namespace moored::net::api
