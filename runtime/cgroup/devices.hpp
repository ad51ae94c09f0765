// Which device nodes a container may open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schema/base/guarded.hpp"
#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::cgroup {

// One permission. Everything that no rule allows is denied.
struct DeviceRule {
  char type = 'c';  // c, b, or a for both
  int major = -1;   // -1: any
  int minor = -1;
  std::string access;  // of r, w, m
  bool operator==(const DeviceRule&) const = default;
};

// null, zero, full, random, urandom, tty, ptmx and terminals; making nodes of any kind.
const std::vector<DeviceRule>& default_device_rules();

// One instruction of a BPF program, as the kernel lays it out.
struct Instruction {
  std::uint8_t code = 0;
  std::uint8_t registers = 0;  // destination in the low, source in the high half
  std::int16_t offset = 0;
  std::int32_t immediate = 0;
  bool operator==(const Instruction&) const = default;
};
// A program of type BPF_PROG_TYPE_CGROUP_DEVICE that allows exactly the rules.
std::vector<Instruction> make_device_program(const std::vector<DeviceRule>& rules);
// Lines for v1's devices.allow.
std::string format_rule(const DeviceRule& rule);

// The default program, loaded into the kernel with its first use and then shared by all groups,
// each of which keeps it. Thread safe.
class DeviceFilter {
 public:
  // Attaches the program to a v2 group. Errors: denied, not_found (no such group).
  Status attach(const std::string& v2_directory);

 private:
  Guarded<UniqueFd> program_;
};
// Writes the default rules of a v1 group.
Status write_device_rules(const std::string& v1_directory);

}  // namespace moored::cgroup
