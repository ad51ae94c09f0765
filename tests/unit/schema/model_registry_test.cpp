// The registry and the rows of every kind hold together.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "schema/model/object.hpp"

namespace moored {
namespace {

// Calls visit for every schema that can be reached from one, each once.
template <class Visit>
void walk(const TypeSchema& schema, std::set<std::string>& seen, const Visit& visit) {
  if (!seen.insert(std::string(schema.name)).second) return;
  visit(schema);
  for (const auto& row : schema.fields) {
    const Type* type = row.type;
    while (type != nullptr && type->element != nullptr) type = type->element;
    if (type != nullptr && type->object != nullptr) walk(type->object(), seen, visit);
  }
}

TEST_CASE("every kind is found by its kind and by its plural") {
  for (const Kind* kind : all_kinds()) {
    INFO(kind->kind);
    CHECK(find_kind(kind->api_version(), kind->kind) == kind);
    CHECK(find_resource(kind->group, kind->version, kind->plural) == kind);
    CHECK_FALSE(kind->singular.empty());
    REQUIRE(kind->table != nullptr);
    const auto columns = kind->table->columns;
    CHECK(std::count_if(columns.begin(), columns.end(),
                        [](const Column& column) { return column.format == "name"; }) == 1);
  }
  CHECK(find_kind("v1", "Deployment") == nullptr);
  CHECK(find_kind("apps/v1", "Pod") == nullptr);
  CHECK(find_resource("apps", "v1", "pods") == nullptr);
}

TEST_CASE("every row says what carries it out, and refused rows what to do instead") {
  for (const Kind* kind : all_kinds()) {
    std::set<std::string> seen;
    walk(kind->schema(), seen, [](const TypeSchema& schema) {
      std::set<std::string> names;
      for (const auto& row : schema.fields) {
        INFO(schema.name << "." << row.name);
        CHECK(names.insert(std::string(row.name)).second);
        CHECK_FALSE(row.carried_by.empty());
        const bool refused = (row.flags & kUnset) != 0;
        const bool dropped = row.member == nullptr && (row.flags & kServerOnly) != 0;
        CHECK((row.member == nullptr) == (refused || dropped));
        if (dropped) CHECK(refused);  // every walk leaves it out
        if (!refused) CHECK_FALSE(row.doc.empty());
      }
    });
  }
}

}  // namespace
}  // namespace moored
