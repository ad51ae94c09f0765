// The cache of encoded objects: same bytes, no second encoding, bounded.
#include "net/api/encoding.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

const Resource& pods() {
  return *find_served("", "v1", "pods");
}

Object recorded(const std::string& name, int version) {
  auto pod = test::make_pod(name);
  pod.metadata.uid = "uid-" + name;
  pod.metadata.resource_version = std::to_string(version);
  return make_object(pod);
}

TEST_CASE("api encoding: a version is encoded once") {
  EncodingCache cache;
  const auto first = cache.get(pods(), recorded("a", 1));
  const auto again = cache.get(pods(), recorded("a", 1));
  CHECK(first.get() == again.get());
  CHECK(cache.hits() == 1);
  CHECK(cache.misses() == 1);
  const auto next = cache.get(pods(), recorded("a", 2));
  CHECK(next.get() != first.get());
  CHECK(next->whole != first->whole);
  CHECK(first->whole == encode_for(pods(), recorded("a", 1)).whole);
}

TEST_CASE("api encoding: what was dropped is encoded anew") {
  EncodingCache cache;
  const auto first = cache.get(pods(), recorded("a", 1));
  cache.drop();
  CHECK(cache.size_bytes() == 0);
  const auto again = cache.get(pods(), recorded("a", 1));
  CHECK(first.get() != again.get());
  CHECK(first->whole == again->whole);
  CHECK(cache.misses() == 2);
}

TEST_CASE("api encoding: resources of one kind do not share bytes") {
  EncodingCache cache;
  auto event = test::make_event("e", recorded("a", 1));
  event.metadata.uid = "uid-e";
  event.metadata.resource_version = "5";
  const auto object = make_object(event);
  const auto core = cache.get(*find_served("", "v1", "events"), object);
  const auto newer = cache.get(*find_served("events.k8s.io", "v1", "events"), object);
  CHECK(core->whole.find("\"involvedObject\"") != std::string::npos);
  CHECK(newer->whole.find("\"regarding\"") != std::string::npos);
  CHECK(newer->whole.find("\"reportingController\"") != std::string::npos);
  CHECK(newer->whole.find("events.k8s.io/v1") != std::string::npos);
}

TEST_CASE("api encoding: an object that was never recorded is not kept") {
  EncodingCache cache;
  const auto object = make_object(test::make_pod("a"));
  CHECK(cache.get(pods(), object).get() != cache.get(pods(), object).get());
  CHECK(cache.size_bytes() == 0);
}

TEST_CASE("api encoding: the limit holds, and what is used stays") {
  constexpr std::size_t kLimit = 64U << 10U;
  EncodingCache cache(kLimit);
  const auto used = recorded("used", 1);
  std::size_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    cache.get(pods(), recorded("p-" + std::to_string(i), i + 1));
    cache.get(pods(), used);
    most = std::max(most, cache.size_bytes());
  }
  CHECK(most <= kLimit);
  CHECK(most > kLimit / 4);
  // Only the first reading of the object in use was a miss.
  CHECK(cache.misses() == 1001);
  CHECK(cache.hits() == 999);
}

TEST_CASE("api encoding: an object above the limit is answered but not kept") {
  EncodingCache cache(64);
  const auto encoded = cache.get(pods(), recorded("a", 1));
  CHECK_FALSE(encoded->whole.empty());
  CHECK(cache.size_bytes() == 0);
}

TEST_CASE("api encoding: paths are looked up in the encoded object") {
  const auto document = present(pods(), recorded("a", 1));
  CHECK(text_at(document, "metadata.name") == "a");
  CHECK(text_at(document, "spec.nodeName") == "node1");
  CHECK(text_at(document, "spec.nothing.below").empty());
  CHECK(text_at(document, "spec.hostNetwork") == "false");
}

}  // namespace
}  // namespace moored::net::api
