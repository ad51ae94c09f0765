// Inventory entries, both ways.
#include "reconciler/diff/inventory.hpp"

#include <catch2/catch.hpp>

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"

namespace moored {
namespace {

struct Row {
  ObjectKey key;
  const char* id;
  const char* version;
};

TEST_CASE("Keys become entries in Flux's form and come back") {
  const Row rows[] = {
      {key_of<Deployment>("shop", "web"), "shop_web_apps_Deployment", "v1"},
      {key_of<Service>("shop", "web"), "shop_web__Service", "v1"},
      {key_of<Namespace>("", "shop"), "_shop__Namespace", "v1"},
      {key_of<ConfigMap>("shop", "app.conf-v2"), "shop_app.conf-v2__ConfigMap", "v1"},
      {key_of<Kustomization>("moored-system", "default"),
       "moored-system_default_kustomize.toolkit.fluxcd.io_Kustomization", "v1"},
  };
  for (const Row& row : rows) {
    INFO(row.id);
    const InventoryEntry entry = make_inventory_entry(row.key);
    CHECK(entry.id == row.id);
    CHECK(entry.v == row.version);
    const auto back = find_inventory_key(entry);
    REQUIRE(back);
    CHECK(*back == row.key);
  }
}

TEST_CASE("What is no entry, or of an unknown kind, is nothing") {
  for (const char* id : {"", "shop", "shop_web", "shop_web_apps", "a_b_c_d_e", "shop_web__Gizmo",
                         "shop_web_apps_Service"}) {
    INFO(id);
    CHECK_FALSE(find_inventory_key({id, "v1"}));
  }
  CHECK_FALSE(find_inventory_key({"shop_web_apps_Deployment", "v1beta1"}));
}

TEST_CASE("A unit holds what its inventory names") {
  Kustomization unit;
  const auto key = key_of<Deployment>("shop", "web");
  CHECK_FALSE(holds(unit, key));
  unit.status.inventory = Inventory{};
  CHECK_FALSE(holds(unit, key));
  unit.status.inventory->entries.push_back(make_inventory_entry(key));
  CHECK(holds(unit, key));
  CHECK_FALSE(holds(unit, key_of<Deployment>("shop", "api")));
}

}  // namespace
}  // namespace moored
