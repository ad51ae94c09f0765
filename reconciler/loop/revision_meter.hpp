// How revisions end and how long each took from being seen to being ready.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "schema/base/guarded.hpp"
#include "schema/base/histogram.hpp"
#include "schema/ports/metrics.hpp"

namespace moored {

class StateView;
class Store;
struct ReceiptEntry;

// Reads what was recorded since it was asked last, so nobody pays who does not ask. A revision that
// had ended before the daemon started is not counted again. Thread safe.
class RevisionMeter final : public MetricSource {
 public:
  // Revisions that are followed to their end at once; the store names as many in one reading.
  static constexpr std::size_t kMaxOpen = 256;

  // The store outlives it.
  explicit RevisionMeter(const Store& store);
  void measure(std::vector<MetricFamily>& out) override;

 private:
  struct Counts {
    std::int64_t read_version = 0;
    std::map<std::string, std::set<std::string>> open;  // revision: outcomes told already
    std::map<std::string, std::uint64_t> outcomes;
    Histogram seconds;
  };

  void find_new(Counts& counts, const StateView& view) const;
  void follow(Counts& counts, const StateView& view, bool count) const;

  const Store& store_;
  Guarded<Counts> counts_;
};

}  // namespace moored
