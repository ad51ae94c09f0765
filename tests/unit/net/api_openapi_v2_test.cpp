// OpenAPI v2: the protobuf is read here as gnostic's message says, field by field.
#include "net/api/openapi_v2.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "tests/unit/net/api_fake.hpp"

namespace moored::net::api {
namespace {

using Fields = std::multimap<std::uint64_t, std::string>;

// All fields of a message; only texts and messages are expected.
Fields read_message(std::string_view bytes) {
  Fields fields;
  const auto take_varint = [&] {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !bytes.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) break;
    }
    return value;
  };
  while (!bytes.empty()) {
    const auto tag = take_varint();
    REQUIRE((tag & 7U) == 2);
    const auto size = take_varint();
    REQUIRE(size <= bytes.size());
    fields.emplace(tag >> 3U, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return fields;
}

std::string only(const Fields& fields, std::uint64_t number) {
  REQUIRE(fields.count(number) == 1);
  return fields.find(number)->second;
}

// Names with their values, as properties and definitions are listed.
std::map<std::string, std::string> read_named(const std::string& bytes) {
  std::map<std::string, std::string> named;
  const auto listed = read_message(bytes);
  for (const auto& [number, entry] : listed) {
    CHECK(number == 1);
    const auto pair = read_message(entry);
    CHECK(named.emplace(only(pair, 1), only(pair, 2)).second);
  }
  return named;
}

std::map<std::string, std::string> definitions() {
  const auto document = read_message(*openapi_v2_document().body);
  CHECK(only(document, 1) == "2.0");
  CHECK(only(read_message(only(document, 2)), 1) == "moored");
  return read_named(only(document, 9));
}

TEST_CASE("api openapi v2: a kind has its mark, its documents and its types") {
  const auto all = definitions();
  const auto kind = read_message(all.at("io.moored.Deployment"));
  const auto mark = read_message(only(kind, 31));
  CHECK(only(mark, 1) == "x-kubernetes-group-version-kind");
  CHECK(only(read_message(only(mark, 2)), 2) ==
        R"([{"group":"apps","version":"v1","kind":"Deployment"}])");
  const auto properties = read_named(only(kind, 25));
  CHECK(properties.count("apiVersion") == 1);
  CHECK(properties.count("metadata") == 1);
  const auto reference = only(read_message(properties.at("spec")), 1);
  CHECK(reference == "#/definitions/io.moored.DeploymentSpec");
  const auto spec = read_message(all.at("io.moored.DeploymentSpec"));
  const auto replicas = read_message(read_named(only(spec, 25)).at("replicas"));
  CHECK(only(read_message(only(replicas, 22)), 1) == "integer");
  CHECK(only(replicas, 2) == "int32");
  CHECK_FALSE(only(replicas, 4).empty());
}

TEST_CASE("api openapi v2: every reference leads somewhere") {
  const auto all = definitions();
  std::set<std::string> seen;
  const std::string prefix = "#/definitions/";
  std::vector<std::string> left;
  for (const auto& [name, schema] : all)
    left.push_back(schema);
  while (!left.empty()) {
    const auto schema = read_message(left.back());
    left.pop_back();
    for (const auto& [number, value] : schema) {
      if (number == 1) {
        REQUIRE(value.substr(0, prefix.size()) == prefix);
        INFO(value);
        CHECK(all.count(value.substr(prefix.size())) == 1);
      }
      if (number == 21 || number == 23) left.push_back(only(read_message(value), 1));
      if (number == 25) {
        for (const auto& [name, property] : read_named(value))
          left.push_back(property);
      }
    }
  }
  CHECK(all.size() > 50);
}

TEST_CASE("api openapi v2: only who asks for protobuf gets it") {
  test::FakeApi api;
  const auto served = api.get("/openapi/v2", std::string(kOpenapiV2Type));
  CHECK(served.status == 200);
  CHECK(served.content_type == kOpenapiV2ReplyType);
  CHECK(api.get("/openapi/v2", "application/json").status == 404);
  CHECK(api.get("/openapi/v2/x", std::string(kOpenapiV2Type)).status == 404);
}

}  // namespace
}  // namespace moored::net::api
