// Short ways from a manifest to an object or to its errors, for the tests of the model.
#pragma once

#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"

namespace moored::testing {

// Everything that reading one manifest says.
inline Diagnostics read_manifest(const std::string& yaml, std::optional<Object>* out = nullptr) {
  Diagnostics diagnostics;
  const auto documents = read_yaml(yaml, "m.yaml", diagnostics);
  REQUIRE(diagnostics.ok());
  REQUIRE(documents.size() == 1);
  auto object = decode_manifest(documents.front(), "m.yaml", diagnostics);
  if (out != nullptr) *out = std::move(object);
  return diagnostics;
}

// The object of a manifest that must be good.
inline Object decode_good(const std::string& yaml) {
  std::optional<Object> object;
  const auto diagnostics = read_manifest(yaml, &object);
  for (const auto& error : diagnostics.errors()) UNSCOPED_INFO(error.text());
  REQUIRE(diagnostics.ok());
  return *object;
}

// The errors as "field reason", in order.
inline std::vector<std::string> errors_of(const std::string& yaml) {
  std::vector<std::string> out;
  const auto diagnostics = read_manifest(yaml);
  for (const auto& error : diagnostics.errors()) {
    out.push_back(error.place.field + " " + error.reason);
  }
  return out;
}

// A Pod manifest whose spec is the given block, indented by two.
inline std::string pod_yaml(const std::string& spec) {
  std::string out = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec:\n";
  std::size_t start = 0;
  while (start < spec.size()) {
    const auto end = std::min(spec.find('\n', start), spec.size());
    out += "  " + spec.substr(start, end - start) + "\n";
    start = end + 1;
  }
  return out;
}

// A Pod with one container of which the rest of the block is given, indented by four.
inline std::string container_yaml(const std::string& rest) {
  std::string spec = "containers:\n- name: c\n  image: example.com/a:1\n";
  std::size_t start = 0;
  while (start < rest.size()) {
    const auto end = std::min(rest.find('\n', start), rest.size());
    spec += "  " + rest.substr(start, end - start) + "\n";
    start = end + 1;
  }
  return pod_yaml(spec);
}

}  // namespace moored::testing
