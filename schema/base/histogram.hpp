// Counts observations by size, for metrics.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace moored {

// Not thread safe: guard it where several threads observe.
class Histogram {
 public:
  // Bounds in rising order, in the unit of what is observed.
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  // A value on a bound counts below it.
  void observe(double value) {
    const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    ++counts_[static_cast<std::size_t>(at)];
    sum_ += value;
  }

  const std::vector<double>& bounds() const { return bounds_; }
  // One for each bound and one for everything above the last.
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

}  // namespace moored
