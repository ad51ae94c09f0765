// Values that go in and out of the store beside objects and plans.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "schema/base/time.hpp"

namespace moored {

// How much history is kept. Events keep a day; older rows of the audit chain are moved to files in
// audit/ of the state directory and stay part of the chain.
struct CompactOptions {
  Duration keep = std::chrono::hours(24 * 90);
  std::int64_t max_bytes = 4LL << 30U;  // of object JSON in the revision log
  std::size_t max_rows = 5'000;  // of each kind in one call, so that the writer is not held up
};

// A step of a receipt as it was first seen.
struct ReceiptEntry {
  std::string sha;       // 40 hex digits
  std::string revision;  // branch@sha1:<40 hex>
  std::string step;      // seen, fetched, …, ready, failed
  Time time;
  std::string detail;
};

// A row of the audit chain.
struct AuditEntry {
  std::int64_t seq = 0;
  std::string canonical_json;
};

// The chain as it was found.
struct AuditVerdict {
  std::int64_t rows = 0;  // the number of the last one
  std::string hash;  // of the last row: note it elsewhere to prove that nothing was cut off
};

}  // namespace moored
