#include "reconciler/store/verify.hpp"

#include <map>

#include "reconciler/store/archive.hpp"
#include "reconciler/store/audit.hpp"
#include "reconciler/store/database.hpp"
#include "reconciler/store/revisions.hpp"
#include "schema/codec/text.hpp"

namespace moored::store {
namespace {

// Digests that the row gives for the versions it wrote; those of secrets are keyed and left out.
std::map<std::int64_t, std::string> digests_in(const std::string& json) {
  std::map<std::int64_t, std::string> out;
  const auto row = read_json(json);
  const Value* changes = row ? row->find("changes") : nullptr;
  if (changes == nullptr) return out;
  for (const Value& change : changes->items) {
    const Value* version = change.find("resourceVersion");
    const Value* digest = change.find("digest");
    if (version != nullptr && digest != nullptr) out[std::stoll(version->scalar)] = digest->scalar;
  }
  return out;
}

// Every revision that is still kept says what its audit row says it said; rows in the archive are
// not asked.
Status check_revisions(Connection& connection, std::int64_t archived) {
  std::int64_t seq = 0;
  std::map<std::int64_t, std::string> digests;
  return connection.query(
      "SELECT r.rv, r.json, a.seq, a.canonical_json FROM revision r "
      "LEFT JOIN audit a ON a.seq = r.cause WHERE r.cause > ? AND r.sealed = 0 "
      "ORDER BY r.cause, r.rv",
      {archived}, [&](const Row& row) -> Status {
        if (row.is_null(2)) return fail(Code::corrupt, "a revision has lost its audit row");
        if (row.integer(2) != seq) {
          seq = row.integer(2);
          digests = digests_in(row.text(3));
        }
        const auto told = digests.find(row.integer(0));
        if (told != digests.end() && told->second == json_digest(row.text(1))) return Status();
        return audit_broken(seq,
                            "does not fit the recorded version " + std::to_string(row.integer(0)));
      });
}

// A chain may hold by itself and yet not be the one that was: cut off, or made anew from some row.
Status check_noted(const AuditEnd& row, std::span<const AuditVerdict> noted) {
  for (const AuditVerdict& known : noted) {
    if (known.rows != row.seq || known.hash == row.hash) continue;
    return audit_broken(row.seq, "is not the one that was noted, whose hash is " + known.hash);
  }
  return {};
}

// A noted row behind the end is one that somebody, or a disk, took away.
Status check_end(const AuditEnd& end, std::span<const AuditVerdict> noted) {
  for (const AuditVerdict& known : noted) {
    if (known.rows <= end.seq) continue;
    return audit_broken(end.seq + 1, "is missing at the end of the chain: row " +
                                         std::to_string(known.rows) + " was written");
  }
  return {};
}

}  // namespace

Result<AuditVerdict> verify_chain(Connection& connection, const std::string& archive,
                                  std::span<const AuditVerdict> noted) {
  MOORED_TRY(const auto archived, read_archived(connection));
  const auto seen = [&](const AuditEnd& row) { return check_noted(row, noted); };
  MOORED_TRY(AuditEnd end, verify_archive(archive, archived, seen));
  const auto check = [&](const Row& row) -> Status {
    MOORED_CHECK(check_link(row.integer(0), row.integer(1), row.text(2), row.text(3), row.text(4),
                            end));
    return seen(end);
  };
  MOORED_CHECK(connection.query(
      "SELECT seq, hash_version, prev_hash, canonical_json, hash FROM audit ORDER BY seq", {},
      check));
  MOORED_TRY(const auto seq, read_meta_number(connection, "audit_seq", 0));
  if (seq != end.seq) return audit_broken(end.seq + 1, "is missing at the end of the chain");
  MOORED_TRY(const auto hash, read_meta(connection, "audit_hash"));
  if (seq != 0 && hash != end.hash)
    return audit_broken(seq, "is not the one that was written last");
  MOORED_CHECK(check_end(end, noted));
  MOORED_CHECK(check_revisions(connection, archived.seq));
  return AuditVerdict{end.seq, end.hash};
}

}  // namespace moored::store
