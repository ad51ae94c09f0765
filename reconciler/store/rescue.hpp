// Opening a store that may be damaged or gone: what is lost is set aside, named and begun anew.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "reconciler/store/store.hpp"

namespace moored {

// What an earlier database took with it.
struct StoreLoss {
  std::string reason;       // in words: what was found
  std::string set_aside;    // the directory where the damaged files lie; empty: there were none
  bool restored = false;    // nothing was damaged: a backup was put back
  std::int64_t audit_seq = 0;  // the last audit row that is known to have been written; 0: unknown
  std::string audit_hash;
};

struct RescuedStore {
  std::unique_ptr<Store> store;
  std::optional<StoreLoss> loss;
};

// Directories with damaged databases that are kept; older ones are removed.
inline constexpr std::size_t kMaxSetAside = 3;

// Store::open, and: a damaged database goes with its log and its archived rows into a directory
// lost-DATE beside it; a new one takes its place, with the old store's id and versions that go on
// where nobody has been before. A sound database that lacks rows which had been acknowledged stays,
// and the gap is reported as a loss. The caller records the loss. Errors: as Store::open.
Result<RescuedStore> open_or_rebuild(StoreOptions options, Now now);

// Asks for the database to be set aside at the next start, because reading it failed at run time.
Status mark_damaged(const std::string& directory, const std::string& reason);

// Has the next open say, as a loss, where the database came from.
Status mark_restored(const std::string& directory, const std::string& origin);
// Once that was recorded.
void forget_restored(const std::string& directory);

// "this chain follows a lost one that ended at row 12 (hash …)": for the first audit row.
std::string describe_loss(const StoreLoss& loss);

}  // namespace moored
