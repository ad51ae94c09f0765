// How much of what other people wrote is accepted: pods and pod templates of a public corpus.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

namespace fs = std::filesystem;

// The smallest number of the listed documents that must be accepted.
constexpr int kWantedDocuments = 165;

// One line of the list: a document that holds a pod or a pod template.
struct Listed {
  std::string file;
  std::size_t index = 0;
  std::string kind;
};

fs::path corpus_root() {
  const char* named = std::getenv("MOORED_SHARED");
  const fs::path shared = named != nullptr ? fs::path(named)
                                           : fs::path(MOORED_SOURCE_DIR).parent_path() / "shared";
  return shared / "corpus";
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<Listed> read_list(const fs::path& path) {
  std::vector<Listed> out;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream cells(line);
    Listed listed;
    cells >> listed.file >> listed.index >> listed.kind;
    out.push_back(std::move(listed));
  }
  return out;
}

// The part of a document that moored would run: the Pod itself, or its template.
const Value* find_pod_part(const Value& document, const std::string& kind) {
  std::vector<std::string_view> path{"spec", "template"};
  if (kind == "Pod") path = {};
  if (kind == "PodTemplate") path = {"template"};
  if (kind == "CronJob") path = {"spec", "jobTemplate", "spec", "template"};
  const Value* at = &document;
  for (const auto& step : path) {
    at = at->find(step);
    if (at == nullptr) return nullptr;
  }
  return at;
}

// Reads the part as strictly as a manifest.
Diagnostics judge(const Value& part, const std::string& file) {
  Diagnostics diagnostics;
  Value body = Value::make_map();
  for (const auto& member : part.members) {
    const auto& name = member.first.scalar;
    if (name == "metadata" || name == "spec") body.members.push_back(member);
  }
  PodTemplateSpec pod_template;
  const auto& schema = schema_of<PodTemplateSpec>();
  codec::Decoder(file, codec::Strictness::manifest, diagnostics)
      .read_struct(schema, body, &pod_template, {});
  if (!diagnostics.ok()) return diagnostics;
  codec::apply_defaults(schema, &pod_template);
  codec::run_checks(schema, &pod_template, body, file, diagnostics);
  return diagnostics;
}

TEST_CASE("most pods of the corpus are accepted") {
  const auto root = corpus_root();
  if (!fs::exists(root / "pod-documents.tsv")) {
    WARN("SKIPPED: no corpus at " << root << "; set MOORED_SHARED to the folder that holds it");
    return;
  }
  int accepted = 0;
  std::map<std::string, int> refusals;
  const auto list = read_list(root / "pod-documents.tsv");
  for (const auto& listed : list) {
    Diagnostics diagnostics;
    const auto documents = read_yaml(read_text(root / listed.file), listed.file, diagnostics);
    if (diagnostics.ok() && listed.index < documents.size()) {
      const Value* part = find_pod_part(documents[listed.index], listed.kind);
      REQUIRE(part != nullptr);
      diagnostics = judge(*part, listed.file);
    }
    if (diagnostics.ok()) {
      ++accepted;
      continue;
    }
    ++refusals[diagnostics.errors().front().place.field + ": " +
               diagnostics.errors().front().message];
    if (std::getenv("MOORED_CORPUS_VERBOSE") != nullptr) {
      for (const auto& error : diagnostics.errors()) std::cout << error.text() << "\n";
    }
  }
  std::cout << "corpus: " << accepted << " of " << list.size() << " pod documents accepted\n";
  CHECK(accepted >= kWantedDocuments);
  CHECK(list.size() == 272);
}

}  // namespace
}  // namespace moored
