// What the parts count and measure, in the words of Prometheus. Read by net/api.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace moored {

// Names and values. Names are [a-z_]+; values may be any text, but never anything secret.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// One number of a family.
struct MetricSample {
  MetricLabels labels;
  double value = 0;
};

// How many observations fell where. counts[i] belongs to values up to bounds[i] and above the
// bound before; the last count, without a bound, to all that are larger.
struct MetricDistribution {
  MetricLabels labels;
  std::vector<double> bounds;
  std::vector<std::uint64_t> counts;
  double sum = 0;
};

enum class MetricType { counter, gauge, histogram };

// All numbers under one name. The name ends in its unit (seconds, bytes), a counter's in _total.
// Source: https://prometheus.io/docs/practices/naming/
struct MetricFamily {
  MetricType type = MetricType::gauge;
  std::string name;
  std::string help;
  std::vector<MetricSample> samples;              // of counters and gauges
  std::vector<MetricDistribution> distributions;  // of histograms

  // One more number of a counter or gauge.
  MetricFamily& add(MetricLabels labels, double value) {
    samples.push_back({std::move(labels), value});
    return *this;
  }
};

// Measured when somebody asks, so that nobody who does not ask pays. Thread safe.
class MetricSource {
 public:
  virtual ~MetricSource() = default;
  // Appends families; each name once over all sources.
  virtual void measure(std::vector<MetricFamily>& out) = 0;
};

// Families to be filled: make_gauge("moored_pods", "Pods.").add({{"phase", "Running"}}, 3).
inline MetricFamily make_gauge(std::string name, std::string help) {
  return {MetricType::gauge, std::move(name), std::move(help), {}, {}};
}
inline MetricFamily make_counter(std::string name, std::string help) {
  return {MetricType::counter, std::move(name), std::move(help), {}, {}};
}
inline MetricFamily make_histogram(std::string name, std::string help) {
  return {MetricType::histogram, std::move(name), std::move(help), {}, {}};
}

}  // namespace moored
