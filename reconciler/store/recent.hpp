// The newest changes in memory: followers that keep up need neither the disk nor a parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "schema/ports/state_view.hpp"

namespace moored::store {

// Changes in the order of versions, the oldest of which go first. Not thread safe.
class RecentChanges {
 public:
  // Together with the bytes below a bound on memory; both are far above what one commit of the loop
  // brings, so that only who fell behind has to read the log.
  static constexpr std::size_t kMaxChanges = 256;
  static constexpr std::size_t kMaxBytes = 4U << 20U;

  // Forgets everything: what is asked for up to this version is not known here.
  void reset(std::int64_t resource_version);
  // Forgets what is known here, and nothing of what comes.
  void drop();
  // bytes: what the change weighs, as its length in JSON.
  void add(const Change& change, std::size_t bytes);

  // As StateSource::changes_since. Nothing: some of it may have been forgotten.
  std::optional<std::vector<Change>> find_since(const Kind* kind, std::int64_t after,
                                                std::size_t limit) const;
  std::size_t size() const { return changes_.size(); }

 private:
  struct Row {
    Change change;
    std::size_t bytes = 0;
  };

  std::deque<Row> changes_;
  std::size_t bytes_ = 0;
  std::int64_t floor_ = 0;  // every change after this version is here
};

}  // namespace moored::store
