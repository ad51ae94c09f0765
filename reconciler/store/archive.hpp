// Audit rows that are too old for the database, in files that continue the same chain.
#pragma once

#include <string>

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
// Walks the files up to that row; the end of the chain in them.
// Errors: corrupt (AuditBroken) with the first row that is missing or was edited.
Result<AuditEnd> verify_archive(const std::string& directory, const AuditEnd& last);

// One row as the chain continues from end; moves the end. Errors: corrupt (AuditBroken).
Status check_link(std::int64_t seq, std::int64_t version, const std::string& prev_hash,
                  const std::string& json, const std::string& hash, AuditEnd& end);
// An error that names the first row that does not hold.
Unexpected audit_broken(std::int64_t seq, const std::string& what);

}  // namespace moored::store
