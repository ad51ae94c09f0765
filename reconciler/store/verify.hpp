// Checking the audit chain: every link, its end, and the revisions that it vouches for.
#pragma once

#include "reconciler/store/connection.hpp"
#include "reconciler/store/types.hpp"

namespace moored::store {

// Walks the whole chain, the files of the archive first. Errors: corrupt (AuditBroken) with the
// first row that does not hold.
Result<AuditVerdict> verify_chain(Connection& connection, const std::string& archive);

}  // namespace moored::store
