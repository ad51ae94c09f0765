#include "reconciler/store/stage.hpp"

#include <algorithm>

#include "schema/codec/codec.hpp"
#include "schema/codec/stored.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"
#include "schema/model/cluster.hpp"

namespace moored::store {
namespace {

constexpr std::size_t kDigestDigits = 32;

// Plans come from our own code, but a wrong key would sit in the database for ever.
Status check_key(const ObjectKey& key) {
  if (key.kind == nullptr || key.name.empty()) return fail(Code::invalid, "a write without a name");
  if (key.kind->namespaced == key.namespace_name.empty()) {
    return fail(Code::invalid, key.text() + (key.kind->namespaced ? " lacks its namespace"
                                                                  : " cannot be in a namespace"));
  }
  return {};
}

// Kinds without a spec have no generation in Kubernetes either. Source: ConfigMap, Secret, Event.
bool has_spec(const Kind& kind) {
  const auto fields = kind.schema().fields;
  return std::any_of(fields.begin(), fields.end(),
                     [](const Field& row) { return row.name == "spec"; });
}

// Another declaring unit is worth a revision; another commit, file or line alone is not, otherwise
// every commit would rewrite every object.
bool moved(const Provenance& before, const Provenance& after) {
  return before.source != after.source || before.unit != after.unit;
}

// Without the instant of the correction: that it was corrected counts, not when it was said.
bool same_drift(const DriftRecord& a, const DriftRecord& b) {
  return a.object == b.object && a.field == b.field && a.desired == b.desired &&
         a.observed == b.observed && a.correction == b.correction && a.actor == b.actor &&
         a.onset == b.onset && a.corrected_at.has_value() == b.corrected_at.has_value();
}

// Closed records are only kept to recognise a repeated closing.
PersistentMap<std::string, DriftRecord> still_open(
    const PersistentMap<std::string, DriftRecord>& records) {
  PersistentMap<std::string, DriftRecord> open;
  records.visit_all([&](const std::string& id, const DriftRecord& record) {
    if (!record.corrected_at) open = open.with(id, record);
    return true;
  });
  return open;
}

}  // namespace

std::string drift_kind(std::string_view field) {
  return std::string(field.substr(0, field.find_first_of("[:")));
}

void Ledger::take(const DriftRecord& record) {
  const auto open_of = [&](const std::string& kind) {
    const auto* count = open_drift.find(kind);
    return count != nullptr ? *count : 0;
  };
  if (const auto* known = drift.find(record.id); known != nullptr && !known->corrected_at) {
    const auto kind = drift_kind(known->field);
    const auto left = open_of(kind) - 1;
    open_drift = left > 0 ? open_drift.with(kind, left) : open_drift.without(kind);
  }
  if (!record.corrected_at) {
    const auto kind = drift_kind(record.field);
    open_drift = open_drift.with(kind, open_of(kind) + 1);
  }
  drift = drift.with(record.id, record);
}

// A copy of an object's value that is still being made.
struct Stage::Editable {
  explicit Editable(const Object& object)
      : kind(&object.kind()), body(kind->copy(object.body())), from(object.provenance()) {}
  ObjectMeta& meta() { return kind->meta(body.get()); }
  ObjectKey key() { return {kind, meta().namespace_name, meta().name}; }
  Object done() && { return Object(*kind, std::move(body), std::move(from)); }

  const Kind* kind;
  std::shared_ptr<void> body;
  Provenance from;
};

// All or nothing: a plan that fails half way leaves the stage as it was. Revisions learn the number
// of their audit row only afterwards, because it is made from all of them.
Status Stage::add(const Plan& plan, const Cause& cause) {
  const Snapshot before = state_;
  AuditParts parts;
  parts.now = now_;
  parts.cause = cause;
  const std::size_t first = revisions_.size();
  if (auto added = add_all(plan, parts); !added) {
    state_ = before;
    revisions_.erase(revisions_.begin() + static_cast<std::ptrdiff_t>(first), revisions_.end());
    return added;
  }
  if (parts.empty()) return {};
  audit_.push_back(make_audit_row(std::move(parts), ledger_.audit));
  for (std::size_t i = first; i < revisions_.size(); ++i) {
    if (!revisions_[i].change.object.is<Event>()) revisions_[i].cause = ledger_.audit.seq;
  }
  return {};
}

// What may fail comes first: the rest is only taken when all of that was.
Status Stage::add_all(const Plan& plan, AuditParts& parts) {
  for (const Write& write : plan.writes)
    MOORED_CHECK(add_write(write, parts));
  for (const DriftRecord& record : plan.drift)
    add_drift(record, parts);
  for (const OperatorActed& acted : plan.operators) {
    parts.operators.items.push_back(audit_operator(acted));
  }
  receipt_.insert(receipt_.end(), plan.receipt.begin(), plan.receipt.end());
  return {};
}

Status Stage::add_write(const Write& write, AuditParts& parts) {
  MOORED_CHECK(check_key(write.type == Write::Type::remove ? write.key : write.object.key()));
  switch (write.type) {
    case Write::Type::put:
      return add_put(write, parts);
    case Write::Type::status:
      return add_status(write, parts);
    case Write::Type::remove:
      add_remove(write, parts);
      return {};
  }
  return {};
}

// A uid that differs means that the plan was made on an object which is gone by now.
Status Stage::add_put(const Write& write, AuditParts& parts) {
  const auto previous = state_.find(write.object.key());
  const std::string& uid = write.object.meta().uid;
  if (previous && !uid.empty() && uid != previous->meta().uid) {
    return fail(Code::conflict, write.object.key().text() + " was replaced by another object");
  }
  record(Editable(write.object), previous, write.reason, parts);
  return {};
}

// A status of an object that is gone, or was replaced meanwhile, has nothing to be written on.
Status Stage::add_status(const Write& write, AuditParts& parts) {
  const auto previous = state_.find(write.object.key());
  if (!previous) return {};
  const std::string& uid = write.object.meta().uid;
  if (!uid.empty() && uid != previous->meta().uid) return {};
  // The status may be large, so that everything else is what gets copied twice.
  Editable next(write.object);
  next.from = previous->provenance();
  copy_rows(next.kind->schema(), previous->body(), next.body.get(), {"status"});
  record(std::move(next), previous, write.reason, parts);
  return {};
}

// The last value gets a version of its own: a watch reports DELETED at the version of the deletion,
// not at that of the last change.
void Stage::add_remove(const Write& write, AuditParts& parts) {
  const auto previous = state_.find(write.key);
  if (!previous) return;
  Editable last(*previous);
  const std::int64_t version = state_.resource_version() + 1;
  last.meta().resource_version = std::to_string(version);
  StagedRevision row;
  row.change = {Change::Type::deleted, version, std::move(last).done(), previous};
  row.prev = std::stoll(previous->meta().resource_version);
  row.json = encode_json(row.change.object);
  state_ = state_.without(write.key, version);
  log_change(std::move(row), write.reason, parts);
}

// Numbers an object and takes it into the state, unless it is what is recorded already.
void Stage::record(Editable edited, const std::optional<Object>& previous, std::string_view why,
                   AuditParts& parts) {
  make_stored(edited.kind->schema(), edited.body.get());
  ObjectMeta& meta = edited.meta();
  const std::int64_t version = state_.resource_version() + 1;
  if (previous) {
    const ObjectMeta& old = previous->meta();
    meta.uid = old.uid;
    meta.resource_version = old.resource_version;
    meta.generation = old.generation;
    meta.creation_timestamp = old.creation_timestamp;
    const Object next(*edited.kind, edited.body, edited.from);
    if (is_same_object(next, *previous) && !moved(previous->provenance(), edited.from)) return;
    // What a person asked for is everything but metadata and status.
    const bool asked = !is_same_object(next, *previous, {"metadata", "status"});
    if (asked && has_spec(*edited.kind)) meta.generation += 1;
  } else {
    if (meta.uid.empty()) meta.uid = derive_object_uid(ledger_.store_id, edited.key(), version);
    if (!meta.creation_timestamp) {
      meta.creation_timestamp = std::chrono::floor<std::chrono::seconds>(now_.wall);
    }
    if (has_spec(*edited.kind)) meta.generation = 1;
  }
  meta.resource_version = std::to_string(version);
  const Object stored = std::move(edited).done();
  StagedRevision row;
  row.change = {previous ? Change::Type::modified : Change::Type::added, version, stored, previous};
  if (previous) row.prev = std::stoll(previous->meta().resource_version);
  row.json = encode_json(stored);
  state_ = state_.with(stored, version);
  log_change(std::move(row), why, parts);
}

// Events are records themselves and are not audited.
void Stage::log_change(StagedRevision row, std::string_view why, AuditParts& parts) {
  row.secret = is_secret_kind(row.change.object.kind());
  if (!row.change.object.is<Event>()) {
    // Of a secret nothing may be compared from outside: its digest is keyed.
    const std::string digest = row.secret ? sealer_->digest(row.json) : json_digest(row.json);
    parts.changes.items.push_back(audit_change(row.change, why, digest, *sealer_));
    parts.subjects.push_back(row.change.object.key().text());
  }
  revisions_.push_back(std::move(row));
}

// At the limit the closed records go first; open ones beyond it are counted and left out.
void Stage::add_drift(const DriftRecord& record, AuditParts& parts) {
  const DriftRecord* known = ledger_.drift.find(record.id);
  if (known != nullptr && same_drift(*known, record)) return;
  if (known == nullptr && ledger_.drift.size() >= kMaxDrift) {
    ledger_.drift = still_open(ledger_.drift);
    if (ledger_.drift.size() >= kMaxDrift) {
      ++left_out_;
      return;
    }
  }
  ledger_.take(record);
  drift_.push_back(record);
  parts.drift.items.push_back(audit_drift(record));
  parts.subjects.push_back(record.object.text());
}

// Derived and not random, so that a replay of the same plans gives the same uids. The version makes
// an object that is deleted and made again another one.
std::string derive_object_uid(std::string_view store_id, const ObjectKey& key,
                              std::int64_t resource_version) {
  std::string hex = sha256_hex(std::string(store_id) + "\n" + key.text() + "\n" +
                               std::to_string(resource_version));
  hex[12] = '8';  // UUID version 8: made by a rule of our own (RFC 9562)
  hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) % 4];
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20, 12);
}

// 128 bits are plenty against damage, which is what it is compared for.
std::string json_digest(std::string_view json) {
  return sha256_hex(json).substr(0, kDigestDigits);
}

}  // namespace moored::store
