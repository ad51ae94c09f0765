// Watches: every change after a point, as one JSON document per line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/api/read.hpp"

namespace moored::net::api {

// How often a client that asked for bookmarks gets one.
inline constexpr std::chrono::seconds kBookmarkEvery{60};
// Without timeoutSeconds a watch ends after this and up to as much again, spread over the watches.
inline constexpr std::chrono::minutes kWatchAtLeast{30};
// The longest timeoutSeconds that is taken at its word.
inline constexpr std::int64_t kWatchAtMostSeconds = 86'400;
// Changes read from the store at a time.
inline constexpr std::size_t kWatchBatch = 256;

// Starts a watch on a list, or refuses with a whole answer (400, 410, 429, 504).
Response start_watch(const Target& target, const Query& query, const Choice& choice,
                     const ApiContext& context);

}  // namespace moored::net::api
