// Forgetting history: which revisions may go.
#pragma once

#include "reconciler/store/connection.hpp"
#include "reconciler/store/types.hpp"
#include "schema/model/object.hpp"

namespace moored::store {

// How long superseded Events are kept.
inline constexpr Duration kEventHistory = std::chrono::hours(24);

// Deletes revisions that were superseded before the window began, at most max_rows of them, and
// notes how far back the log still reaches (meta compacted, compacted_events). The newest revision
// of every object before the window stays, so that the state at its beginning can still be read.
// Call inside a transaction. True: there is more.
Result<bool> compact_log(Connection& connection, const CompactOptions& options, Now now);

// Nothing, or exhausted (Expired) when the log no longer reaches back to the version.
// kind nullptr: all kinds.
Status check_kept(Connection& connection, const Kind* kind, std::int64_t version);

}  // namespace moored::store
