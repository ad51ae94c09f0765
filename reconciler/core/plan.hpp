// A plan is data: what to write and why. Nothing in the core does more than make one.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schema/base/time.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// One object to be recorded, or a key to be removed.
struct Write {
  enum class Type {
    put,      // create or replace as given, status too; the store sets resourceVersion, and
              // generation when the spec differs from the recorded one
    status,   // replace the status only; metadata and spec stay as recorded
    remove,   // take the object out of the store
  };
  Type type = Type::put;
  ObjectKey key;
  Object object;        // empty for remove
  std::string reason;   // for the audit row, such as "scaled up to 3"
};

// An event to be shown on an object.
struct EventNote {
  ObjectReference object;
  bool warning = false;
  std::string reason;
  std::string message;
  std::string component;
};

// A step of the receipt of a revision: seen, fetched, rendered, validated, planned, committed, …
struct ReceiptStep {
  std::string revision;
  std::string step;
  Time time;
  std::string detail;
};

// Asks to be called again for a key, no later than after a time.
struct Requeue {
  ObjectKey key;
  Duration after{};
};

struct Plan {
  std::vector<Write> writes;
  std::vector<EventNote> events;
  std::vector<ReceiptStep> receipt;
  std::vector<DriftRecord> drift;      // opened or closed
  std::vector<OperatorActed> operators;  // for the audit chain
  std::vector<Requeue> requeues;

  bool empty() const {
    return writes.empty() && events.empty() && receipt.empty() && drift.empty() &&
           operators.empty();
  }
  void put(Object object, std::string reason);
  void status(Object object, std::string reason);
  void remove(ObjectKey key, std::string reason);
  // Appends everything of the other.
  void take(Plan other);
};

}  // namespace moored
