// The end of the audit chain, kept outside of the database: what was cut off or lost is noticed.
#pragma once

#include <optional>
#include <string>

#include "reconciler/store/audit.hpp"
#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::store {

// What the newest commit left behind. Written after the commit is durable, so the database is never
// behind it unless something was lost.
struct Anchor {
  std::string store_id;
  AuditEnd audit;
  std::int64_t resource_version = 0;
};

// The file audit.head of a store's directory: one line of JSON in one sector, written in place and
// not synced, as an older anchor still proves something.
class AnchorFile {
 public:
  static Result<AnchorFile> open(const std::string& directory);
  Status write(const Anchor& anchor) const;

 private:
  explicit AnchorFile(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

// Nothing when there is none or it cannot be read: then it proves nothing.
std::optional<Anchor> read_anchor(const std::string& directory);

}  // namespace moored::store
