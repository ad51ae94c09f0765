#include "reconciler/diff/commit.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "reconciler/diff/inventory.hpp"
#include "reconciler/diff/memo.hpp"
#include "reconciler/diff/merge.hpp"
#include "reconciler/diff/ownership.hpp"
#include "reconciler/diff/recorded.hpp"
#include "schema/codec/stored.hpp"
#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

// Builds one CommitPlan; every step adds changes or errors.
class Comparison {
 public:
  Comparison(const TreeLoaded& tree, const StateView& view, ComparisonMemo* memo)
      : tree_(tree), view_(view), recorded_(view), memo_(memo) {
    plan_.unit = tree.unit.namespace_name + '/' + tree.unit.name;
    plan_.revision = tree.revision;
    plan_.diagnostics = tree.diagnostics;
    if (const auto unit = view.find(tree.unit)) unit_object_ = *unit;
    if (unit().status.inventory) plan_.inventory_before = unit().status.inventory->entries.size();
  }

  CommitPlan run(const PruneBudget& budget, bool confirmed) {
    collect_desired();
    for (const Object& object : tree_.objects) compare(object);
    plan_deletions();
    plan_.held = !confirmed && exceeds(budget);
    return std::move(plan_);
  }

 private:
  // The recorded unit, or an empty one.
  const Kustomization& unit() const {
    static const Kustomization kNone;
    return unit_object_ ? unit_object_.as<Kustomization>() : kNone;
  }
  void collect_desired();
  void compare(const Object& declared);
  void compare_recorded(const Object& declared, const Object& recorded);
  Object with_origin(const Object& declared) const;
  std::vector<ObjectKey> list_undeclared() const;
  bool check_namespace(const Object& declared);
  bool check_cluster_ip(const Object& declared);
  void plan_deletions();
  void plan_deletion(const Object& recorded);
  bool exceeds(const PruneBudget& budget) const;
  void refuse(const Object& declared, Error error);

  const TreeLoaded& tree_;
  const StateView& view_;
  RecordedObjects recorded_;
  ComparisonMemo* memo_;
  Object unit_object_;
  CommitPlan plan_;
  std::shared_ptr<const DeclaredNames> desired_;
  std::set<std::string> sound_namespaces_;        // that may hold objects of this commit
  std::map<std::string, ObjectKey> cluster_ips_;  // that this commit asks for
};

// The place is the object's own unless the error knows better.
void Comparison::refuse(const Object& declared, Error error) {
  const Provenance& origin = declared.provenance();
  if (error.place.file.empty()) {
    error.place.file = origin.file;
    error.place.line = origin.line;
  }
  plan_.diagnostics.add_error(std::move(error));
}

// The tree knows the files; whose they are is said here, of what is to be written.
Object Comparison::with_origin(const Object& declared) const {
  Provenance origin = declared.provenance();
  origin.source = tree_.source.namespace_name + '/' + tree_.source.name;
  origin.unit = plan_.unit;
  origin.revision = tree_.revision;
  return declared.with_provenance(std::move(origin));
}

// The inventory is what the commit declares, whether or not it changes. In the order of ids.
void Comparison::collect_desired() {
  if (memo_ != nullptr) desired_ = memo_->find_names(plan_.unit, tree_.objects);
  if (!desired_) {
    auto names = std::make_shared<DeclaredNames>();
    auto inventory = std::make_shared<Inventory>();
    std::vector<InventoryEntry> entries;
    names->keys.reserve(tree_.objects.size());
    entries.reserve(tree_.objects.size());
    for (const Object& object : tree_.objects) {
      const auto [key, fresh] = names->keys.insert(object.key());
      if (fresh) {
        entries.push_back(make_inventory_entry(*key));
        continue;
      }
      refuse(object, {Code::invalid, key->text() + " is declared twice", "DuplicateObject", {},
                      "keep one of the two"});
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    inventory->entries = SharedVector<InventoryEntry>(std::move(entries));
    names->inventory = std::move(inventory);
    desired_ = std::move(names);
    if (memo_ != nullptr && plan_.diagnostics.ok()) {
      memo_->note_names(plan_.unit, tree_.objects, desired_);
    }
  }
  plan_.inventory = desired_->inventory;
}

// The namespace must be declared here, or recorded and not on its way out.
bool Comparison::check_namespace(const Object& declared) {
  if (!declared.kind().namespaced) return true;
  const std::string& name = declared.meta().namespace_name;
  if (sound_namespaces_.count(name) > 0) return true;
  const ObjectKey key = key_of<Namespace>({}, name);
  const auto recorded = view_.find(key);
  if (recorded && recorded->meta().deletion_timestamp) {
    refuse(declared, {Code::conflict, "Namespace/" + name + " is being removed",
                      "NamespaceTerminating", {}, "wait until it is gone"});
    return false;
  }
  const bool goes = recorded && unit().spec.prune && holds(unit(), key);
  if (desired_->keys.count(key) > 0 || is_protected_namespace(name) || (recorded && !goes)) {
    sound_namespaces_.insert(name);
    return true;
  }
  refuse(declared, {Code::not_found, "Namespace/" + name + " does not exist", "NotFound",
                    {declared.provenance().file, declared.provenance().line, 0,
                     "metadata.namespace"},
                    "declare the Namespace in the same repository"});
  return false;
}

// An address that a manifest asks for must be free.
bool Comparison::check_cluster_ip(const Object& declared) {
  if (!declared.is<Service>()) return true;
  const std::string& wanted = declared.as<Service>().spec.cluster_ip;
  if (wanted.empty() || wanted == "None") return true;
  std::optional<ObjectKey> holder;
  for (const Object& other : view_.list(kind_of<Service>())) {
    if (other.as<Service>().spec.cluster_ip == wanted) holder = other.key();
  }
  const auto [entry, first] = cluster_ips_.emplace(wanted, declared.key());
  if (!first) holder = entry->second;
  if (!holder || *holder == declared.key()) return true;
  refuse(declared, {Code::invalid, "address " + wanted + " already belongs to " + holder->text(),
                    "InvalidValue",
                    {declared.provenance().file, declared.provenance().line, 0, "spec.clusterIP"},
                    "leave clusterIP out"});
  return false;
}

// A place that cannot hold the object is told before what would change there.
void Comparison::compare(const Object& declared) {
  if (!check_namespace(declared)) return;
  if (memo_ != nullptr &&
      memo_->is_satisfied(declared, plan_.unit, view_.resource_version())) {
    ++plan_.unchanged;
    return;
  }
  if (!check_cluster_ip(declared)) return;
  const Object* recorded = recorded_.find(declared);
  if (recorded != nullptr) return compare_recorded(declared, *recorded);
  Object created = with_origin(declared);
  const Provenance origin = created.provenance();
  plan_.changes.push_back(
      {ObjectChange::Verb::create, declared.key(), {}, std::move(created), {}, origin});
}

// True when the manifest asks for nothing that is not recorded: as make_merged and diff would find
// it, which also say what differs. Services and Pods take over more than that, and go that way.
bool asks_for_nothing(const Object& declared, const Object& recorded) {
  if (recorded.is<Service>() || recorded.is<Pod>()) return false;
  const ObjectMeta& wanted = declared.meta();
  const ObjectMeta& have = recorded.meta();
  const auto carried = static_cast<std::size_t>(std::count_if(
      have.annotations.begin(), have.annotations.end(), [&](const auto& annotation) {
        const auto declared_too = wanted.annotations.find(annotation.first);
        return declared_too == wanted.annotations.end() ? is_own_annotation(annotation.first)
                                                        : *declared_too == annotation;
      }));
  const bool nothing_new = std::all_of(
      wanted.annotations.begin(), wanted.annotations.end(),
      [&](const auto& annotation) { return have.annotations.count(annotation.first) > 0; });
  return nothing_new && carried == have.annotations.size() && wanted.labels == have.labels &&
         wanted.generate_name == have.generate_name &&
         is_same_object(declared, recorded, {"metadata", "status"});
}

// An immutable ConfigMap or Secret keeps its content and stays immutable.
std::optional<Error> check_sealed(const Object& recorded, const Object& merged,
                                  const std::vector<FieldChange>& changes) {
  const bool sealed =
      (recorded.is<ConfigMap>() && recorded.as<ConfigMap>().immutable.value_or(false)) ||
      (recorded.is<Secret>() && recorded.as<Secret>().immutable.value_or(false));
  if (!sealed) return std::nullopt;
  for (const FieldChange& change : changes) {
    if (change.path.rfind("metadata", 0) == 0) continue;
    return Error{Code::invalid, merged.key().text() + " is immutable", "Immutable",
                 {{}, 0, 0, change.path}, "give the changed object a new name"};
  }
  return std::nullopt;
}

// The containers of a pod are started from its spec once: it stays what it was.
std::optional<Error> check_pod_spec(const Object& merged, const std::vector<FieldChange>& changes) {
  if (!merged.is<Pod>()) return std::nullopt;
  for (const FieldChange& change : changes) {
    if (change.path.rfind("spec", 0) != 0) continue;
    return Error{Code::invalid, "the spec of a Pod that is there cannot be changed", "Immutable",
                 {{}, 0, 0, change.path},
                 "give the Pod another name, or let a Deployment replace its pods"};
  }
  return std::nullopt;
}

// Immutable fields are judged against what is recorded, after our own parts were carried over.
void Comparison::compare_recorded(const Object& declared, const Object& recorded) {
  if (auto conflict = check_owner(recorded, plan_.unit, view_)) {
    return refuse(declared, std::move(*conflict));
  }
  // Changed now it would still go, and nobody would make it again. A refused commit is tried at
  // every look, so it is taken as soon as the old one is gone.
  if (recorded.meta().deletion_timestamp) {
    return refuse(declared, {Code::conflict, recorded.key().text() + " is being removed",
                             recorded.is<Namespace>() ? "NamespaceTerminating" : "Terminating", {},
                             "the commit is taken once that is gone"});
  }
  const bool ours = recorded.provenance().unit == plan_.unit;
  if (ours && asks_for_nothing(declared, recorded)) {
    if (memo_ != nullptr) {
      memo_->note_satisfied(declared, recorded, view_.resource_version());
    }
    ++plan_.unchanged;
    return;
  }
  auto merged = make_merged(with_origin(declared), recorded);
  if (!merged) return refuse(declared, std::move(merged).error());
  auto changes = diff(recorded, *merged, false);
  auto errors = check_immutable(recorded, *merged);
  if (auto sealed = check_sealed(recorded, *merged, changes)) errors.push_back(std::move(*sealed));
  if (auto fixed = check_pod_spec(*merged, changes)) errors.push_back(std::move(*fixed));
  for (Error& error : errors) {
    error.place.file = declared.provenance().file;
    error.place.line = declared.provenance().line;
    refuse(declared, std::move(error));
  }
  if (!errors.empty()) return;
  if (!ours) {
    changes.push_back({"unit", recorded.provenance().unit, plan_.unit});
  }
  if (changes.empty()) {
    ++plan_.unchanged;
    return;
  }
  plan_.changes.push_back({ObjectChange::Verb::update, declared.key(), recorded,
                           std::move(*merged), std::move(changes),
                           with_origin(declared).provenance()});
}

// What the inventory holds beyond the commit. Both lists are in the order of ids.
std::vector<ObjectKey> Comparison::list_undeclared() const {
  std::vector<ObjectKey> keys;
  auto declared = plan_.inventory->entries.begin();
  const auto end = plan_.inventory->entries.end();
  for (const InventoryEntry& entry : unit().status.inventory->entries) {
    while (declared != end && declared->id < entry.id) ++declared;
    if (declared != end && declared->id == entry.id) continue;
    const auto key = find_inventory_key(entry);
    if (key && desired_->keys.count(*key) == 0) keys.push_back(*key);
  }
  return keys;
}

// Only what this unit put there, and only while it still holds it.
void Comparison::plan_deletions() {
  if (!unit().spec.prune || !unit().status.inventory) return;
  std::vector<Object> gone;
  for (const ObjectKey& key : list_undeclared()) {
    auto recorded = view_.find(key);
    if (!recorded || recorded->provenance().unit != plan_.unit) continue;
    gone.push_back(std::move(*recorded));
  }
  // What lives in a namespace goes before the namespace.
  std::stable_partition(gone.begin(), gone.end(),
                        [](const Object& object) { return object.kind().namespaced; });
  for (const Object& recorded : gone) plan_deletion(recorded);
}

// A namespace or a unit takes others along: they count.
void Comparison::plan_deletion(const Object& recorded) {
  if (recorded.meta().deletion_timestamp) return;  // on its way out already
  ++plan_.deletions;
  if (recorded.is<Namespace>()) {
    const std::string& name = recorded.meta().name;
    if (auto conflict = check_namespace_free(name, plan_.unit, view_)) {
      return refuse(recorded, std::move(*conflict));
    }
  }
  if (recorded.is<Kustomization>()) {
    const auto& unit = recorded.as<Kustomization>();
    if (unit.spec.prune && unit.status.inventory) {
      plan_.deletions += unit.status.inventory->entries.size();
    }
  }
  plan_.changes.push_back({ObjectChange::Verb::remove, recorded.key(), recorded, {}, {},
                           recorded.provenance()});
}

// An emptied tree is held whatever the numbers: a wrong path looks like that.
bool Comparison::exceeds(const PruneBudget& budget) const {
  if (plan_.deletions == 0) return false;
  if (tree_.objects.empty()) return true;
  const double share = budget.max_share * static_cast<double>(plan_.inventory_before);
  return plan_.deletions > budget.min_objects && static_cast<double>(plan_.deletions) > share;
}

}  // namespace

CommitPlan plan_commit(const TreeLoaded& tree, const StateView& view, const PruneBudget& budget,
                       bool confirmed, ComparisonMemo* memo) {
  if (memo != nullptr) memo->trim();
  if (tree.complete && tree.diagnostics.ok()) {
    return Comparison(tree, view, memo).run(budget, confirmed);
  }
  CommitPlan refused;
  refused.unit = tree.unit.namespace_name + '/' + tree.unit.name;
  refused.revision = tree.revision;
  refused.diagnostics = tree.diagnostics;
  if (refused.diagnostics.ok()) {
    refused.diagnostics.add_error({Code::unavailable, "the tree was not read completely",
                                   "TreeIncomplete", {}, "look at the source's own condition"});
  }
  return refused;
}

}  // namespace moored
