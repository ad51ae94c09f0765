#include "reconciler/store/audit.hpp"

#include "schema/base/log.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"
#include "schema/model/core.hpp"

namespace moored::store {
namespace {

std::string_view verb_of(Change::Type type) {
  switch (type) {
    case Change::Type::added:
      return "created";
    case Change::Type::modified:
      return "updated";
    case Change::Type::deleted:
      return "deleted";
  }
  return "";
}

// Values are foreign text: they are cut and escaped before they are chained for good.
Value field_value(const FieldChange& change) {
  Value out = Value::make_map();
  out.put("path", Value::of_text(change.path));
  out.put("before", Value::of_text(escape_text(change.before, kMaxAuditValue)));
  out.put("after", Value::of_text(escape_text(change.after, kMaxAuditValue)));
  return out;
}

// Keyed, as a plain digest of a short password could be found by trying.
std::string digest_of(const std::map<std::string, std::string>& values, const std::string& key,
                      const Sealer& sealer) {
  const auto found = values.find(key);
  return found == values.end() ? std::string() : "hmac:" + sealer.digest(found->second);
}

// The values of a Secret that differ, told apart by keyed digests.
void add_secret_values(const Object& before, const Object& after, const Sealer& sealer,
                       std::vector<FieldChange>& changes) {
  if (!before.is<Secret>()) return;
  const auto& old_values = before.as<Secret>().data;
  const auto& new_values = after.as<Secret>().data;
  std::map<std::string, std::string> keys = old_values;
  keys.insert(new_values.begin(), new_values.end());
  for (const auto& entry : keys) {
    FieldChange change{"data." + entry.first, digest_of(old_values, entry.first, sealer),
                       digest_of(new_values, entry.first, sealer)};
    if (change.before != change.after) changes.push_back(std::move(change));
  }
}

// Only changes have fields: what was created or deleted is in the revision as a whole.
std::vector<FieldChange> fields_of(const Change& change, const Sealer& sealer) {
  if (!change.previous || change.type != Change::Type::modified) return {};
  auto changes = diff(*change.previous, change.object, true);
  if (!is_secret_kind(change.object.kind())) return changes;
  // An annotation may repeat what a secret field says: only names of fields are kept.
  std::erase_if(changes, [](const FieldChange& c) { return c.path.rfind("data", 0) == 0; });
  for (FieldChange& c : changes) {
    if (!c.before.empty()) c.before = "hmac:" + sealer.digest(c.before);
    if (!c.after.empty()) c.after = "hmac:" + sealer.digest(c.after);
  }
  add_secret_values(*change.previous, change.object, sealer, changes);
  return changes;
}

Value source_value(const Provenance& from) {
  Value out = Value::make_map();
  out.put("source", Value::of_text(from.source));
  out.put("unit", Value::of_text(from.unit));
  out.put("revision", Value::of_text(from.revision));
  out.put("file", Value::of_text(from.file));
  out.put("line", Value::of_integer(from.line));
  return out;
}

}  // namespace

// The number is part of the hash, so rows can neither be moved nor left out unseen.
std::string audit_hash(std::string_view prev_hash, std::int64_t seq, std::string_view json) {
  Sha256 hash;
  hash.update(prev_hash);
  hash.update("\n" + std::to_string(seq) + "\n");
  hash.update(json);
  return hash.finish_hex();
}

Value audit_change(const Change& change, std::string_view why, std::string_view json_digest,
                   const Sealer& sealer) {
  const ObjectMeta& meta = change.object.meta();
  Value out = Value::make_map();
  out.put("resourceVersion", Value::of_integer(change.resource_version));
  out.put("verb", Value::of_text(std::string(verb_of(change.type))));
  out.put("object", Value::of_text(change.object.key().text()));
  out.put("uid", Value::of_text(meta.uid));
  out.put("why", Value::of_text(escape_text(why, kMaxAuditValue)));
  out.put("digest", Value::of_text(std::string(json_digest)));
  const auto fields = fields_of(change, sealer);
  if (!fields.empty()) {
    Value& list = out.put("fields", Value::make_list());
    for (std::size_t i = 0; i < fields.size() && i < kMaxAuditFields; ++i) {
      list.items.push_back(field_value(fields[i]));
    }
  }
  if (fields.size() > kMaxAuditFields) {
    out.put("fieldsLeftOut",
            Value::of_integer(static_cast<std::int64_t>(fields.size() - kMaxAuditFields)));
  }
  const Provenance& from = change.object.provenance();
  if (!from.source.empty()) out.put("source", source_value(from));
  return out;
}

Value audit_drift(const DriftRecord& record) {
  Value out = Value::make_map();
  out.put("id", Value::of_text(record.id));
  out.put("object", Value::of_text(record.object.text()));
  out.put("field", Value::of_text(record.field));
  out.put("desired", Value::of_text(escape_text(record.desired, kMaxAuditValue)));
  out.put("observed", Value::of_text(escape_text(record.observed, kMaxAuditValue)));
  out.put("actor", Value::of_text(escape_text(record.actor, kMaxAuditValue)));
  out.put("onset", Value::of_text(format_micro_time(record.onset)));
  out.put("correction", Value::of_text(escape_text(record.correction, kMaxAuditValue)));
  return out;
}

Value audit_operator(const OperatorActed& acted) {
  Value out = Value::make_map();
  out.put("verb", Value::of_text(acted.verb));
  out.put("subject", Value::of_text(escape_text(acted.subject, kMaxAuditValue)));
  out.put("uid", Value::of_integer(acted.uid));
  out.put("process", Value::of_text(escape_text(acted.process, kMaxAuditValue)));
  out.put("result", Value::of_text(escape_text(acted.result, kMaxAuditValue)));
  return out;
}

// Moves the end of the chain forward: the next row must be made from this one. The revision of a
// commit is a subject as well, which is how its whole effect is found.
AuditRow make_audit_row(AuditParts parts, AuditEnd& end) {
  Value row = Value::make_map();
  row.put("time", Value::of_text(format_micro_time(parts.now.wall)));
  row.put("actor", Value::of_text(std::string(actor_name(parts.cause.actor))));
  row.put("name", Value::of_text(escape_text(parts.cause.name, kMaxAuditValue)));
  row.put("reason", Value::of_text(escape_text(parts.cause.reason, kMaxAuditValue)));
  row.put("result", Value::of_text("recorded"));
  if (!parts.changes.items.empty()) row.put("changes", std::move(parts.changes));
  if (!parts.drift.items.empty()) row.put("drift", std::move(parts.drift));
  if (!parts.operators.items.empty()) row.put("operators", std::move(parts.operators));
  AuditRow out;
  out.seq = end.seq + 1;
  out.prev_hash = end.hash;
  out.canonical_json = write_json(row);
  out.hash = audit_hash(out.prev_hash, out.seq, out.canonical_json);
  out.subjects = std::move(parts.subjects);
  if (parts.cause.actor == Cause::Actor::commit) out.subjects.push_back(parts.cause.reason);
  end = {out.seq, out.hash};
  return out;
}

std::string_view actor_name(Cause::Actor actor) {
  switch (actor) {
    case Cause::Actor::commit:
      return "commit";
    case Cause::Actor::controller:
      return "controller";
    case Cause::Actor::kernel:
      return "kernel";
    case Cause::Actor::operator_:
      return "operator";
    case Cause::Actor::clock:
      return "clock";
  }
  return "";
}

// By the flags of the rows, so a new secret kind is sealed without being named here.
bool is_secret_kind(const Kind& kind) {
  for (const Field& row : kind.schema().fields) {
    if ((row.flags & kSecret) != 0) return true;
  }
  return false;
}

}  // namespace moored::store
