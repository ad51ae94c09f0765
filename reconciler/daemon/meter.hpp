// What the parts of a daemon come to, for /metrics.
#pragma once

#include <mutex>

#include "reconciler/loop/revision_meter.hpp"
#include "schema/ports/metrics.hpp"
#include "schema/ports/usage.hpp"

namespace moored {

struct Parts;

// Reads the parts when it is asked. They outlive it. Thread safe.
class DaemonMeter final : public MetricSource, public UsageReader {
 public:
  explicit DaemonMeter(Parts& parts);
  void measure(std::vector<MetricFamily>& out) override;
  Result<Usage> read_usage(const std::string& pod_uid, const std::string& container) override;
  Result<Usage> read_node_usage() override;
  // Before the parts are taken down: whoever asks after this is told of the process alone.
  void close();

 private:
  void measure_queues(std::vector<MetricFamily>& out) const;
  void measure_store(std::vector<MetricFamily>& out) const;

  Parts& parts_;
  RevisionMeter revisions_;
  std::mutex open_mutex_;  // held while parts are read
  bool open_ = true;
};

// Sources, units and pods as they are recorded. Pure.
void measure_sources(const StateView& view, std::vector<MetricFamily>& out);
void measure_pods(const StateView& view, std::vector<MetricFamily>& out);
// Open differences by kind, from the store's memory. As many series whatever drifts.
void measure_drift(const Store& store, std::vector<MetricFamily>& out);
// This process and which program it is, under the names that all clients of Prometheus use.
void measure_process(std::vector<MetricFamily>& out);
// The node's usage out of the texts of /proc/stat and /proc/meminfo. Errors: corrupt.
Result<Usage> parse_node_usage(const std::string& stat, const std::string& meminfo);

}  // namespace moored
