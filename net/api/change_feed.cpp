#include "net/api/change_feed.hpp"

#include <algorithm>
#include <optional>

namespace moored::net::api {
namespace {

// Changes read from the store at a time.
constexpr std::size_t kBatch = 256;

}  // namespace

// Reads what was committed since the last time. On any failure the tail starts anew from here.
void ChangeFeed::catch_up(Tail& tail, std::int64_t current) {
  if (tail.known < 0) {
    tail.after = tail.known = current;
    return;
  }
  while (tail.known < current) {
    ++store_reads_;
    auto more = state_.changes_since(nullptr, tail.known, kBatch);
    if (!more) {
      tail.changes.clear();
      tail.after = tail.known = current;
      return;
    }
    const bool last = more->size() < kBatch;
    for (auto& change : *more) {
      tail.known = change.resource_version;
      tail.changes.push_back(std::move(change));
    }
    if (last) tail.known = std::max(tail.known, current);
    while (tail.changes.size() > kMostChanges) {
      tail.after = tail.changes.front().resource_version;
      tail.changes.pop_front();
    }
  }
}

std::vector<Change> ChangeFeed::select(const Tail& tail, const Kind& kind, std::int64_t after,
                                       std::size_t limit) {
  std::vector<Change> found;
  auto it = std::upper_bound(
      tail.changes.begin(), tail.changes.end(), after,
      [](std::int64_t version, const Change& change) { return version < change.resource_version; });
  for (; it != tail.changes.end() && found.size() < limit; ++it) {
    if (&it->object.kind() == &kind) found.push_back(*it);
  }
  return found;
}

void ChangeFeed::drop() {
  tail_.with([](Tail& tail) {
    tail.changes = {};
    tail.after = tail.known;
  });
}

Result<ChangeFeed::Reading> ChangeFeed::read(const Kind& kind, std::int64_t after,
                                             std::size_t limit) {
  // Read before the changes, so that an empty answer means: nothing up to here.
  const auto current = state_.view()->resource_version();
  auto from_tail = tail_.with([&](Tail& tail) -> std::optional<Reading> {
    catch_up(tail, current);
    if (after < tail.after) return std::nullopt;
    return Reading{select(tail, kind, after, limit), tail.known};
  });
  if (from_tail) return *std::move(from_tail);
  ++store_reads_;
  MOORED_TRY(auto changes, state_.changes_since(&kind, after, limit));
  return Reading{std::move(changes), current};
}

}  // namespace moored::net::api
