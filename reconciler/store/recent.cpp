#include "reconciler/store/recent.hpp"

#include <algorithm>

namespace moored::store {

void RecentChanges::reset(std::int64_t resource_version) {
  changes_ = {};
  bytes_ = 0;
  floor_ = resource_version;
}

void RecentChanges::drop() {
  if (!changes_.empty()) reset(changes_.back().change.resource_version);
}

void RecentChanges::add(const Change& change, std::size_t bytes) {
  changes_.push_back({change, bytes});
  bytes_ += bytes;
  while (!changes_.empty() && (changes_.size() > kMaxChanges || bytes_ > kMaxBytes)) {
    floor_ = changes_.front().change.resource_version;
    bytes_ -= changes_.front().bytes;
    changes_.pop_front();
  }
}

std::optional<std::vector<Change>> RecentChanges::find_since(const Kind* kind, std::int64_t after,
                                                             std::size_t limit) const {
  if (after < floor_) return std::nullopt;
  const auto first = std::upper_bound(
      changes_.begin(), changes_.end(), after,
      [](std::int64_t version, const Row& row) { return version < row.change.resource_version; });
  std::vector<Change> out;
  for (auto it = first; it != changes_.end() && out.size() < limit; ++it) {
    if (kind == nullptr || &it->change.object.kind() == kind) out.push_back(it->change);
  }
  return out;
}

}  // namespace moored::store
