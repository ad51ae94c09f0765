// The revision log in SQL: staged rows in, objects and changes out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reconciler/store/connection.hpp"
#include "reconciler/store/seal.hpp"
#include "reconciler/store/stage.hpp"

namespace moored::store {

// Single values of the meta table. An absent one reads as empty or as the fallback.
Result<std::string> read_meta(Connection& connection, std::string_view name);
Result<std::int64_t> read_meta_number(Connection& connection, std::string_view name,
                                      std::int64_t fallback);
Status write_meta(Connection& connection, std::string_view name, std::string_view value);

// Writes everything of a stage, the counters included. Call inside a transaction.
Status write_stage(Connection& connection, const Stage& stage, const Sealer& sealer);

// Reads every object that exists, at the newest version.
// Errors: corrupt (a row contradicts its digest, cannot be read or opened, or is of a kind that
// this program does not know).
Result<Snapshot> read_heads(Connection& connection, const Sealer& sealer);
// The same as it was at a version. The caller has checked that the log reaches back so far.
Result<Snapshot> read_heads_at(Connection& connection, const Sealer& sealer,
                               std::int64_t resource_version);
// Whether the files hold so many revisions after a version, and each one that they follow: what was
// written long ago is where damage shows. Errors: corrupt (they do not).
Status check_recorded(Connection& connection, std::int64_t after, std::size_t count);

// Changes after a version with what was before, oldest first. kind nullptr: of all kinds.
Result<std::vector<Change>> read_changes(Connection& connection, const Sealer& sealer,
                                         const Kind* kind, std::int64_t after, std::size_t limit);
// Open drift records and the newest closed ones, newest onset first.
Result<std::vector<DriftRecord>> read_drift_rows(Connection& connection, std::size_t limit);
Result<std::size_t> count_open_drift_rows(Connection& connection);

// The text of a kind in the gvk column, and back (nullptr: unknown).
std::string gvk_text(const Kind& kind);
const Kind* find_gvk(std::string_view text);

}  // namespace moored::store
