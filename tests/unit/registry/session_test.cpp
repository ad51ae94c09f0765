// The exchange with a registry, against one that answers from a script.
#include "runtime/registry/session.hpp"

#include <catch2/catch.hpp>

#include "schema/host/sha256.hpp"

using namespace moored;
using namespace moored::registry;
using image::RegistryAccess;
using image::RegistryAsk;
using image::RegistryHead;
using image::RegistryLogin;

namespace {

// Answers each request with the next line of its script, and writes down what was asked.
class ScriptedClient final : public HttpClient {
 public:
  struct Line {
    int status = 200;
    std::map<std::string, std::string> headers;
    std::string body;
  };

  Result<HttpResponse> send(const HttpRequest& request, const BodySink& sink) override {
    requests.push_back(request);
    if (requests.size() > script.size()) return fail(Code::internal, "the script has ended");
    const auto& line = script[requests.size() - 1];
    HttpResponse response;
    response.status = line.status;
    response.headers = line.headers;
    const auto challenge = line.headers.find("www-authenticate");
    if (challenge != line.headers.end()) response.challenges.push_back(challenge->second);
    if (line.status / 100 != 2) {
      response.body = line.body;
    } else {
      MOORED_CHECK(sink(response, line.body));
    }
    return response;
  }

  void answer(int status, std::map<std::string, std::string> headers = {}, std::string body = {}) {
    script.push_back({status, std::move(headers), std::move(body)});
  }
  void challenge(const std::string& text) { answer(401, {{"www-authenticate", text}}); }
  void token(const std::string& text) { answer(200, {}, "{\"token\":\"" + text + "\"}"); }

  std::vector<Line> script;
  std::vector<HttpRequest> requests;
};

constexpr const char* kBearer =
    R"(Bearer realm="https://r.example/token",service="r",scope="repository:team/web:pull")";

// A session with one login, and what it hands on.
struct Bench {
  explicit Bench(std::vector<RegistryLogin> logins = {{"ada", "secret", ""}}) {
    access.base = "https://r.example";
    access.repository = "team/web";
    access.logins = std::move(logins);
  }

  Status ask(RegistryAsk::Kind kind = RegistryAsk::Kind::manifest, std::int64_t offset = 0,
             std::int64_t limit = 100) {
    if (!session) session.emplace(*RegistrySession::create(access, client, [this] { return time; }));
    RegistryAsk wanted;
    wanted.kind = kind;
    wanted.reference = kind == RegistryAsk::Kind::manifest ? "1" : "sha256:aa";
    wanted.offset = offset;
    wanted.limit = limit;
    body.clear();
    return session->answer(wanted, {[this](const RegistryHead& came) -> Status {
                                      head = came;
                                      return {};
                                    },
                                    [this](std::string_view bytes) -> Status {
                                      body.append(bytes);
                                      return {};
                                    }});
  }

  RegistryAccess access;
  ScriptedClient client;
  std::int64_t time = 1000;
  std::optional<RegistrySession> session;
  RegistryHead head;
  std::string body;
};

const std::string kBasic = "Basic " + base64_encode("ada:secret");

}  // namespace

TEST_CASE("a manifest is asked for in all its types", "[registry]") {
  Bench bench;
  bench.client.answer(200, {{"content-type", "a/b; charset=x"}, {"docker-content-digest", "d"}},
                      "{}");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[0].url == "https://r.example/v2/team/web/manifests/1");
  CHECK(bench.client.requests[0].accept.size() == 4);
  CHECK(bench.client.requests[0].authorization.empty());
  CHECK(bench.head.media_type == "a/b");
  CHECK(bench.head.digest == "d");
  CHECK(bench.body == "{}");
}

TEST_CASE("a token is asked for once and used until it ends", "[registry]") {
  Bench bench;
  bench.client.challenge(kBearer);
  bench.client.token("t1");
  bench.client.answer(200, {}, "one");
  bench.client.answer(200, {}, "two");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[1].url ==
        "https://r.example/token?service=r&scope=repository%3Ateam%2Fweb%3Apull");
  CHECK(bench.client.requests[1].authorization == kBasic);
  CHECK(bench.client.requests[2].authorization == "Bearer t1");
  REQUIRE(bench.ask(RegistryAsk::Kind::blob));
  CHECK(bench.client.requests[3].authorization == "Bearer t1");
  CHECK(bench.client.requests[3].url == "https://r.example/v2/team/web/blobs/sha256:aa");

  // It has run out: the same login gets another.
  bench.client.challenge(kBearer);
  bench.client.token("t2");
  bench.client.answer(200, {}, "three");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[6].authorization == "Bearer t2");
}

TEST_CASE("a token for nobody is asked for without credentials", "[registry]") {
  Bench bench(std::vector<RegistryLogin>{});
  bench.client.challenge(R"(Bearer realm="https://r.example/token")");
  bench.client.answer(200, {}, R"({"access_token":"anonymous"})");
  bench.client.answer(200, {}, "one");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[1].authorization.empty());
  CHECK(bench.client.requests[1].url ==
        "https://r.example/token?service=&scope=repository%3Ateam%2Fweb%3Apull");
}

TEST_CASE("an identity token is traded by form", "[registry]") {
  Bench bench({{"", "", "id&entity"}});
  bench.client.challenge(kBearer);
  bench.client.token("t");
  bench.client.answer(200, {}, "one");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[1].url == "https://r.example/token");
  CHECK(bench.client.requests[1].form.find("refresh_token=id%26entity") != std::string::npos);
  CHECK(bench.client.requests[1].authorization.empty());
}

TEST_CASE("basic credentials are tried in order, and then not any more", "[registry]") {
  Bench bench({{"eve", "wrong", ""}, {"ada", "secret", ""}});
  for (int i = 0; i < 2; ++i) bench.client.challenge(R"(Basic realm="x")");
  bench.client.answer(200, {}, "one");
  bench.client.answer(200, {}, "two");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[1].authorization == "Basic " + base64_encode("eve:wrong"));
  CHECK(bench.client.requests[2].authorization == kBasic);
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[3].authorization == kBasic);
}

TEST_CASE("a refusal is told in the registry's words and ends", "[registry]") {
  Bench bench;
  for (int i = 0; i < 2; ++i) {
    bench.client.answer(401, {{"www-authenticate", R"(Basic realm="x")"}},
                        R"({"errors":[{"code":"UNAUTHORIZED","message":"go away"}]})");
  }
  const auto status = bench.ask();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Code::denied);
  CHECK(status.error().reason == "Unauthorized");
  CHECK(status.error().message.find("UNAUTHORIZED: go away") != std::string::npos);
  CHECK(bench.client.requests.size() == 2);
}

TEST_CASE("a token without the right does not make a loop", "[registry]") {
  Bench bench;
  bench.client.challenge(kBearer);
  bench.client.token("t1");
  for (int i = 0; i < 20; ++i) {
    bench.client.challenge(kBearer);
    bench.client.token("t" + std::to_string(i + 2));
  }
  CHECK(bench.ask().error().reason == "Unauthorized");
  CHECK(bench.client.requests.size() < 8);
}

TEST_CASE("tokens are asked of allowed realms only", "[registry]") {
  for (const std::string realm :
       {"http://169.254.169.254/latest", "https://other.example/token", "http://r.example/token",
        "https://r.example:444/token", "https://ada@r.example/token", "file:///etc/passwd", "",
        "https://r.example.evil/token"}) {
    Bench bench;
    bench.client.challenge("Bearer realm=\"" + realm + "\",service=\"x\"");
    const auto status = bench.ask();
    REQUIRE_FALSE(status);
    CHECK(status.error().reason == "RealmRefused");
    CHECK(bench.client.requests.size() == 1);
  }
  Bench bench;
  bench.access.realms = {"https://auth.example"};
  bench.client.challenge(R"(Bearer realm="https://auth.example/token")");
  bench.client.token("t");
  bench.client.answer(200, {}, "one");
  CHECK(bench.ask());
}

TEST_CASE("a redirect elsewhere goes without credentials", "[registry]") {
  Bench bench;
  bench.client.challenge(R"(Basic realm="x")");
  bench.client.answer(307, {{"location", "https://cdn.example/x?sig=1"}});
  bench.client.answer(200, {}, "layer");
  REQUIRE(bench.ask(RegistryAsk::Kind::blob));
  CHECK(bench.client.requests[1].authorization == kBasic);
  CHECK(bench.client.requests[2].url == "https://cdn.example/x?sig=1");
  CHECK(bench.client.requests[2].authorization.empty());
  CHECK(bench.client.requests[2].foreign);
  CHECK(bench.body == "layer");

  Bench home;
  home.client.challenge(R"(Basic realm="x")");
  home.client.answer(301, {{"location", "/other"}});
  home.client.answer(200, {}, "layer");
  REQUIRE(home.ask(RegistryAsk::Kind::blob));
  CHECK(home.client.requests[2].url == "https://r.example/other");
  CHECK(home.client.requests[2].authorization == kBasic);
  CHECK_FALSE(home.client.requests[2].foreign);
}

TEST_CASE("redirects to weaker or other protocols are refused", "[registry]") {
  for (const std::string target :
       {"file:///etc/passwd", "http://r.example/x", "ftp://r.example/x", "", "gopher://x/",
        "https://user:word@cdn.example/x"}) {
    Bench bench;
    bench.client.answer(302, {{"location", target}});
    CHECK(bench.ask(RegistryAsk::Kind::blob).error().reason == "RedirectRefused");
    CHECK(bench.client.requests.size() == 1);
  }
  Bench bench;
  for (int i = 0; i < 20; ++i) bench.client.answer(302, {{"location", "/again"}});
  CHECK(bench.ask(RegistryAsk::Kind::blob).error().reason == "RedirectRefused");
  CHECK(bench.client.requests.size() == kMaxRedirects + 1);
}

TEST_CASE("a stranger that asks for credentials gets none", "[registry]") {
  Bench bench;
  bench.client.answer(307, {{"location", "https://cdn.example/x"}});
  bench.client.challenge(R"(Basic realm="x")");
  CHECK(bench.ask(RegistryAsk::Kind::blob).error().reason == "Unauthorized");
  for (const auto& request : bench.client.requests) CHECK(request.authorization.empty());
}

TEST_CASE("a part is asked for, and a whole is taken for it", "[registry]") {
  Bench bench;
  bench.client.answer(206, {{"content-range", "bytes 5-9/10"}}, "56789");
  REQUIRE(bench.ask(RegistryAsk::Kind::blob, 5, 5));
  CHECK(bench.client.requests[0].offset == 5);
  CHECK(bench.head.offset == 5);
  bench.client.answer(200, {}, "0123456789");
  REQUIRE(bench.ask(RegistryAsk::Kind::blob, 5, 5));
  CHECK(bench.head.offset == 0);
  CHECK(bench.body == "0123456789");
  bench.client.answer(206, {{"content-range", "bytes 4-9/10"}}, "456789");
  CHECK(bench.ask(RegistryAsk::Kind::blob, 5, 5).error().code == Code::corrupt);
}

TEST_CASE("more than was announced is cut off", "[registry]") {
  Bench bench;
  bench.client.answer(200, {}, std::string(101, 'x'));
  CHECK(bench.ask().error().code == Code::exhausted);
}

TEST_CASE("each status has its meaning", "[registry]") {
  struct Row {
    int status;
    Code code;
    std::string reason;
  };
  for (const auto& row : std::vector<Row>{{404, Code::not_found, "ManifestUnknown"},
                                          {403, Code::denied, "Unauthorized"},
                                          {429, Code::unavailable, "TooManyRequests"},
                                          {500, Code::unavailable, ""},
                                          {416, Code::unavailable, ""},
                                          {204, Code::unavailable, ""}}) {
    Bench bench;
    bench.client.answer(row.status);
    const auto status = bench.ask();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == row.code);
    CHECK(status.error().reason == row.reason);
  }
}

TEST_CASE("a mirror is told for whom it stands", "[registry]") {
  Bench bench;
  bench.access.origin = "docker.io";
  bench.client.answer(200, {}, "one");
  REQUIRE(bench.ask());
  CHECK(bench.client.requests[0].url == "https://r.example/v2/team/web/manifests/1?ns=docker.io");
}

TEST_CASE("tokens that are none are refused", "[registry]") {
  for (const std::string body : {"", "{}", "[]", R"({"token":5})", R"({"token":"a b"})",
                                 R"({"token":"a\r\nX: y"})"}) {
    Bench bench;
    bench.client.challenge(kBearer);
    bench.client.answer(200, {}, body);
    CHECK(bench.ask().error().code == Code::unavailable);
  }
  Bench bench;
  bench.client.challenge(kBearer);
  bench.client.answer(200, {}, std::string(kMaxTokenBytes + 1, 'x'));
  CHECK(bench.ask().error().code == Code::exhausted);
}

TEST_CASE("origins are compared whole", "[registry]") {
  CHECK(*read_origin("https://R.Example:443/x?y") == "https://r.example");
  CHECK(*read_origin("http://r.example:80") == "http://r.example");
  CHECK(*read_origin("http://[::1]:5000/") == "http://[::1]:5000");
  for (const char* bad : {"", "x", "ftp://a", "https://", "https://u@a/", "file:///x", "//a/b"}) {
    CHECK_FALSE(read_origin(bad));
  }
  CHECK(escape_query("a b:/&=~") == "a%20b%3A%2F%26%3D~");
}
