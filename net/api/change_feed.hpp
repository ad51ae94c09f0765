// The newest changes, read once for all watches: hundreds of them ask for the same few.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "schema/base/guarded.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::net::api {

// A tail of the store's history. Whoever asks for more than it holds is sent to the store.
// Thread safe.
class ChangeFeed {
 public:
  // How many changes the tail holds, of all kinds together.
  static constexpr std::size_t kMostChanges = 2048;

  // Changes of a kind, and how far they reach: everything up to known is among them, unless the
  // limit cut them off.
  struct Reading {
    std::vector<Change> changes;
    std::int64_t known = 0;
  };

  explicit ChangeFeed(const StateSource& state) : state_(state) {}

  // Changes of a kind after a version, oldest first, at most limit. Errors: those of the store.
  Result<Reading> read(const Kind& kind, std::int64_t after, std::size_t limit);

  // Forgets the tail: whoever lags behind is sent to the store.
  void drop();

  // Times that the store was asked for changes.
  std::int64_t store_reads() const { return store_reads_; }

 private:
  struct Tail {
    std::deque<Change> changes;
    std::int64_t after = -1;  // holds everything after this version; -1: nothing was read yet
    std::int64_t known = -1;  // up to this one
  };
  void catch_up(Tail& tail, std::int64_t current);
  static std::vector<Change> select(const Tail& tail, const Kind& kind, std::int64_t after,
                                    std::size_t limit);

  const StateSource& state_;
  Guarded<Tail> tail_;
  std::atomic<std::int64_t> store_reads_{0};
};

}  // namespace moored::net::api
