// The bytes of http and grpc probes.
#include <catch2/catch.hpp>
#include <string>

#include "runtime/shim/probe.hpp"
#include "runtime/shim/wire.hpp"
#include "schema/base/random.hpp"

using namespace moored;
using namespace moored::shim;

namespace {

constexpr std::size_t kLimit = 10'240;
using Http = HttpReply::Progress;
using Health = HealthReply::Progress;

HttpReply parse(const std::string& bytes, bool closed = false) {
  return parse_http_reply(bytes, closed, kLimit);
}

// One HTTP/2 frame.
std::string frame(int type, int flags, int stream, const std::string& payload) {
  std::string out;
  for (const unsigned shift : {16U, 8U, 0U})
    out += static_cast<char>(payload.size() >> shift & 255U);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += std::string("\0\0\0", 3) + static_cast<char>(stream);
  return out + payload;
}

std::string message(const std::string& body) {
  return std::string("\0\0\0\0", 4) + static_cast<char>(body.size()) + body;
}

HealthReply judge(const std::string& bytes) {
  std::size_t seen = 0;
  return parse_health_reply(bytes, seen);
}

}  // namespace

TEST_CASE("a request names host, agent and path, and takes headers over") {
  CHECK(*make_http_request("10.0.0.1", 8080, "healthz", {}) ==
        "GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:8080\r\nUser-Agent: kube-probe/1.30\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n");
  const auto own = make_http_request("h", 1, "/", {"host: web", "ACCEPT: x", "User-Agent: me"});
  CHECK(*own ==
        "GET / HTTP/1.1\r\nhost: web\r\nACCEPT: x\r\nUser-Agent: me\r\n"
        "Connection: close\r\n\r\n");
}

TEST_CASE("nothing can be smuggled into a request") {
  CHECK_FALSE(make_http_request("h", 1, "/", {"A: b\r\nX: y"}));
  CHECK_FALSE(make_http_request("h", 1, "/", {"A: b\nX: y"}));
  CHECK_FALSE(make_http_request("h", 1, "/", {"nameless"}));
  CHECK_FALSE(make_http_request("h", 1, "/", {": x"}));
  CHECK_FALSE(make_http_request("h", 1, "/a b", {}));
  CHECK_FALSE(make_http_request("h", 1, "/a\r\nX: y", {}));
}

TEST_CASE("answers by length, by chunks and by end") {
  const auto by_length = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloXX");
  CHECK(by_length.progress == Http::done);
  CHECK(by_length.status == 200);
  CHECK(by_length.body == "hello");
  const std::string chunked =
      "HTTP/1.1 503 No\r\ntransfer-encoding: CHUNKED\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
  CHECK(parse(chunked).progress == Http::done);
  CHECK(parse(chunked).body == "abcde");
  CHECK(parse(chunked).status == 503);
  const std::string open = "HTTP/1.0 200 OK\r\n\r\nbody";
  CHECK(parse(open).progress == Http::more);
  CHECK(parse(open, true).progress == Http::done);
  CHECK(parse(open, true).body == "body");
  CHECK(parse("HTTP/1.1 204 No Content\r\n\r\n").progress == Http::done);
  CHECK(parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").status ==
        200);
}

TEST_CASE("what is not HTTP is told apart from what is not whole") {
  const std::string whole = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nab";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    REQUIRE(parse(whole.substr(0, length)).progress == Http::more);
  }
  CHECK(parse(whole).location == "/x");
  CHECK(parse("", true).progress == Http::broken);
  CHECK(parse("SSH-2.0-x\r\n\r\n").progress == Http::broken);
  CHECK(parse("HTTP/1.1 abc OK\r\n\r\n").progress == Http::broken);
  CHECK(parse("HTTP/1.1 200 OK\r\nnocolon\r\n\r\n").progress == Http::broken);
  CHECK(parse("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n").progress == Http::broken);
  CHECK(parse("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n").progress ==
        Http::broken);
  const std::string bad_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n";
  CHECK(parse(bad_chunk, true).progress == Http::broken);
  CHECK(parse(std::string(40'000, 'x')).progress == Http::broken);
}

TEST_CASE("a body beyond the limit is cut and decides nothing") {
  const auto reply = parse("HTTP/1.1 200 OK\r\n\r\n" + std::string(20'000, 'x'));
  CHECK(reply.progress == Http::done);
  CHECK(reply.body.size() == kLimit);
  CHECK(parse("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", true).progress == Http::done);
}

TEST_CASE("any bytes are judged without harm") {
  SeededRandom random(99);
  const std::string base =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLocation: /\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = base.substr(0, random.below(base.size() + 1));
    for (std::uint64_t k = random.below(4); k > 0 && !bytes.empty(); --k) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    const auto reply = parse(bytes, random.below(2) == 1);
    REQUIRE(reply.body.size() <= kLimit);
    std::size_t seen = 0;
    const auto health = parse_health_reply(bytes, seen);
    REQUIRE(health.to_send.size() <= bytes.size() * 2);
  }
}

TEST_CASE("redirects stay on the host or are told") {
  const auto to = [](const char* location) {
    return resolve_redirect(location, "10.0.0.1", 8080, "/a/b?q");
  };
  CHECK(to("/x").path == "/x");
  CHECK_FALSE(to("/x").other_host);
  CHECK(to("c").path == "/a/c");
  CHECK(to("http://10.0.0.1:8080/y?z#f").path == "/y?z");
  CHECK_FALSE(to("http://10.0.0.1:8080/y").other_host);
  CHECK(to("http://10.0.0.1:8080").path == "/");
  CHECK(to("http://10.0.0.1:81/y").other_host);
  CHECK(to("https://10.0.0.1:8080/y").other_host);
  CHECK(to("http://example.com/").other_host);
  CHECK(to("//example.com/").other_host);
}

TEST_CASE("a health request is preface, settings, headers and message") {
  const auto request = make_health_request("10.0.0.1:50051", "svc");
  CHECK(request.compare(0, 24, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 0);
  CHECK(request.find("/grpc.health.v1.Health/Check") != std::string::npos);
  CHECK(request.find("10.0.0.1:50051") != std::string::npos);
  const std::string body = std::string("\0\0\0\0\5\x0a\3svc", 10);
  CHECK(request.substr(request.size() - body.size()) == body);
  const auto plain = make_health_request("h:1", "");
  CHECK(plain.substr(plain.size() - 5) == std::string(5, '\0'));
  const std::string longest(300, 's');
  CHECK(make_health_request("h:1", longest).find(longest) != std::string::npos);
}

TEST_CASE("health answers are judged by their message") {
  const std::string head = frame(4, 0, 0, "") + frame(1, 4, 1, "hdr");
  CHECK(judge(head + frame(0, 0, 1, message("\x08\x01"))).progress == Health::serving);
  const auto down = judge(head + frame(0, 0, 1, message("\x08\x02")));
  CHECK(down.progress == Health::not_serving);
  CHECK(down.detail.find("NOT_SERVING") != std::string::npos);
  CHECK(judge(head + frame(0, 0, 1, message(""))).progress == Health::not_serving);
  // In two data frames, the second padded.
  const auto whole = message("\x08\x01");
  CHECK(judge(head + frame(0, 0, 1, whole.substr(0, 3)) +
              frame(0, 8, 1, '\2' + whole.substr(3) + "zz"))
            .progress == Health::serving);
  CHECK(judge(head).progress == Health::more);
  CHECK(judge(head + frame(0, 0, 3, message("\x08\x01"))).progress == Health::more);
}

TEST_CASE("calls that end without a message are broken") {
  CHECK(judge(frame(4, 0, 0, "") + frame(1, 5, 1, "trailers")).progress == Health::broken);
  CHECK(judge(frame(3, 0, 1, std::string(4, '\0'))).progress == Health::broken);
  CHECK(judge(frame(7, 0, 0, std::string(8, '\0'))).progress == Health::broken);
  CHECK(judge(frame(0, 0, 1, '\1' + std::string("\0\0\0\2\x08\x01", 6))).progress ==
        Health::broken);
}

TEST_CASE("settings and pings are acknowledged once") {
  const std::string bytes = frame(4, 0, 0, "") + frame(6, 0, 0, "12345678");
  std::size_t seen = 0;
  const auto first = parse_health_reply(bytes, seen);
  CHECK(first.to_send == frame(4, 1, 0, "") + frame(6, 1, 0, "12345678"));
  CHECK(parse_health_reply(bytes, seen).to_send.empty());
  CHECK(parse_health_reply(bytes + frame(4, 1, 0, ""), seen).to_send.empty());
}

TEST_CASE("a program that joins a container has its rights and nothing of its set-up") {
  std::vector<Step> steps;
  for (const auto type :
       {StepType::session, StepType::private_mounts, StepType::overlay_root, StepType::mount,
        StepType::pivot, StepType::working_directory, StepType::bounding, StepType::ids,
        StepType::capabilities, StepType::no_new_privileges, StepType::environment, StepType::ready,
        StepType::seccomp, StepType::execute}) {
    Step step;
    step.type = type;
    steps.push_back(step);
  }
  const auto plan = plan_exec(steps, {"true"});
  std::string names;
  for (const auto& step : plan)
    names += std::string(step_name(step.type)) + " ";
  CHECK(names ==
        "session working-directory bounding ids capabilities no-new-privileges environment "
        "seccomp execute ");
  CHECK(plan.back().list == std::vector<std::string>{"true"});
}
