#include "runtime/cgroup/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

namespace moored::cgroup {
namespace {

constexpr std::int64_t kMinShares = 2;
constexpr std::int64_t kMaxShares = 262'144;
constexpr std::int64_t kMinQuota = 1000;
// v1 reads back the largest multiple of the page size when no limit is set.
constexpr std::int64_t kV1Unlimited = 0x7ffffffffffff000 - (1LL << 20);

std::string text_or(const std::optional<std::int64_t>& value, const char* unlimited) {
  return value ? std::to_string(*value) : unlimited;
}

// The period comes before the quota: the kernel checks the pair at each write.
void plan_cpu(const CgroupLimits& limits, Version version, std::vector<Setting>& out) {
  const auto shares = cpu_shares(limits.cpu_request_milli);
  const auto quota = limits.cpu_limit_milli
                         ? std::optional<std::int64_t>(cpu_quota_micros(*limits.cpu_limit_milli))
                         : std::nullopt;
  const std::string period = std::to_string(kPeriodMicros);
  if (version == Version::v1) {
    out.push_back({"cpu", "cpu.shares", std::to_string(shares), false});
    out.push_back({"cpu", "cpu.cfs_period_us", period, false});
    out.push_back({"cpu", "cpu.cfs_quota_us", text_or(quota, "-1"), false});
  } else if (version == Version::v2) {
    out.push_back({"cpu", "cpu.weight", std::to_string(cpu_weight(shares)), false});
    out.push_back({"cpu", "cpu.max", text_or(quota, "max") + " " + period, false});
  }
}

void plan_memory(const CgroupLimits& limits, Version version, bool leaf, bool raising,
                 std::vector<Setting>& out) {
  const auto& bytes = limits.memory_limit_bytes;
  if (version == Version::v1) {
    const Setting memory{"memory", "memory.limit_in_bytes", text_or(bytes, "-1"), false};
    const Setting both{"memory", "memory.memsw.limit_in_bytes", text_or(bytes, "-1"), true};
    out.push_back(raising || !bytes ? both : memory);
    out.push_back(raising || !bytes ? memory : both);
  } else if (version == Version::v2) {
    out.push_back({"memory", "memory.max", text_or(bytes, "max"), false});
    out.push_back({"memory", "memory.swap.max", bytes ? "0" : "max", true});
    if (leaf) out.push_back({"memory", "memory.oom.group", "1", false});
  }
}

}  // namespace

std::int64_t cpu_shares(std::int64_t request_milli) {
  return std::clamp(std::max<std::int64_t>(request_milli, 0) * 1024 / 1000, kMinShares, kMaxShares);
}

// A quadratic in log2 through three points: 2 shares are 1, 1024 are 100, 262144 are 10000.
std::int64_t cpu_weight(std::int64_t shares) {
  if (shares <= kMinShares) return 1;
  if (shares >= kMaxShares) return 10'000;
  const double log = std::log2(static_cast<double>(shares));
  const double exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
  return static_cast<std::int64_t>(std::ceil(std::pow(10.0, exponent)));
}

std::int64_t cpu_quota_micros(std::int64_t limit_milli) {
  return std::max(kMinQuota, limit_milli * kPeriodMicros / 1000);
}

std::int64_t io_weight(std::int64_t blkio_weight) {
  return 1 + (std::clamp<std::int64_t>(blkio_weight, 10, 1000) - 10) * 9999 / 990;
}

int oom_score_adjust(const std::string& qos_class, std::int64_t memory_request_bytes,
                     std::int64_t node_memory_bytes) {
  if (qos_class == "Guaranteed") return -997;
  if (qos_class == "BestEffort") return 1000;
  const auto kept = static_cast<double>(memory_request_bytes) * 1000.0 /
                    static_cast<double>(std::max<std::int64_t>(node_memory_bytes, 1));
  return std::clamp(1000 - static_cast<int>(std::min(kept, 1000.0)), 3, 999);
}

std::vector<Setting> plan_limits(const CgroupLimits& limits, const Versions& versions, bool leaf,
                                 bool raising_memory) {
  std::vector<Setting> settings;
  plan_cpu(limits, versions.cpu, settings);
  plan_memory(limits, versions.memory, leaf, raising_memory, settings);
  if (versions.pids != Version::absent) {
    settings.push_back({"pids", "pids.max", text_or(limits.pids_limit, "max"), false});
  }
  return settings;
}

// Source: the kernel's documents on both versions, and the files of a new group.
std::vector<Setting> drop_defaults(std::vector<Setting> settings) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kDefaults{
      {{"cpu.shares", "1024"},
       {"cpu.cfs_period_us", "100000"},
       {"cpu.cfs_quota_us", "-1"},
       {"cpu.weight", "100"},
       {"cpu.max", "max 100000"},
       {"memory.limit_in_bytes", "-1"},
       {"memory.memsw.limit_in_bytes", "-1"},
       {"memory.max", "max"},
       {"memory.swap.max", "max"},
       {"memory.oom.group", "0"},
       {"pids.max", "max"}}};
  std::erase_if(settings, [&](const Setting& setting) {
    return std::any_of(kDefaults.begin(), kDefaults.end(), [&](const auto& entry) {
      return setting.file == entry.first && setting.value == entry.second;
    });
  });
  return settings;
}

std::int64_t request_milli_of_shares(std::int64_t shares) {
  if (shares <= kMinShares) return 0;
  return (shares * 1000 + 1023) / 1024;
}

std::int64_t request_milli_of_weight(std::int64_t weight) {
  // The smallest request whose weight is at least this one; the mapping is monotonic.
  std::int64_t low = 0;
  std::int64_t high = request_milli_of_shares(kMaxShares);
  while (low < high) {
    const auto middle = (low + high) / 2;
    if (cpu_weight(cpu_shares(middle)) >= weight) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

std::optional<std::int64_t> limit_milli_of_quota(std::int64_t quota, std::int64_t period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota * 1000 / period;
}

std::optional<std::int64_t> bytes_of(const std::string& text) {
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || value < 0 || value >= kV1Unlimited) return std::nullopt;
  return value;
}

}  // namespace moored::cgroup
