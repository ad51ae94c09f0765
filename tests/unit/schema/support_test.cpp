// The table of what is carried out, written from the rows themselves: docs/support.md.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "schema/model/object.hpp"

using namespace moored;

namespace {

constexpr const char* kPage = MOORED_SOURCE_DIR "/docs/support.md";

// The table behind a type, through optionals, lists and maps; nullptr for scalars.
const TypeSchema* table_of(const Type* type) {
  while (type != nullptr && type->shape != Shape::object) type = type->element;
  return type == nullptr ? nullptr : &type->object();
}

std::string type_word(const Type* type) {
  switch (type->shape) {
    case Shape::boolean: return "boolean";
    case Shape::int32:
    case Shape::int64: return "integer";
    case Shape::text: return "string";
    case Shape::quantity: return "quantity";
    case Shape::int_or_string: return "integer or string";
    case Shape::time: return "time";
    case Shape::object: return std::string(type->object().name);
    case Shape::optional: return type_word(type->element);
    case Shape::list: return "list of " + type_word(type->element);
    case Shape::map: return "map of " + type_word(type->element);
  }
  return {};
}

// Every table that the kinds reach, each once, in the order in which it is met.
std::vector<const TypeSchema*> reach_tables() {
  std::vector<const TypeSchema*> tables;
  std::set<const TypeSchema*> seen;
  const std::function<void(const TypeSchema&)> visit = [&](const TypeSchema& schema) {
    if (!seen.insert(&schema).second) return;
    tables.push_back(&schema);
    for (const auto& field : schema.fields) {
      if ((field.flags & kUnset) != 0) continue;
      if (const auto* table = table_of(field.type)) visit(*table);
    }
  };
  for (const auto* kind : all_kinds()) visit(kind->schema());
  return tables;
}

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

void write_table(std::ostream& out, const TypeSchema& schema) {
  out << "\n### " << schema.name << "\n\n| field | type | default | carried out by | |\n"
      << "|---|---|---|---|---|\n";
  std::string refused;
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) {
      refused += "| `" + std::string(field.name) + "` | " + cell(field.carried_by) + " |\n";
      continue;
    }
    out << "| `" << field.name << "`" << ((field.flags & kRequired) != 0 ? " (required)" : "")
        << ((field.flags & kNoEffect) != 0 ? " (no effect, with a warning)" : "") << " | " << type_word(field.type) << " | " << cell(field.fallback) << " | "
        << cell(field.carried_by) << " | " << cell(field.doc) << " |\n";
  }
  if (!refused.empty()) out << "\n| refused | what to do |\n|---|---|\n" << refused;
}

std::string write_page() {
  std::ostringstream out;
  out << "# What moored carries out\n\n"
         "Written from the schema tables; a test holds it to them. A field that is not here does\n"
         "not exist and is refused, with file, line and column. A field listed as refused says what\n"
         "to do instead.\n\n"
         "| apiVersion | kind | short names | scope | written by |\n|---|---|---|---|---|\n";
  for (const auto* kind : all_kinds()) {
    std::string names;
    for (const auto name : kind->short_names) {
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    out << "| " << kind->api_version() << " | " << kind->kind << " | " << names << " | "
        << (kind->namespaced ? "namespaced" : "node") << " | "
        << (kind->origin == Origin::declared ? "people, in Git" : "moored") << " |\n";
  }
  out << "\n## Fields\n";
  for (const auto* schema : reach_tables()) write_table(out, *schema);
  return out.str();
}

}  // namespace

TEST_CASE("the support table says what the rows say") {
  const auto page = write_page();
  if (std::getenv("MOORED_ACCEPT") != nullptr) std::ofstream(kPage) << page;
  std::stringstream written;
  written << std::ifstream(kPage).rdbuf();
  INFO("run this test with MOORED_ACCEPT=1 to rewrite docs/support.md");
  CHECK(written.str() == page);
}

TEST_CASE("every row says who carries it out and what it is for") {
  for (const auto* schema : reach_tables()) {
    for (const auto& field : schema->fields) {
      INFO(schema->name << "." << field.name);
      CHECK(!field.carried_by.empty());
      if ((field.flags & kUnset) == 0) CHECK(!field.doc.empty());
    }
  }
}
