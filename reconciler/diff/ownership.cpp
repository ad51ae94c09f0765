#include "reconciler/diff/ownership.hpp"

#include <algorithm>
#include <array>

#include "reconciler/diff/inventory.hpp"
#include "schema/base/result.hpp"
#include "schema/model/core.hpp"
#include "schema/model/recovered.hpp"

namespace moored {
namespace {

// In the order of the alphabet.
constexpr std::array<std::string_view, 3> kProtected{"default", "kube-node-lease",
                                                     "moored-system"};

// A conflict may pass: it is judged again at the next look at the source.
Error make_conflict(std::string message, std::string_view fix) {
  Error error{Code::conflict, std::move(message), "OwnershipConflict", {}, std::string(fix)};
  return error;
}

// Kinds that moored makes for everybody and a repository may take over, and what was recorded again
// from what runs: whose it was is lost.
bool may_be_adopted(const Object& object) {
  return object.is<Namespace>() || object.is<ServiceAccount>() || is_recovered(object.meta());
}

// Calls for every recorded object of a namespace that people declared.
template <class Visit>
void visit_declared(const std::string& name, const StateView& view, Visit visit) {
  for (const Kind* kind : all_kinds()) {
    if (!kind->namespaced || kind->origin != Origin::declared) continue;
    for (const Object& object : view.list(*kind, name)) {
      if (find_controller(object.meta()) == nullptr && !object.provenance().unit.empty()) {
        visit(object);
      }
    }
  }
}

}  // namespace

bool is_protected_namespace(std::string_view name) {
  return std::find(kProtected.begin(), kProtected.end(), name) != kProtected.end();
}

std::optional<ObjectKey> find_unit_key(const std::string& unit) {
  const auto slash = unit.find('/');
  if (slash == std::string::npos) return std::nullopt;
  return key_of<Kustomization>(unit.substr(0, slash), unit.substr(slash + 1));
}

std::string find_owner_unit(const Object& recorded, const StateView& view) {
  const std::string& unit = recorded.provenance().unit;
  const auto key = find_unit_key(unit);
  if (!key) return {};
  const auto owner = view.find(*key);
  if (!owner || !holds(owner->as<Kustomization>(), recorded.key())) return {};
  return unit;
}

std::optional<Error> check_owner(const Object& recorded, const std::string& unit,
                                 const StateView& view) {
  if (recorded.provenance().unit == unit) return std::nullopt;
  const std::string text = recorded.key().text();
  if (recorded.provenance().unit.empty()) {
    if (may_be_adopted(recorded)) return std::nullopt;
    return make_conflict(text + " was made by moored itself", "choose another name");
  }
  const std::string owner = find_owner_unit(recorded, view);
  if (owner.empty()) return std::nullopt;
  return make_conflict(text + " already belongs to Kustomization " + owner,
                       "declare the object in one unit only");
}

std::optional<Error> check_namespace_free(const std::string& name, const std::string& unit,
                                          const StateView& view) {
  std::optional<Error> error;
  visit_declared(name, view, [&](const Object& object) {
    const std::string owner = find_owner_unit(object, view);
    if (error || owner.empty() || owner == unit) return;
    error = make_conflict("Namespace/" + name + " still holds " + object.key().text() +
                              " of Kustomization " + owner,
                          "remove the object there first");
  });
  return error;
}

std::vector<ObjectKey> list_declared_in(const std::string& name, const StateView& view) {
  std::vector<ObjectKey> keys;
  visit_declared(name, view, [&](const Object& object) { keys.push_back(object.key()); });
  return keys;
}

}  // namespace moored
