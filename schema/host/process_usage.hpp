// What this process uses of the machine.
#pragma once

#include <cstdint>

#include "schema/base/result.hpp"

namespace moored {

// One reading. Source: proc(5), /proc/self/stat, /proc/self/fd and /proc/stat.
struct ProcessUsage {
  double cpu_seconds = 0;         // user and system, of all threads
  double start_time_seconds = 0;  // since 1970
  std::int64_t resident_bytes = 0;
  std::int64_t virtual_bytes = 0;
  std::int64_t open_files = 0;
  std::int64_t open_files_limit = 0;
  std::int64_t threads = 0;
};

// Errors: those of reading files, corrupt (the kernel wrote something else).
Result<ProcessUsage> read_process_usage();

}  // namespace moored
