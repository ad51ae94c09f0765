// Counts what a server sends, and refuses before memory or disk is spent. Wraps libgit2's own
// http and git transports, which know no limit and no sign of life.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "schema/base/result.hpp"

namespace moored::git {

// The limits and the count of one conversation with a server.
struct TransferMeter {
  std::size_t advertisement_limit = 32U << 20U;  // bytes of the list of references
  std::size_t pack_limit = 512U << 20U;          // bytes of one pack
  std::function<void()> progress;                // called whenever bytes have come; may be empty

  std::size_t advertisement_bytes = 0;
  std::size_t pack_bytes = 0;
  std::string exceeded;                          // AdvertisementLimit or DiskBudget
};

// Makes a meter the one that counts on this thread for as long as the scope lives.
class MeterScope {
 public:
  explicit MeterScope(TransferMeter& meter);
  ~MeterScope();
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;
};

// Puts the counting transports in place of http, https and git. Called once by start_library().
Status register_counted_transports();

}  // namespace moored::git
