// Receipts and audit rows as the reports read them.
#pragma once

#include <string>
#include <vector>

#include "reconciler/store/connection.hpp"
#include "reconciler/store/types.hpp"

namespace moored::store {

// Shortest prefix of a commit id that is looked up.
inline constexpr std::size_t kMinShaDigits = 4;

// The steps of one commit by time. Errors: as Store::read_receipt.
Result<std::vector<ReceiptEntry>> read_receipt_rows(Connection& connection, const std::string& sha);
// Audit rows about an object or a revision (empty: all), newest first.
Result<std::vector<AuditEntry>> read_audit_rows(Connection& connection, const std::string& subject,
                                                std::size_t limit);

}  // namespace moored::store
