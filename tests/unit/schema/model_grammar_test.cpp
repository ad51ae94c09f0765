// The grammar of names, labels, paths and references, good and bad.
#include <catch2/catch.hpp>

#include "schema/model/checks.hpp"
#include "schema/model/grammar.hpp"

namespace moored {
namespace {

struct Grammar {
  const char* name;
  std::optional<Error> (*rule)(std::string_view);
  std::vector<std::string> good;
  std::vector<std::string> bad;
};

const std::string kSixtyThree(63, 'a');
const std::string kHex(64, 'a');
const std::string kNul("a\0b", 3);

std::vector<Grammar> grammars() {
  return {
      {"dns label", &check_dns_label, {"a", "a-b", "1", "0a", kSixtyThree},
       {"", "-", "a-", "-a", "A", "a.b", "a_b", kSixtyThree + "a", "a\n", "а", "a/b", kNul}},
      {"service name", &check_service_name, {"web", "a1", kSixtyThree}, {"1a", "", "Web", "a."}},
      {"dns subdomain", &check_dns_subdomain,
       {"a", "a.b", "a-1.b-2.c", kSixtyThree + "." + kSixtyThree + "." + kSixtyThree},
       {"", ".", "a.", ".a", "a..b", "../../etc", "a/b", "A.b", "a_b", std::string(254, 'a'),
        "a\n"}},
      {"label key", &check_label_key,
       {"a", "app.kubernetes.io/name", "a_b.c-d", "A", "0", "x/" + kSixtyThree},
       {"", "/a", "a/", "a/b/c", "UP.com/a", "-a", "a-", kSixtyThree + "a", "a b", "é"}},
      {"label value", &check_label_value, {"", "a", "A.b_c-d", "1", kSixtyThree},
       {"-a", "a-", "a/b", "a b", kSixtyThree + "a", "{{x}}", "a\n"}},
      {"port name", &check_port_name, {"http", "a", "a1-b", "1a"},
       {"", "1", "HTTP", "a--b", "-a", "a-", "sixteen-letters1", "a_b"}},
      {"environment name", &check_env_name, {"A", "_a", "a.b-c", "PATH_1"},
       {"", "1A", "A=B", "A B", kNul, "A\n", "ü"}},
      {"map key", &check_map_key, {"a", "a.b", ".a", "A_B-c", ".dockerconfigjson"},
       {"", ".", "..", "..data", "a/b", "../../etc/cron.d/x", std::string(254, 'a'), "a b"}},
      {"absolute path", &check_absolute_path, {"/", "/a", "/a/b..c", "/..a", "/a b"},
       {"", "a", "./a", "/a/../b", "/..", "/a\n", kNul}},
      {"relative path", &check_relative_path, {"", "a", "./a", "a/b", "..a", "a..", "$(X)/b"},
       {"/a", "..", "../a", "a/..", "a/../b", "a\n"}},
      {"mount path", &check_mount_path, {"/a", "/data/x", "/dev/shm", "/procedure", "/system"},
       {"/", "//", "/.", "/proc", "/proc/", "//proc", "/./proc", "/proc/self", "/sys",
        "/sys/fs/cgroup", "/dev", "relative/path", "/a:/etc", "/a\nb", "/a/../proc"}},
      {"ip address", &check_ip_address, {"10.0.0.1", "::1", "255.255.255.255", "fe80::1"},
       {"", "10.0.0", "10.0.0.256", "a", "10.0.0.1/8", "10.0.0.1 ", kNul, "010.0.0.1.2"}},
      {"duration", &check_duration, {"1s", "1m30s", "1h", "500ms"}, {"", "0s", "-1s", "1", "x"}},
      {"resource name", &check_resource_name, {"cpu", "memory", "example.com/device"},
       {"", "a b", "/x"}},
  };
}

TEST_CASE("every grammar takes the good and refuses the bad") {
  for (const auto& grammar : grammars()) {
    for (const auto& text : grammar.good) {
      INFO(grammar.name << " " << quoted(text));
      CHECK_FALSE(grammar.rule(text));
    }
    for (const auto& text : grammar.bad) {
      INFO(grammar.name << " " << quoted(text));
      const auto error = grammar.rule(text);
      REQUIRE(error);
      CHECK_FALSE(error->message.empty());
      CHECK_FALSE(error->reason.empty());
      CHECK(error->message.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("image references follow the grammar of registries") {
  const std::string digest = "@sha256:" + kHex;
  const std::vector<std::string> good{
      "a", "a:1", "a/b", "example.com/a", "example.com:5000/a/b:v1.2_x-y", "localhost/a",
      "localhost:5000/a", "a" + digest, "a:1" + digest, "a__b", "a--b", "a.b", "a_b", "a-b/c",
      "EXAMPLE.com/a", "a@sha512:" + kHex + kHex, "a:" + std::string(128, 't'), "10.0.0.1:80/x"};
  const std::vector<std::string> bad{
      "", ":1", "a:", "A", "a/B", "a___b", "a._b", "-a", "a-", "a//b", "/a", "a/",
      "../../etc/passwd",
      "REGISTRY.test/Web:1", "registry.test:99999/web", "registry.test:0/web", "registry.test:/web",
      "registry.test:x/web", "a@sha256:abc", "a@md5:" + kHex, "a@sha256:" + std::string(64, 'A'),
      "a@", "a:1\nX", "a b", "a:" + std::string(129, 't'), std::string(256, 'a'), "a:-1",
      "registry.test/../../x:1", "<image_url>", "http://a/b", "a:1:2", "a@sha256:" + kHex + "@x"};
  for (const auto& text : good) {
    INFO(text);
    CHECK_FALSE(check_image_reference(text));
  }
  for (const auto& text : bad) {
    INFO(quoted(text));
    const auto error = check_image_reference(text);
    REQUIRE(error);
    CHECK(error->reason == "ReferenceInvalid");
  }
}

TEST_CASE("the parts of a reference that decide about pulling") {
  CHECK(split_image_reference("a").tag.empty());
  CHECK(split_image_reference("h:5000/a").tag.empty());
  CHECK(split_image_reference("h:5000/a:v1").tag == "v1");
  const auto both = split_image_reference("h/a:v1@sha256:00");
  CHECK(both.tag == "v1");
  CHECK(both.digest == "sha256:00");
}

TEST_CASE("foreign text is shown escaped and cut") {
  CHECK(quoted("a") == "\"a\"");
  CHECK(quoted("a\"\\\x1b\n") == "\"a\\x22\\x5c\\x1b\\x0a\"");
  CHECK(quoted("é") == "\"\\xc3\\xa9\"");
  CHECK(quoted(std::string(81, 'a')) == "\"" + std::string(80, 'a') + "...\"");
}

TEST_CASE("paths name keys and indexes") {
  CHECK(key_path("app") == ".app");
  CHECK(key_path("a.b") == "[\"a.b\"]");
  CHECK(key_path("../x") == "[\"../x\"]");
  CHECK(key_path("") == "[\"\"]");
  CHECK(index_path(3) == "[3]");
}

TEST_CASE("amounts are numbers or percentages") {
  for (const auto* text : {"0%", "25%", "100%"}) {
    const auto amount = IntOrString::of(std::string(text));
    CHECK_FALSE(amount_check(&amount));
  }
  for (const auto* text : {"101%", "-1%", "%", "", "25", "a%", "1000%", "2.5%"}) {
    INFO(text);
    const auto amount = IntOrString::of(std::string(text));
    CHECK(amount_check(&amount));
  }
  const auto negative = IntOrString::of(-1);
  CHECK(amount_check(&negative));
  const auto two = IntOrString::of(2);
  CHECK_FALSE(amount_check(&two));
}

TEST_CASE("ports are numbers or names") {
  for (const auto& port : {IntOrString::of(1), IntOrString::of(65535), IntOrString::of("http")}) {
    CHECK_FALSE(port_reference_check(&port));
  }
  for (const auto& port : {IntOrString::of(0), IntOrString::of(65536), IntOrString::of(-1),
                           IntOrString::of("80"), IntOrString::of("")}) {
    CHECK(port_reference_check(&port));
  }
}

}  // namespace
}  // namespace moored
