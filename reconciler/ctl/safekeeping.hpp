// What moorctl does on the state directory itself: audit chain, backup, restore.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "reconciler/ctl/options.hpp"
#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"

namespace moored::ctl {

struct Look;

// {rows, head}. Errors: corrupt (AuditBroken) naming the first row that does not hold; invalid (a
// head that is not SEQ:HASH); not_found, denied.
Result<Value> verify_audit(const AuditVerifyCommand& command);
// {seq, hash, head}; head is SEQ:HASH.
Result<Value> read_audit_head(const AuditHeadCommand& command);
Status export_audit(const AuditExportCommand& command,
                    const std::function<Status(std::string_view line)>& visit);

// {file, takenAt, storeId, resourceVersion, rows, head, files} of a backup that was written and
// read back. Errors: those of write_backup.
Result<Value> make_backup(const BackupCommand& command);
// The same of one that was put back, with setAside and configurationKept where they apply.
// Errors: those of restore_backup.
Result<Value> put_back(const RestoreCommand& command);

// The two as text.
std::string render_audit(const Value& verdict, const Look& look);
std::string render_backup(const Value& report, const Look& look);

}  // namespace moored::ctl
