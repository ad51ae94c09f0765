// Checking the audit chain: every link, its end, and the revisions that it vouches for.
#pragma once

#include <span>

#include "reconciler/store/connection.hpp"
#include "reconciler/store/types.hpp"

namespace moored::store {

// Walks the whole chain, the files of the archive first. noted: rows that are known to have been
// written, by number and hash. Call inside a read transaction. Errors: corrupt (AuditBroken) with
// the first row that does not hold.
Result<AuditVerdict> verify_chain(Connection& connection, const std::string& archive,
                                  std::span<const AuditVerdict> noted = {});

}  // namespace moored::store
