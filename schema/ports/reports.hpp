// Answers beyond Kubernetes: status, receipt, history, drift and plan. Read by net/api.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"
#include "schema/ports/fact.hpp"

namespace moored {

// Implemented by the reconciler over recorded state. All answers are JSON value trees whose shape
// is documented in docs/api.md. Thread safe.
class Reports {
 public:
  virtual ~Reports() = default;
  // {sources:[…], units:[…], revision, ready, notReady:[{object, reason, message}]}
  virtual Result<Value> read_status() const = 0;
  // The receipt of a revision by full or short SHA:
  // {revision, commit{…}, steps:[{name, time}], outcome, reason, objects:[…]}.
  // Errors: not_found (never seen).
  virtual Result<Value> read_receipt(const std::string& sha) const = 0;
  // {items:[{resourceVersion, time, actor, verb, object, changes:[…], cause}]}, newest first.
  virtual Result<Value> read_history(const std::string& object, std::size_t limit) const = 0;
  // {items:[{id, object, field, desired, observed, onset, correction, duration, actor}]},
  // newest first.
  virtual Result<Value> read_drift(std::size_t limit) const = 0;
};

}  // namespace moored
