// The head of an answer: what stands in it, and what cannot get into it.
#include "net/api/answer_head.hpp"

#include <catch2/catch.hpp>

#include "schema/codec/text.hpp"

namespace moored::net::api {
namespace {

const Time kTime = *parse_time("2026-03-01T10:00:00Z");

TEST_CASE("api answer head: the headers of an answer") {
  CHECK(make_answer_head(make_json("{}"), {false, true, kTime}) ==
        "HTTP/1.1 200 OK\r\n"
        "Date: Sun, 01 Mar 2026 10:00:00 GMT\r\n"
        "Content-Type: application/json\r\n"
        "Cache-Control: no-cache, private\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Content-Length: 2\r\n"
        "\r\n");
  const auto closing = make_answer_head(make_json("{}"), {false, false, kTime});
  CHECK(closing.find("\r\nConnection: close\r\n") != std::string::npos);
  const auto old = make_answer_head(make_json("{}"), {true, true, kTime});
  CHECK(old.find("\r\nConnection: keep-alive\r\n") != std::string::npos);
}

TEST_CASE("api answer head: a value cannot start another header") {
  auto response = make_json("{}");
  response.headers = {{"X-Name", std::string("a\r\nSet-Cookie: b\nc\0d", 20)}};
  const auto head = make_answer_head(response, {false, true, kTime});
  CHECK(head.find("\r\nSet-Cookie") == std::string::npos);
  CHECK(head.find("\nc") == std::string::npos);
  CHECK(head.find('\0') == std::string::npos);
}

TEST_CASE("api answer head: a refusal has the reason of its status") {
  struct Row {
    int status;
    const char* reason;
  };
  for (const auto& row : {Row{400, "BadRequest"}, Row{401, "Unauthorized"}, Row{403, "Forbidden"},
                          Row{413, "RequestEntityTooLarge"}, Row{421, "MisdirectedRequest"},
                          Row{429, "TooManyRequests"}, Row{505, "HTTPVersionNotSupported"}}) {
    const auto refused = make_refusal(row.status, "why \"so\"");
    CHECK(refused.status == row.status);
    const auto body = read_json(*refused.body);
    REQUIRE(body);
    CHECK(body->find("reason")->scalar == row.reason);
    CHECK(body->find("message")->scalar == "why \"so\"");
  }
}

}  // namespace
}  // namespace moored::net::api
