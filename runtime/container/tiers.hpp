// The CPU shares of the groups that pods of one class lie in.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "runtime/cgroup/tree.hpp"

namespace moored::container {

// Burstable pods together get the sum of what they ask for, best-effort pods what is left. The sum
// is kept here, so that starting one pod costs the same beside one and beside a thousand others.
// A tier that cannot be weighed now is weighed with its next pod. Thread safe.
class Tiers {
 public:
  explicit Tiers(cgroup::Tree& tree) : tree_(tree) {}
  // A pod that is there now; again: its request has changed.
  void put(const std::string& uid, const std::string& qos_class, std::int64_t request_milli);
  void remove(const std::string& uid);

 private:
  void weigh_burstable();

  cgroup::Tree& tree_;
  std::mutex mutex_;
  std::map<std::string, std::int64_t> requests_milli_;  // of burstable pods
  std::int64_t sum_milli_ = 0;
  std::optional<std::int64_t> told_milli_;  // what the kernel was told last
  bool best_effort_told_ = false;
};

}  // namespace moored::container
