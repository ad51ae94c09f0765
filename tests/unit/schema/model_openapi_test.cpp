// The rows against the published schemas: no field of a type is forgotten, none is made up.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "schema/codec/text.hpp"
#include "schema/model/object.hpp"

namespace moored {
namespace {

namespace fs = std::filesystem;

// Types whose name here is shared by several types there.
const std::map<std::string, std::vector<std::string>> kOtherNames{
    {"KeySelector", {"ConfigMapKeySelector", "SecretKeySelector"}},
    {"EnvFromReference", {"ConfigMapEnvSource", "SecretEnvSource"}},
    {"KeysProjection", {"ConfigMapProjection", "SecretProjection"}},
};
constexpr std::array<std::string_view, 5> kPackages{
    "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1.",
    "io.k8s.api.discovery.v1.", "io.k8s.api.coordination.v1."};

std::optional<Value> read_definitions() {
  const char* named = std::getenv("MOORED_SHARED");
  const fs::path shared = named != nullptr ? fs::path(named)
                                           : fs::path(MOORED_SOURCE_DIR).parent_path() / "shared";
  const auto path = shared / "corpus" / "openapi" / "definitions.json";
  if (!fs::exists(path)) {
    WARN("SKIPPED: no schemas at " << path << "; set MOORED_SHARED to the folder that holds them");
    return std::nullopt;
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  TextLimits limits;
  limits.file_bytes = 64U << 20U;
  limits.nodes = 5'000'000;
  auto document = read_json(text.str(), "definitions.json", limits);
  REQUIRE(document);
  return *document->find("definitions");
}

const Value* find_definition(const Value& definitions, const std::string& name) {
  for (const auto package : kPackages) {
    if (const Value* found = definitions.find(std::string(package) + name)) return found;
  }
  return nullptr;
}

std::set<std::string> properties_of(const Value& definition) {
  std::set<std::string> out;
  if (const Value* properties = definition.find("properties")) {
    for (const auto& [name, value] : properties->members) out.insert(name.scalar);
  }
  return out;
}

std::set<std::string> rows_of(const TypeSchema& schema) {
  std::set<std::string> out;
  for (const auto& row : schema.fields) out.insert(std::string(row.name));
  return out;
}

// Every type that a manifest can hold: what lies below a status is written by moored alone.
void collect(const TypeSchema& schema, std::map<std::string, const TypeSchema*>& out) {
  if (!out.emplace(std::string(schema.name), &schema).second) return;
  for (const auto& row : schema.fields) {
    if ((row.flags & (kServerOnly | kRefused)) != 0) continue;
    const Type* type = row.type;
    while (type != nullptr && type->element != nullptr) type = type->element;
    if (type != nullptr && type->object != nullptr) collect(type->object(), out);
  }
}

TEST_CASE("rows and published schemas name the same fields") {
  const auto definitions = read_definitions();
  if (!definitions) return;
  std::size_t compared = 0;
  for (const Kind* kind : all_kinds()) {
    const bool flux = kind->group.find("fluxcd") != std::string_view::npos;
    if (flux || kind->origin == Origin::internal) continue;
    std::map<std::string, const TypeSchema*> types;
    collect(kind->schema(), types);
    for (const auto& [name, schema] : types) {
      const auto other = kOtherNames.find(name);
      const auto names = other == kOtherNames.end() ? std::vector<std::string>{name}
                                                    : other->second;
      for (const auto& published : names) {
        INFO(kind->kind << ": " << published);
        const Value* definition = find_definition(*definitions, published);
        REQUIRE(definition != nullptr);
        auto wanted = properties_of(*definition);
        if (name == kind->kind) {
          wanted.erase("apiVersion");
          wanted.erase("kind");
        }
        CHECK(rows_of(*schema) == wanted);
        ++compared;
      }
    }
  }
  CHECK(compared > 100);
}

}  // namespace
}  // namespace moored
