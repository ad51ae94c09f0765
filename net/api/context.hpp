// What the routes may look at. Nothing in here can write.
#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "net/api/change_feed.hpp"
#include "net/api/encoding.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/metrics.hpp"
#include "schema/ports/reports.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {
class Preview;
class UsageReader;
}

namespace moored::net::api {

// Counts open watches and followed logs, so that the limit holds over all connections: above it
// they are answered with 429. Thread safe.
class StreamCount {
 public:
  explicit StreamCount(int limit = 512) : limit_(limit) {}

  // Takes one place; false: all are taken.
  bool take() {
    if (open_.fetch_add(1) < limit_) return true;
    open_.fetch_sub(1);
    return false;
  }
  void release() { open_.fetch_sub(1); }
  int open() const { return open_; }
  int limit() const { return limit_; }

 private:
  const int limit_;
  std::atomic<int> open_{0};
};

// A place among the open streams, given back when it dies.
class StreamPlace {
 public:
  explicit StreamPlace(StreamCount& count) : count_(count.take() ? &count : nullptr) {}
  StreamPlace(StreamPlace&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  StreamPlace& operator=(StreamPlace&&) = delete;
  ~StreamPlace() {
    if (count_ != nullptr) count_->release();
  }
  explicit operator bool() const { return count_ != nullptr; }

 private:
  StreamCount* count_;
};

class CpuRates;

// Everything an answer is made from. All members outlive the answers and their streams.
struct ApiContext {
  const StateSource& state;
  const Reports& reports;
  const Clock& clock;
  EncodingCache& cache;
  StreamCount& streams;
  ChangeFeed& feed;
  std::string address;  // HOST:PORT, for the old discovery document
  std::string log_dir;  // where container logs are; empty: this process keeps none
  CpuRates* rates = nullptr;
  UsageReader* usage = nullptr;       // null: nothing is measured here
  const Preview* preview = nullptr;   // null: dry runs are refused like writes
  std::vector<MetricSource*> meters{};  // measured for /metrics, in this order
};

}  // namespace moored::net::api
