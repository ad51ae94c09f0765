// Manifests that must be refused, and the place and the reason word that must be told.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "schema/codec/codec.hpp"
#include "schema/codec/locate.hpp"
#include "schema/codec/text.hpp"
#include "schema/validate/validate.hpp"

namespace moored {
namespace {

namespace fs = std::filesystem;

// Cases of the kinds that are carried out. The others come with their kinds.
const std::vector<std::string> kCases{
    "i-references", "m-configmap-key-paths", "m-duplicate-object", "m-invalid-names",
    "m-million-replicas", "m-misspelt-field", "m-secret-not-base64", "m-selector-conflicts",
    "m-server-fields", "m-unknown-kind", "m-wrong-types", "n-external-ips", "s-capabilities",
    "s-hostpath", "s-mount-paths", "s-privileged-everywhere", "s-relabel-own-namespace",
    "s-restricted-root", "s-seccomp-apparmor", "s-subpath", "s-templates-everywhere"};

fs::path cases_root() {
  const char* named = std::getenv("MOORED_SHARED");
  const fs::path shared = named != nullptr ? fs::path(named)
                                           : fs::path(MOORED_SOURCE_DIR).parent_path() / "shared";
  return shared / "badinput";
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

AdmissionPolicy policy_of(const Value& expectation) {
  AdmissionPolicy policy;
  const Value* level = expectation.find("policy");
  if (level != nullptr && level->scalar == "restricted") {
    policy.default_level = AdmissionPolicy::Level::restricted;
  }
  return policy;
}

// Reads all files of a case as one commit; every error with its exact place.
Diagnostics judge(const fs::path& folder, const AdmissionPolicy& policy) {
  Diagnostics all;
  std::vector<Object> objects;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::map<std::string, FieldLocator> locators;
  for (const auto& path : files) {
    const auto file = fs::relative(path, folder).string();
    const auto text = read_text(path);
    for (const auto& document : read_yaml(text, file, all)) {
      if (auto object = decode_manifest(document, file, all)) objects.push_back(*object);
    }
    locators.emplace(file, FieldLocator(text, file));
  }
  Diagnostics judged;
  validate_commit(objects, policy, judged);
  for (Error error : judged.errors()) {
    locators.at(error.place.file).refine(error.place);
    all.add_error(std::move(error));
  }
  return all;
}

std::string text_of(const Value& map, std::string_view key) {
  const Value* found = map.find(key);
  return found == nullptr ? std::string() : found->scalar;
}

// The same reason, and the same file, line and field where they are given.
bool fits(const Error& error, const Value& wanted) {
  const auto file = text_of(wanted, "file");
  const auto line = text_of(wanted, "line");
  const auto field = text_of(wanted, "field");
  return error.reason == text_of(wanted, "reason") &&
         (file.empty() || error.place.file == file) &&
         (line.empty() || std::to_string(error.place.line) == line) &&
         (field.empty() || error.place.field == field);
}

TEST_CASE("manifests that must be refused are refused at the right place") {
  const auto root = cases_root();
  if (!fs::exists(root)) {
    WARN("SKIPPED: no cases at " << root << "; set MOORED_SHARED to the folder that holds them");
    return;
  }
  for (const auto& name : kCases) {
    const auto expectation = read_json(read_text(root / name / "expect.json"));
    REQUIRE(expectation);
    const auto diagnostics = judge(root / name / "repo", policy_of(*expectation));
    INFO(name);
    for (const auto& error : diagnostics.errors()) {
      UNSCOPED_INFO(error.reason << " " << error.text());
    }
    if (text_of(*expectation, "verdict") == "accept-warn") {
      CHECK(diagnostics.ok());
      CHECK(diagnostics.warning_count() > 0);
      continue;
    }
    const Value& wanted = *expectation->find("error");
    const auto& errors = diagnostics.errors();
    CHECK(std::any_of(errors.begin(), errors.end(),
                      [&](const Error& error) { return fits(error, wanted); }));
    if (const Value* forbidden = wanted.find("must_not_contain")) {
      for (const auto& word : forbidden->items) {
        for (const auto& error : errors) CHECK(error.text().find(word.scalar) == std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace moored
