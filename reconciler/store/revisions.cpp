#include "reconciler/store/revisions.hpp"

#include "schema/codec/codec.hpp"
#include "schema/model/cluster.hpp"

namespace moored::store {
namespace {

// Columns of one object, in the order object_of() reads them.
constexpr int kColumnCount = 12;
#define MOORED_REVISION_COLUMNS(t)                                                            \
  t ".rv, " t ".gvk, " t ".namespace, " t ".name, " t ".sealed, " t ".json, " t ".digest, " t \
    ".source, " t ".unit, " t ".commit_id, " t ".file, " t ".line"

// Authenticated with the ciphertext, so that a sealed value cannot be moved to another object or
// brought back from an older version by editing the database.
std::string seal_context(std::string_view gvk, std::string_view namespace_name,
                         std::string_view name, std::int64_t version) {
  return std::string(gvk) + "\n" + std::string(namespace_name) + "\n" + std::string(name) + "\n" +
         std::to_string(version);
}

// Microseconds since 1970, the resolution of MicroTime.
std::int64_t micros(Time time) {
  return time.time_since_epoch().count();
}

Time time_of(std::int64_t value) {
  return Time(Duration(value));
}

// What is desired is in Git and what runs is on the node, so the state can be made anew; what is
// lost with the file is history.
Unexpected damaged(const std::string& what, const std::string& why) {
  return Unexpected(
      Error{Code::corrupt, "the recorded " + what + " " + why, "StoreCorrupt", {}, {}}.mend(
          "set the database aside; a new one is made and filled from Git"));
}

// The object in the columns from first on.
Result<Object> object_of(const Row& row, int first, const Sealer& sealer) {
  const std::int64_t version = row.integer(first);
  const std::string gvk = row.text(first + 1);
  const std::string what = gvk + " " + row.text(first + 2) + "/" + row.text(first + 3) +
                           " at version " + std::to_string(version);
  const Kind* kind = find_gvk(gvk);
  if (kind == nullptr) return damaged(what, "is of a kind that this program does not know");
  std::string json = row.text(first + 5);
  if (json_digest(json) != row.text(first + 6)) return damaged(what, "contradicts its digest");
  if (row.integer(first + 4) != 0) {
    auto clear =
        sealer.unseal(json, seal_context(gvk, row.text(first + 2), row.text(first + 3), version));
    if (!clear) return Unexpected(std::move(clear).error().context("the recorded " + what));
    json = *std::move(clear);
  }
  auto object = decode_stored_json(*kind, json);
  if (!object) return damaged(what, "cannot be read: " + object.error().message);
  Provenance from;
  from.source = row.text(first + 7);
  from.unit = row.text(first + 8);
  from.revision = row.text(first + 9);
  from.file = row.text(first + 10);
  from.line = static_cast<int>(row.integer(first + 11));
  return object->with_provenance(std::move(from));
}

// The head names the live revision of each object, so a start reads no history.
Status write_head(Connection& connection, const StagedRevision& row, const std::string& gvk) {
  const ObjectKey key = row.change.object.key();
  if (row.change.type == Change::Type::deleted) {
    return connection.query(
        "DELETE FROM head WHERE gvk=? AND namespace=? AND name=?",
        {std::string_view(gvk), std::string_view(key.namespace_name), std::string_view(key.name)});
  }
  return connection.query(
      "INSERT INTO head (gvk, namespace, name, rv) VALUES (?,?,?,?) "
      "ON CONFLICT (gvk, namespace, name) DO UPDATE SET rv=excluded.rv",
      {std::string_view(gvk), std::string_view(key.namespace_name), std::string_view(key.name),
       row.change.resource_version});
}

Bind optional_number(const std::optional<std::int64_t>& number) {
  return number ? Bind(*number) : Bind();
}

// The digest is of what is stored, sealed or not: damage is found without the key.
Status write_revision(Connection& connection, const StagedRevision& row, const Sealer& sealer,
                      Time time) {
  const Object& object = row.change.object;
  const ObjectKey key = object.key();
  const Provenance& from = object.provenance();
  const std::string gvk = gvk_text(object.kind());
  const std::int64_t version = row.change.resource_version;
  std::string stored = row.json;
  if (row.secret) {
    MOORED_TRY(stored,
               sealer.seal(row.json, seal_context(gvk, key.namespace_name, key.name, version)));
  }
  const std::string digest = json_digest(stored);
  MOORED_CHECK(connection.query(
      "INSERT INTO revision (rv, uid, gvk, namespace, name, prev, deleted, sealed, json, digest, "
      "time, cause, source, unit, commit_id, file, line) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      {version, std::string_view(object.meta().uid), std::string_view(gvk),
       std::string_view(key.namespace_name), std::string_view(key.name), optional_number(row.prev),
       std::int64_t{row.change.type == Change::Type::deleted}, std::int64_t{row.secret},
       Blob{stored}, std::string_view(digest), micros(time), optional_number(row.cause),
       std::string_view(from.source), std::string_view(from.unit), std::string_view(from.revision),
       std::string_view(from.file), std::int64_t{from.line}}));
  return write_head(connection, row, gvk);
}

// Subjects are an index beside the chain; the hash covers the canonical text alone.
Status write_audit(Connection& connection, const AuditRow& row) {
  MOORED_CHECK(connection.query(
      "INSERT INTO audit (seq, hash_version, prev_hash, canonical_json, hash) VALUES (?,?,?,?,?)",
      {row.seq, kAuditHashVersion, std::string_view(row.prev_hash),
       std::string_view(row.canonical_json), std::string_view(row.hash)}));
  for (const std::string& subject : row.subjects) {
    MOORED_CHECK(connection.query("INSERT OR IGNORE INTO audit_subject (subject, seq) VALUES (?,?)",
                                  {std::string_view(subject), row.seq}));
  }
  return {};
}

// The commit id of branch@sha1:<40 hex>, or the text itself.
std::string_view sha_of(std::string_view revision) {
  const auto colon = revision.rfind(':');
  return colon == std::string_view::npos ? revision : revision.substr(colon + 1);
}

// The first time of a step counts.
Status write_receipt(Connection& connection, const ReceiptStep& step) {
  return connection.query(
      "INSERT OR IGNORE INTO receipt (sha, step, revision, time, detail) VALUES (?,?,?,?,?)",
      {sha_of(step.revision), std::string_view(step.step), std::string_view(step.revision),
       micros(step.time), std::string_view(step.detail)});
}

// Replaced by id: a record is written at its onset and once more when it is corrected.
Status write_drift(Connection& connection, const DriftRecord& record) {
  const std::string object = gvk_text(*record.object.kind) + "\n" + record.object.namespace_name +
                             "\n" + record.object.name;
  return connection.query(
      "INSERT OR REPLACE INTO drift (id, object, uid, field, desired, observed, actor, onset, "
      "correction, corrected_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
      {std::string_view(record.id), std::string_view(object), std::string_view(record.uid),
       std::string_view(record.field), std::string_view(record.desired),
       std::string_view(record.observed), std::string_view(record.actor), micros(record.onset),
       std::string_view(record.correction),
       record.corrected_at ? Bind(micros(*record.corrected_at)) : Bind()});
}

ObjectKey key_in_drift(const std::string& text) {
  const auto first = text.find('\n');
  const auto second = text.find('\n', first + 1);
  if (first == std::string::npos || second == std::string::npos) return {};
  return {find_gvk(text.substr(0, first)), text.substr(first + 1, second - first - 1),
          text.substr(second + 1)};
}

}  // namespace

Result<std::string> read_meta(Connection& connection, std::string_view name) {
  std::string value;
  MOORED_CHECK(connection.query("SELECT value FROM meta WHERE name=?", {name},
                                [&](const Row& row) -> Status {
                                  value = row.text(0);
                                  return {};
                                }));
  return value;
}

Result<std::int64_t> read_meta_number(Connection& connection, std::string_view name,
                                      std::int64_t fallback) {
  return connection.read_integer("SELECT CAST(value AS INTEGER) FROM meta WHERE name=?", {name},
                                 fallback);
}

Status write_meta(Connection& connection, std::string_view name, std::string_view value) {
  return connection.query(
      "INSERT INTO meta (name, value) VALUES (?,?) "
      "ON CONFLICT (name) DO UPDATE SET value=excluded.value",
      {name, value});
}

// Called within one transaction; the counters come last and only for what has moved.
Status write_stage(Connection& connection, const Stage& stage, const Sealer& sealer) {
  for (const StagedRevision& row : stage.revisions()) {
    MOORED_CHECK(write_revision(connection, row, sealer, stage.now().wall));
  }
  for (const AuditRow& row : stage.audit())
    MOORED_CHECK(write_audit(connection, row));
  for (const ReceiptStep& step : stage.receipt())
    MOORED_CHECK(write_receipt(connection, step));
  for (const DriftRecord& record : stage.drift())
    MOORED_CHECK(write_drift(connection, record));
  if (!stage.revisions().empty()) {
    MOORED_CHECK(write_meta(connection, "resource_version",
                            std::to_string(stage.state().resource_version())));
  }
  if (!stage.audit().empty()) {
    MOORED_CHECK(write_meta(connection, "audit_seq", std::to_string(stage.ledger().audit.seq)));
    MOORED_CHECK(write_meta(connection, "audit_hash", stage.ledger().audit.hash));
  }
  return {};
}

// LEFT JOIN and not an inner one: a head without its revision must be an error, not one object
// less.
Result<Snapshot> read_heads(Connection& connection, const Sealer& sealer) {
  MOORED_TRY(const auto version, read_meta_number(connection, "resource_version", 0));
  Snapshot state;
  MOORED_CHECK(connection.query(
      "SELECT " MOORED_REVISION_COLUMNS("r") " FROM head h LEFT JOIN revision r ON r.rv = h.rv", {},
      [&](const Row& row) -> Status {
        if (row.is_null(0)) return damaged("state", "names a revision that is missing");
        MOORED_TRY(auto object, object_of(row, 0, sealer));
        state = state.with(object, version);
        return {};
      }));
  return state.at_version(version);
}

Result<Snapshot> read_heads_at(Connection& connection, const Sealer& sealer,
                               std::int64_t resource_version) {
  Snapshot state;
  MOORED_CHECK(connection.query(
      "SELECT " MOORED_REVISION_COLUMNS(
          "r") " FROM revision r WHERE r.deleted = 0 AND r.rv = ("
               "SELECT max(n.rv) FROM revision n WHERE n.gvk = r.gvk AND n.namespace = r.namespace "
               "AND n.name = r.name AND n.rv <= ?)",
      {resource_version}, [&](const Row& row) -> Status {
        MOORED_TRY(auto object, object_of(row, 0, sealer));
        state = state.with(object, resource_version);
        return {};
      }));
  return state.at_version(resource_version);
}

Status check_recorded(Connection& connection, std::int64_t after, std::size_t count) {
  MOORED_TRY(const auto found, connection.read_integer(
                                   "SELECT count(*) FROM revision r WHERE r.rv > ? AND "
                                   "(r.prev IS NULL OR EXISTS "
                                   "(SELECT 1 FROM revision p WHERE p.rv = r.prev))",
                                   {after}));
  if (found == static_cast<std::int64_t>(count)) return {};
  return damaged("the log", "lacks revisions after " + std::to_string(after));
}

Result<std::vector<Change>> read_changes(Connection& connection, const Sealer& sealer,
                                         const Kind* kind, std::int64_t after, std::size_t limit) {
  std::vector<Change> out;
  const auto each = [&](const Row& row) -> Status {
    Change change;
    change.resource_version = row.integer(0);
    MOORED_TRY(change.object, object_of(row, 0, sealer));
    const int flags = 2 * kColumnCount;
    if (!row.is_null(kColumnCount)) {
      MOORED_TRY(change.previous, object_of(row, kColumnCount, sealer));
    } else if (!row.is_null(flags + 1)) {
      return damaged(change.object.key().text(), "lacks the revision before it");
    }
    if (row.integer(flags) != 0) {
      change.type = Change::Type::deleted;
    } else {
      change.type = change.previous ? Change::Type::modified : Change::Type::added;
    }
    out.push_back(std::move(change));
    return {};
  };
  const auto most = static_cast<std::int64_t>(limit);
  if (kind == nullptr) {
    MOORED_CHECK(connection.query(
        "SELECT " MOORED_REVISION_COLUMNS("r") ", " MOORED_REVISION_COLUMNS(
            "p") ", r.deleted, r.prev FROM revision r LEFT JOIN revision p ON p.rv = r.prev "
                 "WHERE r.rv > ? ORDER BY r.rv LIMIT ?",
        {after, most}, each));
  } else {
    const std::string gvk = gvk_text(*kind);
    MOORED_CHECK(connection.query(
        "SELECT " MOORED_REVISION_COLUMNS("r") ", " MOORED_REVISION_COLUMNS(
            "p") ", r.deleted, r.prev FROM revision r LEFT JOIN revision p ON p.rv = r.prev "
                 "WHERE r.rv > ? AND +r.gvk = ? ORDER BY r.rv LIMIT ?",
        {after, std::string_view(gvk), most}, each));
  }
  return out;
}

Result<std::vector<DriftRecord>> read_drift_rows(Connection& connection, std::size_t limit) {
  std::vector<DriftRecord> out;
  MOORED_CHECK(connection.query(
      "SELECT id, object, uid, field, desired, observed, actor, onset, correction, corrected_at "
      "FROM drift ORDER BY corrected_at IS NOT NULL, onset DESC, id LIMIT ?",
      {static_cast<std::int64_t>(limit)}, [&](const Row& row) -> Status {
        DriftRecord record;
        record.id = row.text(0);
        record.object = key_in_drift(row.text(1));
        if (record.object.kind == nullptr) return damaged("drift " + record.id, "has no object");
        record.uid = row.text(2);
        record.field = row.text(3);
        record.desired = row.text(4);
        record.observed = row.text(5);
        record.actor = row.text(6);
        record.onset = time_of(row.integer(7));
        record.correction = row.text(8);
        if (!row.is_null(9)) record.corrected_at = time_of(row.integer(9));
        out.push_back(std::move(record));
        return {};
      }));
  return out;
}

Result<std::size_t> count_open_drift_rows(Connection& connection) {
  std::size_t count = 0;
  MOORED_CHECK(connection.query("SELECT count(*) FROM drift WHERE corrected_at IS NULL", {},
                                [&](const Row& row) -> Status {
                                  count = static_cast<std::size_t>(row.integer(0));
                                  return {};
                                }));
  return count;
}

std::string gvk_text(const Kind& kind) {
  return kind.api_version() + "/" + std::string(kind.kind);
}

const Kind* find_gvk(std::string_view text) {
  const auto slash = text.rfind('/');
  if (slash == std::string_view::npos) return nullptr;
  return find_kind(text.substr(0, slash), text.substr(slash + 1));
}

}  // namespace moored::store
