// The pure parts of pulling: credentials, settings, and what daemon and worker say to each other.
#include <catch2/catch.hpp>

#include "runtime/image/credentials.hpp"
#include "runtime/image/registry_settings.hpp"
#include "runtime/image/registry_wire.hpp"

using namespace moored;
using namespace moored::image;

namespace {

std::vector<std::string> users_for(const std::string& json, const std::string& repository) {
  const auto all = parse_credentials(json);
  REQUIRE(all);
  std::vector<std::string> users;
  for (const auto& login : choose_logins(*all, repository)) users.push_back(login.user);
  return users;
}

std::vector<RegistryAccess> accesses(const std::string& reference,
                                     const RegistrySettings& settings = {},
                                     const std::vector<Credential>& credentials = {}) {
  const auto planned = plan_accesses(*parse_image_name(reference), settings, credentials, {});
  REQUIRE(planned);
  return *planned;
}

}  // namespace

TEST_CASE("credentials are read in each of their forms", "[image][registry]") {
  const auto packed = parse_credentials(R"({"auths":{"a.example":{"auth":"YWRhOnM6ZWNyZXQ="}}})");
  REQUIRE(packed);
  CHECK((*packed)[0].place == "a.example");
  CHECK((*packed)[0].login == RegistryLogin{"ada", "s:ecret", ""});
  const auto plain = parse_credentials(
      R"({"a.example":{"username":"ada","password":"x"},"b.example":{"identitytoken":"t"}})");
  REQUIRE(plain);
  CHECK((*plain)[0].login == RegistryLogin{"ada", "x", ""});
  CHECK((*plain)[1].login == RegistryLogin{"", "", "t"});
  // A credential program is named elsewhere in the file; its entry is empty.
  CHECK(parse_credentials(R"({"auths":{"a.example":{}},"credsStore":"x"})")->empty());
}

TEST_CASE("bad credentials are refused without telling them", "[image][registry]") {
  for (const std::string text :
       {"", "[]", "{", R"({"auths":[]})", R"({"auths":{"a":"SECRET"}})",
        R"({"auths":{"a":{"auth":"U0VDUkVU"}}})", R"({"auths":{"a":{"auth":"SECRET!"}}})"}) {
    const auto read = parse_credentials(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().reason == "ConfigInvalid");
    CHECK(read.error().text().find("SECRET") == std::string::npos);
  }
}

TEST_CASE("the entry with the longest path goes first", "[image][registry]") {
  const std::string json = R"({"auths":{
      "r.example":{"username":"host","password":"p"},
      "https://r.example/team/web/":{"username":"image","password":"p"},
      "r.example/team":{"username":"team","password":"p"},
      "r.example/te":{"username":"prefix","password":"p"},
      "r.example:5000":{"username":"port","password":"p"},
      "*.example":{"username":"glob","password":"p"},
      "other.example":{"username":"other","password":"p"}}})";
  using Users = std::vector<std::string>;
  CHECK(users_for(json, "r.example/team/web") == Users{"image", "team", "host", "glob"});
  CHECK(users_for(json, "r.example/team/webs") == Users{"team", "host", "glob"});
  CHECK(users_for(json, "r.example:5000/team/web") == Users{"port"});
  CHECK(users_for(json, "s.example/web") == Users{"glob"});
  // A star stands for one label, never for a dot.
  CHECK(users_for(json, "a.b.example/web").empty());
}

TEST_CASE("docker.io is found under its old names", "[image][registry]") {
  for (const std::string place : {"docker.io", "https://index.docker.io/v1/", "index.docker.io",
                                  "registry-1.docker.io"}) {
    CHECK(users_for("{\"" + place + R"(":{"username":"ada","password":"x"}})",
                    "docker.io/library/nginx") == std::vector<std::string>{"ada"});
  }
}

TEST_CASE("the same login is tried once", "[image][registry]") {
  CHECK(users_for(R"({"r.example":{"username":"a","password":"x"},
                      "*.example":{"username":"a","password":"x"}})", "r.example/web").size() == 1);
}

TEST_CASE("each registry is spoken to in its own way", "[image][registry]") {
  struct Row {
    std::string reference, base, repository;
  };
  for (const auto& row : std::vector<Row>{
           {"nginx", "https://registry-1.docker.io", "library/nginx"},
           {"team/web:1", "https://registry-1.docker.io", "team/web"},
           {"r.example/web", "https://r.example", "web"},
           {"r.example:5000/a/b/c:2", "https://r.example:5000", "a/b/c"},
           {"localhost:5000/web", "http://localhost:5000", "web"},
           {"127.0.0.1:5000/web", "http://127.0.0.1:5000", "web"},
           {"127.0.0.2:5000/web", "http://127.0.0.2:5000", "web"},
           {"127.example:5000/web", "https://127.example:5000", "web"},
           {"127.0.0.1.example/web", "https://127.0.0.1.example", "web"},
           {"128.0.0.1:5000/web", "https://128.0.0.1:5000", "web"},
           {"localhost.example/web", "https://localhost.example", "web"}}) {
    const auto planned = accesses(row.reference);
    REQUIRE(planned.size() == 1);
    CHECK(planned[0].base == row.base);
    CHECK(planned[0].repository == row.repository);
    CHECK(planned[0].origin.empty());
  }
  CHECK(accesses("nginx")[0].realms == std::vector<std::string>{"https://auth.docker.io"});
  CHECK(accesses("r.example/web")[0].realms.empty());
}

TEST_CASE("mirrors go first and get their own credentials only", "[image][registry]") {
  RegistrySettings settings;
  settings.registries.push_back({"docker.io", false, {}, {"https://m.example/", "http://n.example"},
                                 {"https://tokens.example"}});
  settings.registries.push_back({"plain.example", true, {}, {}, {}});
  const std::vector<Credential> credentials{{"docker.io", {"hub", "x", ""}},
                                            {"m.example", {"mirror", "y", ""}}};
  const auto planned = accesses("nginx", settings, credentials);
  REQUIRE(planned.size() == 3);
  CHECK(planned[0].base == "https://m.example");
  CHECK(planned[0].origin == "docker.io");
  CHECK(planned[0].logins == std::vector<RegistryLogin>{{"mirror", "y", ""}});
  CHECK(planned[0].realms.empty());
  CHECK(planned[1].base == "http://n.example");
  CHECK(planned[1].logins.empty());
  CHECK(planned[2].base == "https://registry-1.docker.io");
  CHECK(planned[2].logins == std::vector<RegistryLogin>{{"hub", "x", ""}});
  CHECK(planned[2].realms ==
        std::vector<std::string>{"https://tokens.example", "https://auth.docker.io"});
  CHECK(accesses("plain.example/web", settings)[0].base == "http://plain.example");

  settings.registries[0].mirrors = {"ftp://m.example"};
  CHECK(plan_accesses(*parse_image_name("nginx"), settings, {}, {}).error().reason ==
        "ConfigInvalid");
}

TEST_CASE("what is said to the worker arrives", "[image][registry]") {
  RegistryAsk hello;
  hello.access.base = "https://r.example";
  hello.access.repository = "team/web";
  hello.access.origin = "docker.io";
  hello.access.logins = {{"ada", "quote \" and \n", ""}, {"", "", "token"}};
  hello.access.realms = {"https://auth.example"};
  hello.access.certificates = "-----BEGIN";
  hello.access.idle_seconds = 7;
  hello.access.total_seconds = 8;
  const auto read = read_ask(write_ask(hello));
  REQUIRE(read);
  CHECK(read->kind == RegistryAsk::Kind::access);
  CHECK(read->access == hello.access);

  RegistryAsk ask;
  ask.kind = RegistryAsk::Kind::blob;
  ask.reference = "sha256:aa";
  ask.offset = std::int64_t{5} << 32U;
  ask.limit = 12;
  const auto blob = read_ask(write_ask(ask));
  REQUIRE(blob);
  CHECK(blob->kind == RegistryAsk::Kind::blob);
  CHECK(blob->reference == ask.reference);
  CHECK(blob->offset == ask.offset);
  CHECK(blob->limit == 12);
  ask.kind = RegistryAsk::Kind::manifest;
  CHECK(read_ask(write_ask(ask))->kind == RegistryAsk::Kind::manifest);
}

TEST_CASE("what the worker says arrives", "[image][registry]") {
  const auto head = read_answer(write_head({"a/b", "sha256:aa", 7}));
  REQUIRE(head);
  CHECK(head->kind == RegistryAnswer::Kind::head);
  CHECK(head->head.media_type == "a/b");
  CHECK(head->head.digest == "sha256:aa");
  CHECK(head->head.offset == 7);
  const std::string bytes("{\"end\":\0 x", 10);
  const auto frame = write_piece(bytes);
  const auto piece = read_answer(frame);
  REQUIRE(piece);
  CHECK(piece->kind == RegistryAnswer::Kind::piece);
  CHECK(piece->piece == bytes);
  CHECK(read_answer(write_end())->kind == RegistryAnswer::Kind::end);
  const Error cause{Code::denied, "no", "RealmRefused", {}, "say so"};
  const auto error = read_answer(write_failure(cause));
  REQUIRE(error);
  CHECK(error->kind == RegistryAnswer::Kind::error);
  CHECK(error->error.code == Code::denied);
  CHECK(error->error.message == "no");
  CHECK(error->error.reason == "RealmRefused");
  CHECK(error->error.fix == "say so");
}

TEST_CASE("nonsense from either side is corrupt", "[image][registry]") {
  for (const std::string text : {"", "[]", "{", "x", "{}", R"({"error":"no such code"})"}) {
    CHECK(read_answer(text).error().code == Code::corrupt);
  }
  for (const std::string text : {"", "D", "[]", "{}", R"({"blob":""})"}) {
    CHECK(read_ask(text).error().code == Code::corrupt);
  }
}
