// What registries write into WWW-Authenticate and into the bodies of errors.
#include "runtime/registry/challenge.hpp"

#include <catch2/catch.hpp>

using moored::registry::Challenge;
using moored::registry::parse_challenges;
using moored::registry::read_error_words;

TEST_CASE("challenges are read as registries write them", "[registry]") {
  using List = std::vector<Challenge>;
  CHECK(parse_challenges({R"(Bearer realm="https://a/t",service="r",scope="repository:x:pull")"}) ==
        List{{"bearer", "https://a/t", "r", "repository:x:pull"}});
  CHECK(parse_challenges({R"(BASIC Realm="x")"}) == List{{"basic", "x", "", ""}});
  CHECK(parse_challenges({R"(Basic realm=x, Bearer realm="y" , service=z)"}) ==
        List{{"basic", "x", "", ""}, {"bearer", "y", "z", ""}});
  CHECK(parse_challenges({"Negotiate", "Bearer realm=\"q\\\"uote, in it\""}) ==
        List{{"negotiate", "", "", ""}, {"bearer", "q\"uote, in it", "", ""}});
  CHECK(parse_challenges({R"(Bearer realm="a",error="invalid_token",realm="b")"}) ==
        List{{"bearer", "b", "", ""}});
}

TEST_CASE("what is no challenge ends the reading", "[registry]") {
  CHECK(parse_challenges({}).empty());
  CHECK(parse_challenges({"", " , ,", "=", "\"x\"", "realm=\"x\""}).empty());
  CHECK(parse_challenges({"Bearer realm=\"never ends"}) ==
        std::vector<Challenge>{{"bearer", "", "", ""}});
  CHECK(parse_challenges({"Bearer realm=\"x\\"}) ==
        std::vector<Challenge>{{"bearer", "", "", ""}});
}

TEST_CASE("a registry's own words are told, cut and cleaned", "[registry]") {
  CHECK(read_error_words(R"({"errors":[{"code":"DENIED","message":"no"},{"code":"X"}]})") ==
        "DENIED: no");
  CHECK(read_error_words(R"({"errors":[{"code":"DENIED"}]})") == "DENIED");
  CHECK(read_error_words(R"({"errors":[{"message":"a\nb\u001b[2J"}]})") == "a b [2J");
  for (const char* text : {"", "<html>", "{}", R"({"errors":[]})", R"({"errors":{}})"}) {
    CHECK(read_error_words(text).empty());
  }
  CHECK(read_error_words(R"({"errors":[{"message":")" + std::string(5000, 'x') + "\"}]}").size() ==
        256);
}
