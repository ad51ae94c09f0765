// Checking the audit chain.
#pragma once

#include "reconciler/store/connection.hpp"
#include "reconciler/store/store.hpp"

namespace moored::store {

// Walks the whole chain. Errors: corrupt (AuditBroken) with the first row that does not hold.
Result<AuditVerdict> verify_chain(Connection& connection);

}  // namespace moored::store
