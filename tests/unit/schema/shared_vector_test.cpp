// Lists that copies share.
#include "schema/base/shared_vector.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "schema/codec/stored.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

using Words = SharedVector<std::string>;

TEST_CASE("A copy shares its elements until one of the two is changed") {
  const Words first{"a", "b"};
  Words second = first;
  CHECK(&second[0] == &first[0]);
  second.push_back("c");
  CHECK(first.size() == 2);
  CHECK(second.size() == 3);
  CHECK(&second[0] != &first[0]);
  CHECK(first[1] == "b");
  second.emplace_back() = "d";
  CHECK(second[3] == "d");
  second.clear();
  CHECK(second.empty());
  CHECK(second.begin() == second.end());
  CHECK(first.size() == 2);
}

TEST_CASE("What is equal does not depend on what is shared") {
  CHECK(Words{} == Words(std::vector<std::string>{}));
  CHECK(Words{"a"} == Words{"a"});
  CHECK_FALSE(Words{"a"} == Words{"b"});
  CHECK_FALSE(Words{"a"} == Words{});
  const Words first{"a"};
  CHECK(Words(first) == first);
}

TEST_CASE("The engine copies and compares shared lists") {
  KustomizationStatus from;
  from.inventory = Inventory{{{"shop_web_apps_Deployment", "v1"}}};
  KustomizationStatus to;
  to.inventory = Inventory{{{"shop_old__Service", "v1"}, {"shop_new__Service", "v1"}}};
  const auto& schema = schema_of<KustomizationStatus>();
  CHECK_FALSE(is_same_struct(schema, &from, &to));
  copy_rows(schema, &from, &to, {});
  CHECK(is_same_struct(schema, &from, &to));
  CHECK(&to.inventory->entries[0] == &from.inventory->entries[0]);
  to.inventory->entries.push_back({"shop_more__Service", "v1"});
  CHECK_FALSE(is_same_struct(schema, &from, &to));
  CHECK(from.inventory->entries.size() == 1);
}

}  // namespace
}  // namespace moored
