#include "runtime/agent/limit_drift.hpp"

#include <optional>

#include "runtime/cgroup/values.hpp"

namespace moored::agent {
namespace {

// A limit as cgroup files write it.
std::string write_limit(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "max";
}

// cgroup v2 keeps a weight, from which shares cannot be read back exactly.
bool is_rounding(std::int64_t want, std::int64_t have) {
  const std::int64_t difference = want > have ? want - have : have - want;
  return difference <= 2 || difference * 100 <= want * 5;
}

}  // namespace

std::vector<DriftRecord> compare_limits(const std::string& container, const CgroupLimits& desired,
                                        const CgroupLimits& observed) {
  std::vector<DriftRecord> drift;
  const auto add = [&](const char* field, const std::string& want, const std::string& have) {
    if (want == have) return;
    DriftRecord record;
    record.field = container.empty() ? field : field + std::string("[") + container + "]";
    record.desired = want;
    record.observed = have;
    record.correction = "cgroup value written again";
    drift.push_back(std::move(record));
  };
  add("cgroup.memory.max", write_limit(desired.memory_limit_bytes),
      write_limit(observed.memory_limit_bytes));
  add("cgroup.cpu.max", write_limit(desired.cpu_limit_milli),
      write_limit(observed.cpu_limit_milli));
  add("cgroup.pids.max", write_limit(desired.pids_limit), write_limit(observed.pids_limit));
  // Compared as shares, whatever file they are kept in; small differences are rounding.
  const std::int64_t want = cgroup::cpu_shares(desired.cpu_request_milli);
  const std::int64_t have = cgroup::cpu_shares(observed.cpu_request_milli);
  if (!is_rounding(want, have)) {
    add("cgroup.cpu.shares", std::to_string(want), std::to_string(have));
  }
  return drift;
}

}  // namespace moored::agent
