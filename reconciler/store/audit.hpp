// The rows of the audit chain: what they say and how they hold together. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reconciler/store/seal.hpp"
#include "schema/base/time.hpp"
#include "schema/codec/codec.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::store {

// The rule by which a row's hash is made; a row says which one it follows.
inline constexpr std::int64_t kAuditHashVersion = 1;
// Limits of what one row repeats of a change; what is left out is counted.
inline constexpr std::size_t kMaxAuditFields = 50;
inline constexpr std::size_t kMaxAuditValue = 256;  // bytes

// The end of the chain so far. Sequence 0: nothing was recorded yet.
struct AuditEnd {
  std::int64_t seq = 0;
  std::string hash = std::string(64, '0');
};

// One row, complete.
struct AuditRow {
  std::int64_t seq = 0;
  std::string prev_hash;
  std::string canonical_json;
  std::string hash;
  std::vector<std::string> subjects;  // what it speaks of: Kind/namespace/name, revisions
};

// hash = SHA-256(prev_hash \n seq \n canonical_json), in hexadecimal.
std::string audit_hash(std::string_view prev_hash, std::int64_t seq, std::string_view json);

// What one change looks like in a row: {resourceVersion, verb, object, uid, why, digest, fields,
// source}. Values of kinds with secrets appear as keyed digests only.
Value audit_change(const Change& change, std::string_view why, std::string_view json_digest,
                   const Sealer& sealer);
Value audit_drift(const DriftRecord& record);
Value audit_operator(const OperatorActed& acted);

// What a row is made of.
struct AuditParts {
  Now now;
  Cause cause;
  Value changes = Value::make_list();
  Value drift = Value::make_list();
  Value operators = Value::make_list();
  std::vector<std::string> subjects;

  bool empty() const {
    return changes.items.empty() && drift.items.empty() && operators.items.empty();
  }
};
// The row that follows the end of the chain; moves the end.
AuditRow make_audit_row(AuditParts parts, AuditEnd& end);

// The word for an actor: commit, controller, kernel, operator, clock.
std::string_view actor_name(Cause::Actor actor);
// True for kinds with a field whose value must never be seen: they are sealed as a whole.
bool is_secret_kind(const Kind& kind);

}  // namespace moored::store
