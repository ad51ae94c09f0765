// libcgroup behind one lock: discovery, creation, limits and single reads. Nothing else of it.
#pragma once

#include <string>
#include <vector>

#include "runtime/cgroup/values.hpp"
#include "schema/base/result.hpp"

namespace moored::cgroup {

// A controller and where its hierarchy is mounted.
struct Mounted {
  std::string controller;
  std::string mount_point;
  bool operator==(const Mounted&) const = default;
};

// All functions are thread safe. The library's table is read once in the life of the process: a
// second reading would rebuild it while others look.

// The controllers of this machine with their mount points. Errors: unavailable (none mounted).
Result<std::vector<Mounted>> read_controllers();
// Makes one group in the hierarchies of the controllers; its parent must exist. There already:
// success. Errors: denied, conflict (v2: processes in the parent).
Status make_group(const std::string& path, const std::vector<std::string>& controllers);
// Writes values in their order, those of one controller together. The library reads the machine's
// mount table for each of them. Errors: not_found (no such file), conflict, invalid.
Status set_values(const std::string& path, const std::vector<Setting>& settings);
// Reads one value, without the line end. Errors: not_found.
Result<std::string> get_value(const std::string& path, const std::string& controller,
                              const std::string& file);

}  // namespace moored::cgroup
