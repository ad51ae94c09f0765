// What a commit would change: desired objects of one unit against what is recorded. Pure; the
// daemon records the answer, `moorctl plan` prints it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schema/codec/codec.hpp"
#include "schema/codec/value.hpp"
#include "schema/model/flux.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

class ComparisonMemo;

// Limits of what a commit may take away at once.
struct PruneBudget {
  std::size_t min_objects = 10;   // up to this count a prune is not held, unless the tree is empty
  double max_share = 0.5;         // of the unit's inventory
};

// One object that a commit creates, updates or deletes.
struct ObjectChange {
  enum class Verb { create, update, remove } verb = Verb::create;
  ObjectKey key;
  Object before;                     // empty for create
  Object after;                      // empty for remove; server-owned fields carried over
  std::vector<FieldChange> changes;  // update only
  Provenance provenance;             // where the commit (remove: the recorded one) writes it
};

// What a commit does to the objects of its unit.
struct CommitPlan {
  std::string unit;                 // namespace/name of the Kustomization
  std::string revision;
  std::vector<ObjectChange> changes;  // creates and updates in commit order, then deletions
  std::size_t unchanged = 0;
  Diagnostics diagnostics;          // with an error nothing is applied
  bool held = false;                // the deletions need a confirmation; nothing is applied
  std::size_t deletions = 0;        // objects that would go, with those that go along
  std::size_t inventory_before = 0;
  std::shared_ptr<const Inventory> inventory;  // what the unit holds afterwards; null: refused
};

// Compares a completely loaded tree with the recorded state. confirmed: an operator allowed the
// deletions of this revision. Errors in diagnostics: Immutable, OwnershipConflict, NotFound (the
// namespace), NamespaceTerminating, InvalidValue (a cluster address in use), each with its place.
// memo: what earlier calls have found; it makes this one faster and nothing else.
CommitPlan plan_commit(const TreeLoaded& tree, const StateView& view, const PruneBudget& budget,
                       bool confirmed, ComparisonMemo* memo = nullptr);

// {unit, revision, held, summary, changes: [{verb, object, file, line, changes}], errors}.
Value to_value(const CommitPlan& plan);
// The same for people: a heading, one line per object, one indented line per field.
std::string to_markdown(const CommitPlan& plan);

}  // namespace moored
