// Secrets as people write them, and host keys as servers show them.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "git_fixture.hpp"
#include "gitsync/follow/secrets.hpp"
#include "gitsync/repo/access.hpp"
#include "gitsync/repo/ssh.hpp"

using namespace moored;
using namespace moored::git;

namespace {

const SourceUrl kHttps{Transport::https, "https://git.test/a", "git.test", 0, false};
const SourceUrl kHttp{Transport::http, "http://git.test/a", "git.test", 0, false};
const SourceUrl kSsh{Transport::ssh, "ssh://git@git.test/a", "git.test", 0, false};
const std::string kCanary = "CANARY-4711";

// The bytes of an ed25519 key in the form of ssh, and the same in base64.
std::string key_bytes(char fill) {
  return std::string("\0\0\0\x0bssh-ed25519\0\0\0\x20", 19) + std::string(32, fill);
}
const std::string kKeyA =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh";

std::string reason_of(const Status& status) { return status ? "" : status.error().reason; }

}  // namespace

TEST_CASE("a Secret is read under Flux's names", "[access]") {
  const auto basic = read_credentials({{"username", "me\n"}, {"password", "pw\n"}}, kHttps);
  REQUIRE(basic);
  CHECK(basic->username == "me");
  CHECK(basic->password == "pw");
  const auto token = read_credentials({{"bearerToken", "t"}}, kHttps);
  REQUIRE(token);
  CHECK(token->bearer_token == "t");
  for (const auto& [authority, certificate, key] :
       {std::tuple("ca.crt", "tls.crt", "tls.key"), std::tuple("caFile", "certFile", "keyFile")}) {
    const auto tls = read_credentials({{authority, "A"}, {certificate, "B"}, {key, "C"}}, kHttps);
    REQUIRE(tls);
    CHECK(tls->authority == "A");
    CHECK(tls->certificate == "B");
    CHECK(tls->key == "C");
  }
  const auto ssh = read_credentials(
      {{"identity", "K\n"}, {"identity.pub", "P"}, {"known_hosts", "H\n"}, {"password", "x"}}, kSsh);
  REQUIRE(ssh);
  CHECK(ssh->identity == "K\n");
  CHECK(ssh->known_hosts == "H\n");
}

TEST_CASE("a Secret that does not fit is refused without its values", "[access]") {
  struct Row {
    SecretValues values;
    SourceUrl url;
  };
  const std::vector<Row> rows{
      {{{"pasword", kCanary}}, kHttps},
      {{{"identity", kCanary}}, kHttps},
      {{{"bearerToken", kCanary}}, kSsh},
      {{{"bearerToken", kCanary}, {"password", kCanary}}, kHttps},
      {{{"tls.crt", kCanary}}, kHttps},
      {{{"tls.key", kCanary}}, kHttps},
      {{{"password", kCanary}}, kHttp},
      {{{"bearerToken", kCanary}}, kHttp},
      {{{"password", kCanary + "\r\nX-Other: 1"}}, kHttps},
      {{{"identity", kCanary}}, kSsh},
      {{{"known_hosts", kCanary}}, kSsh},
      {{{"password", kCanary}}, {Transport::git, "git://git.test/a", "git.test", 0, false}},
      {{{"password", kCanary}}, {Transport::local, "/srv/a", {}, 0, true}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.values.begin()->first, row.url.url);
    const auto refused = read_credentials(row.values, row.url);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "CredentialsRefused");
    CHECK(refused.error().text().find(kCanary) == std::string::npos);
  }
  // To this machine itself nothing travels over a wire.
  CHECK(read_credentials({{"password", "x"}},
                         {Transport::http, "http://127.0.0.1/a", "127.0.0.1", 0, true}));
}

TEST_CASE("a proxy is an address with a name", "[access]") {
  const auto proxy = read_proxy(
      {{"address", "http://proxy.test:3128\n"}, {"username", "me"}, {"password", "pw"}}, kHttps,
      false);
  REQUIRE(proxy);
  CHECK(proxy->address == "http://proxy.test:3128");
  CHECK(proxy->username == "me");
  for (const SecretValues& values :
       {SecretValues{}, SecretValues{{"address", "ssh://proxy.test"}},
        SecretValues{{"address", "http://127.0.0.1:1"}}, SecretValues{{"address", "proxy.test"}},
        SecretValues{{"address", "http://me:" + kCanary + "@proxy.test"}},
        SecretValues{{"address", "http://proxy.test"}, {"token", kCanary}}}) {
    const auto refused = read_proxy(values, kHttps, false);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text().find(kCanary) == std::string::npos);
  }
  CHECK_FALSE(read_proxy({{"address", "http://proxy.test"}}, kSsh, false));
  CHECK(read_proxy({{"address", "http://127.0.0.1:1"}}, kHttps, true));
}

TEST_CASE("a host key must be listed for its host and port", "[access]") {
  const std::string list = "# keys\n\ngit.test,alias.test " + kKeyA + "\n[git.test]:2222 " + kKeyA +
                           " comment\r\n";
  CHECK(judge_host_key(list, "git.test", 0, key_bytes('a')));
  CHECK(judge_host_key(list, "git.test", 22, key_bytes('a')));
  CHECK(judge_host_key(list, "alias.test", 0, key_bytes('a')));
  CHECK(judge_host_key(list, "git.test", 2222, key_bytes('a')));
  struct Row {
    std::string list;
    std::string host;
    int port;
    char key;
  };
  for (const auto& row : std::vector<Row>{{list, "git.test", 0, 'b'},
                                          {list, "git.test", 2223, 'a'},
                                          {list, "alias.test", 2222, 'a'},
                                          {list, "other.test", 0, 'a'},
                                          {"", "git.test", 0, 'a'},
                                          {list + "@revoked git.test " + kKeyA, "git.test", 0, 'a'},
                                          {list + "nonsense\n", "git.test", 0, 'a'}}) {
    CAPTURE(row.host, row.port, row.key);
    CHECK(reason_of(judge_host_key(row.list, row.host, row.port, key_bytes(row.key))) ==
          "HostKeyMismatch");
  }
}

TEST_CASE("files go before the store, and must be closed to others", "[access]") {
  TempDirectory directory;
  const std::string place = directory / "team/shop";
  std::filesystem::create_directories(place);
  std::ofstream(place + "/password") << kCanary << '\n';
  ::chmod((place + "/password").c_str(), 0600);
  const SourceSecret secret{"shop", SecretValues{{"password", "of the store"}}};
  const auto files = read_secret(secret, "team", directory.path());
  REQUIRE(files);
  CHECK(files->at("password") == kCanary + "\n");
  CHECK(read_secret(secret, "other", directory.path())->at("password") == "of the store");
  CHECK(read_secret(secret, "team", "")->at("password") == "of the store");
  ::chmod((place + "/password").c_str(), 0644);
  const auto open = read_secret(secret, "team", directory.path());
  REQUIRE_FALSE(open);
  CHECK(open.error().reason == "SecretExposed");
  CHECK(open.error().text().find(kCanary) == std::string::npos);
  // A directory in which others can put files of their own names is no better.
  ::chmod((place + "/password").c_str(), 0600);
  for (const mode_t mode : {0775, 0757, 0777 | S_ISVTX}) {
    ::chmod(place.c_str(), mode);
    const auto shared = read_secret(secret, "team", directory.path());
    REQUIRE_FALSE(shared);
    CHECK(shared.error().reason == "SecretExposed");
    CHECK(shared.error().message.find(place + " can be changed") == 0);
  }
  ::chmod(place.c_str(), 0755);
  CHECK(read_secret(secret, "team", directory.path()));
  const auto absent = read_secret({"none", {}}, "team", directory.path());
  REQUIRE_FALSE(absent);
  CHECK(absent.error().reason == "SecretNotFound");
  // Only files are keys, and of a size that keys have.
  std::filesystem::create_directory(place + "/deeper");
  CHECK(read_secret(secret, "team", directory.path()).error().reason == "CredentialsRefused");
  std::filesystem::remove(place + "/deeper");
  std::filesystem::create_symlink("password", place + "/username");
  CHECK_FALSE(read_secret(secret, "team", directory.path()));
  std::filesystem::remove(place + "/username");
  std::ofstream(place + "/password") << std::string((256U << 10U) + 1, 'x');
  CHECK(read_secret(secret, "team", directory.path()).error().code == Code::exhausted);
  // A name never leads out of the directory.
  CHECK_FALSE(read_secret({"../shop", {}}, "team", directory / "team"));
  CHECK_FALSE(read_secret({"shop", {}}, "..", directory / "team"));
}
