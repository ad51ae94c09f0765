#include "gitsync/repo/url.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>

#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace moored::git;

TEST_CASE("usual source URLs pass", "[url]") {
  struct Row {
    std::string url;
    Transport transport;
    std::string host;
  };
  const std::vector<Row> rows{
      {"https://git.example.org/shop/deploy.git", Transport::https, "git.example.org"},
      {"https://Git.Example.ORG:8443/x", Transport::https, "git.example.org"},
      {"http://10.0.0.5/x?a=b", Transport::http, "10.0.0.5"},
      {"git://[2001:db8::1]:9418/x", Transport::git, "2001:db8::1"},
      {"https://localhost.example.org/x", Transport::https, "localhost.example.org"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.url);
    const auto checked = check_source_url(row.url, false);
    REQUIRE(checked);
    CHECK(checked->transport == row.transport);
    CHECK(checked->host == row.host);
    CHECK(checked->url == row.url);
  }
}

TEST_CASE("this machine needs to be allowed", "[url]") {
  for (const char* url : {"/srv/git/shop.git", "/srv/my repo", "file:///srv/git/shop.git",
                          "http://127.0.0.1:3000/x", "http://localhost/x", "git://a.localhost/x",
                          "http://[::1]/x", "http://2130706433/", "http://0x7f.1/", "http://0/",
                          "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "http://127.1/"}) {
    CAPTURE(url);
    const auto refused = check_source_url(url, false);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "URLNotAllowed");
    CHECK(refused.error().code == Code::denied);
    CHECK(check_source_url(url, true));
  }
  CHECK(check_source_url("file:///srv/x", true)->url == "/srv/x");
}

TEST_CASE("an address takes the place of a name and of nothing else", "[url]") {
  struct Row {
    std::string url;
    std::string address;
    std::string result;
  };
  for (const auto& row : {
           Row{"ssh://git@example.org/team/x@y.git", "192.0.2.1",
               "ssh://git@192.0.2.1/team/x@y.git"},
           Row{"ssh://example.org:2222/x", "2001:db8::1", "ssh://[2001:db8::1]:2222/x"},
           Row{"ssh://git@[2001:db8::2]:22/x", "192.0.2.1", "ssh://git@192.0.2.1:22/x"},
           Row{"git@example.org:team/x:y@z.git", "192.0.2.1", "git@192.0.2.1:team/x:y@z.git"},
           Row{"git@Example.org:/srv/x", "2001:db8::1", "git@[2001:db8::1]:/srv/x"},
           Row{"git://Example.ORG.:9418/x", "192.0.2.1", "git://192.0.2.1:9418/x"},
           Row{"git://example.org", "192.0.2.1", "git://192.0.2.1"}}) {
    CAPTURE(row.url);
    const auto judged = check_source_url(row.url, false);
    REQUIRE(judged);
    CHECK(with_address(*judged, row.address) == row.result);
  }
}

TEST_CASE("ssh is written in two ways", "[url]") {
  for (const char* url : {"ssh://git@example.org/team/x.git", "git@example.org:team/x.git",
                          "ssh://example.org/x", "git@Example.org:/srv/x"}) {
    CAPTURE(url);
    const auto judged = check_source_url(url, false);
    REQUIRE(judged);
    CHECK(judged->transport == Transport::ssh);
    CHECK(judged->host == "example.org");
    CHECK(judged->port == 0);
    CHECK(judged->url == url);
  }
  const auto port = check_source_url("ssh://git@example.org:2222/x", false);
  REQUIRE(port);
  CHECK(port->port == 2222);
  for (const char* url : {"git@127.0.0.1:x", "git@localhost:x", "ssh://git@[::1]/x"}) {
    CAPTURE(url);
    CHECK_FALSE(check_source_url(url, false));
    CHECK(check_source_url(url, true)->own);
  }
}

TEST_CASE("an address that a name has led to is judged as well", "[url]") {
  const auto reach = [](const char* text, bool allow_local) {
    sockaddr_storage storage{};
    auto& four = reinterpret_cast<sockaddr_in&>(storage);
    auto& six = reinterpret_cast<sockaddr_in6&>(storage);
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
      storage.ss_family = AF_INET;
    } else {
      REQUIRE(inet_pton(AF_INET6, text, &six.sin6_addr) == 1);
      storage.ss_family = AF_INET6;
    }
    return is_reachable(reinterpret_cast<const sockaddr*>(&storage), allow_local);
  };
  CHECK(reach("192.0.2.1", false));
  CHECK(reach("2001:db8::1", false));
  CHECK_FALSE(reach("127.0.0.1", false));
  CHECK(reach("127.0.0.1", true));
  CHECK_FALSE(reach("::1", false));
  CHECK_FALSE(reach("169.254.169.254", true));
  CHECK_FALSE(reach("::ffff:169.254.169.254", true));
  sockaddr other{};
  other.sa_family = AF_UNIX;
  CHECK_FALSE(is_reachable(&other, true));
}

TEST_CASE("some URLs are never allowed", "[url]") {
  for (const char* url :
       {"", "ext::sh -c \"touch x\"", "--upload-pack=touch x", "ssh://-oProxyCommand=x/y",
        "git@-oProxyCommand=x:repo", "ssh://-git@example.org/x", "ssh://a:CANARY@example.org/x",
        "-x@example.org:y", "git@example.org:", "git@169.254.169.254:x", "@example.org:x",
        "a b@example.org:x",
        "http://169.254.169.254/repo", "http://2852039166/", "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/", "http://224.0.0.1/", "ftp://git.test/x",
        "https://git.test:99999/x", "https://git.test:0/x", "https://git.test:/x",
        "javascript:alert(1)", "\\\\host\\share", "https://git.test/\xe2\x80\xaerepo",
        "https://user:CANARY@git.test/repo", "https://token@git.test/repo",
        "https://git.test/x\nmalicious", "https://-x/", "https:///x", "https://a b/", "file://x/y",
        "https://[::1", "https://exa$mple/", "relative/path", "/srv/\nx"}) {
    CAPTURE(url);
    const auto refused = check_source_url(url, true);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "URLNotAllowed");
    CHECK(refused.error().text().find("CANARY") == std::string::npos);
  }
  CHECK_FALSE(check_source_url("https://a/" + std::string(4000, 'x'), true));
}

TEST_CASE("the collected hostile URLs are refused", "[url]") {
  const char* named = std::getenv("MOORED_BAD_INPUT");
  const std::string directory = named != nullptr ? named : MOORED_SOURCE_DIR "/../shared/badinput";
  const std::string file = directory + "/g-source-urls/sources.json";
  const auto text = read_file(file);
  if (!text) {
    WARN("left out: " + file + " is not on this machine");
    return;
  }
  const auto sources = read_json(*text);
  REQUIRE(sources);
  REQUIRE(sources->items.size() > 10);
  for (const auto& source : sources->items) {
    const std::string& url = source.find("url")->scalar;
    CAPTURE(url);
    const auto refused = check_source_url(url, false);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "URLNotAllowed");
    CHECK(refused.error().text().find("CANARY") == std::string::npos);
  }
}
