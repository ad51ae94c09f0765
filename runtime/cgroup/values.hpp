// What the kernel is told for requests and limits, as pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/ports/sandbox.hpp"

namespace moored::cgroup {

// Length of a quota period, microseconds.
constexpr std::int64_t kPeriodMicros = 100'000;

// v1 cpu.shares of a request in thousandths of a CPU: 1024 for each CPU, within the kernel's range.
std::int64_t cpu_shares(std::int64_t request_milli);
// v2 cpu.weight of v1 shares; 1024 shares are the kernel's default of 100.
// Source: the conversion that crun and runc use since 2025, continuous in log2.
std::int64_t cpu_weight(std::int64_t shares);
// CPU time in microseconds for each period, never below 1000.
std::int64_t cpu_quota_micros(std::int64_t limit_milli);
// io.weight of a blkio weight 10…1000.
std::int64_t io_weight(std::int64_t blkio_weight);
// oom_score_adj by QoS class; node_memory_bytes must not be 0.
int oom_score_adjust(const std::string& qos_class, std::int64_t memory_request_bytes,
                     std::int64_t node_memory_bytes);

// One value for one file of one controller.
struct Setting {
  std::string controller;
  std::string file;
  std::string value;
  bool optional = false;  // the file may be missing (no swap accounting)
  bool operator==(const Setting&) const = default;
};

// Which version serves a controller; a controller that is absent is not mounted.
enum class Version { absent, v1, v2 };
struct Versions {
  Version cpu = Version::absent;
  Version memory = Version::absent;
  Version pids = Version::absent;
  bool operator==(const Versions&) const = default;
};

// The writes that carry out limits, in order. With leaf the group is a container's: on v2 it dies
// as a whole when out of memory. raising_memory: the limit now in force is lower, which decides
// the order of v1's two memory files (memory may never exceed memory and swap).
std::vector<Setting> plan_limits(const CgroupLimits& limits, const Versions& versions, bool leaf,
                                 bool raising_memory);
// Those that say something else than what the kernel gives a group that was just made.
std::vector<Setting> drop_defaults(std::vector<Setting> settings);
// The inverse, for values that moored did not write itself. The request is approximate.
std::int64_t request_milli_of_shares(std::int64_t shares);
std::int64_t request_milli_of_weight(std::int64_t weight);
// Reads "quota period" (v2) or a quota (v1, with its period). Nothing: unlimited.
std::optional<std::int64_t> limit_milli_of_quota(std::int64_t quota, std::int64_t period);
// A number, or nothing for "max", -1 and v1's huge default.
std::optional<std::int64_t> bytes_of(const std::string& text);

}  // namespace moored::cgroup
