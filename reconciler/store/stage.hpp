// Plans on their way into the store: what is to be written, worked out before anything is. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reconciler/core/plan.hpp"
#include "reconciler/store/audit.hpp"
#include "reconciler/store/seal.hpp"
#include "reconciler/store/snapshot.hpp"

namespace moored::store {

// One row of the revision log.
struct StagedRevision {
  Change change;                     // with the object as it is recorded
  std::optional<std::int64_t> prev;  // the revision of change.previous
  std::string json;                  // clear; sealed on the way to the disk when secret
  bool secret = false;
  std::optional<std::int64_t> cause;  // seq of the audit row
};

// What the store remembers between transactions beside the objects.
struct Ledger {
  std::string store_id;
  AuditEnd audit;
  PersistentMap<std::string, DriftRecord> drift;  // open, and those closed last; by id
  PersistentMap<std::string, std::size_t> open_drift;  // how many are open; by kind, never 0

  // Puts a record in the place of the one with its id, and counts.
  void take(const DriftRecord& record);
};

// Collects plans over a growing state. add() takes a plan as a whole or not at all, so one refused
// plan does not spoil the others. The store writes the collected rows in one transaction.
class Stage {
 public:
  // Drift records that are remembered. One more is left out, counted, and never stops a plan.
  static constexpr std::size_t kMaxDrift = 10'000;

  Stage(Snapshot base, Ledger ledger, const Sealer& sealer, Now now)
      : state_(std::move(base)), ledger_(std::move(ledger)), sealer_(&sealer), now_(now) {}

  // Notes of events are not taken here: the loop has made Event objects of them.
  // Errors: invalid (a key without name or with a wrong namespace), conflict (a write with the uid
  // of an object that was replaced).
  Status add(const Plan& plan, const Cause& cause);

  const Snapshot& state() const { return state_; }
  const Ledger& ledger() const { return ledger_; }
  Now now() const { return now_; }
  std::size_t left_out() const { return left_out_; }
  // True when there is nothing to write.
  bool empty() const {
    return revisions_.empty() && audit_.empty() && receipt_.empty() && drift_.empty();
  }
  const std::vector<StagedRevision>& revisions() const { return revisions_; }
  const std::vector<AuditRow>& audit() const { return audit_; }
  const std::vector<ReceiptStep>& receipt() const { return receipt_; }
  const std::vector<DriftRecord>& drift() const { return drift_; }

 private:
  Status add_all(const Plan& plan, AuditParts& parts);
  Status add_write(const Write& write, AuditParts& parts);
  Status add_put(const Write& write, AuditParts& parts);
  Status add_status(const Write& write, AuditParts& parts);
  void add_remove(const Write& write, AuditParts& parts);
  void add_drift(const DriftRecord& record, AuditParts& parts);
  struct Editable;
  void record(Editable edited, const std::optional<Object>& previous, std::string_view why,
              AuditParts& parts);
  void log_change(StagedRevision row, std::string_view why, AuditParts& parts);

  Snapshot state_;
  Ledger ledger_;
  const Sealer* sealer_;
  Now now_;
  std::size_t left_out_ = 0;
  std::vector<StagedRevision> revisions_;
  std::vector<AuditRow> audit_;
  std::vector<ReceiptStep> receipt_;
  std::vector<DriftRecord> drift_;
};

// The uid that a replay gives again: from store id, key and resource version.
std::string derive_object_uid(std::string_view store_id, const ObjectKey& key,
                              std::int64_t resource_version);
// The kind of difference: the field without the container, process or path that follows.
std::string drift_kind(std::string_view field);
// SHA-256 of an object's JSON, cut to 32 digits.
std::string json_digest(std::string_view json);

}  // namespace moored::store
