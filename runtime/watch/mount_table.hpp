// The mounts of a container: read, compared with those it was started with, put back.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::watch {

// One row of /proc/PID/mountinfo. Propagation and the settings of the file system are left out.
struct MountRow {
  std::string place;    // path in the container
  std::string options;  // "rw,nosuid,relatime", as the kernel writes them
  std::string type;
  std::string device;   // major:minor
  std::string root;     // the part of the file system that is mounted
  bool operator==(const MountRow&) const = default;
};
// Source: proc_pid_mountinfo(5). Rows that cannot be read are left out.
std::vector<MountRow> parse_mounts(std::string_view mountinfo);
// One row as a line of a file, and back; an unreadable line is an empty row.
std::string format_mount(const MountRow& row);
MountRow parse_mount(const std::string& line);

// One difference. Of several mounts at one place the n-th is compared with the n-th.
struct MountFault {
  enum class Kind { changed, extra, missing };
  Kind kind = Kind::changed;
  std::string place;
  std::string desired;
  std::string observed;
  bool operator==(const MountFault&) const = default;
};
std::vector<MountFault> compare_mounts(const std::vector<MountRow>& wanted,
                                       const std::vector<MountRow>& found);

// Gives a changed mount its options back, or takes an extra one away, inside the mount namespace
// of a process. Errors: invalid (it is missing: only a new attempt has it again), not_found.
Status put_back_mount(pid_t pid, const MountFault& fault);

}  // namespace moored::watch
