// Audit rows that are too old for the database, in files that continue the same chain.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "reconciler/store/audit.hpp"
#include "reconciler/store/connection.hpp"

namespace moored::store {

// Moves the oldest rows (at most max_rows) from before a time into one durable file below
// directory, FIRST-LAST.jsonl, one {seq, version, prev, hash, json} a line. The newest row always
// stays. A crash in between leaves rows that are in both places, never in none.
// True: more rows are old enough.
Result<bool> archive_audit(Connection& connection, const std::string& directory, Time before,
                           std::size_t max_rows);
// The last row that was moved away; sequence 0: none was.
Result<AuditEnd> read_archived(Connection& connection);
// Called with each row that holds; an error ends the walk.
using RowSeen = std::function<Status(const AuditEnd& row)>;
// Walks the files up to that row; the end of the chain in them.
// Errors: corrupt (AuditBroken) with the first row that is missing or was edited; those of seen.
Result<AuditEnd> verify_archive(const std::string& directory, const AuditEnd& last,
                                const RowSeen& seen);
// Calls for each line of the files up to that row, as it is written there, each row once.
Status visit_archive(const std::string& directory, const AuditEnd& last,
                     const std::function<Status(std::string_view line)>& visit);
// A row of the audit table (seq, hash_version, prev_hash, canonical_json, hash) as one such line.
std::string archive_line(const Row& row);

// One row as the chain continues from end; moves the end. Errors: corrupt (AuditBroken).
Status check_link(std::int64_t seq, std::int64_t version, const std::string& prev_hash,
                  const std::string& json, const std::string& hash, AuditEnd& end);
// An error that names the first row that does not hold.
Unexpected audit_broken(std::int64_t seq, const std::string& what);

}  // namespace moored::store
