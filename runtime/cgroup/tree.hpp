// moored's own groups in every hierarchy of the machine, whatever mixture of versions it has.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/cgroup/devices.hpp"
#include "runtime/cgroup/library.hpp"
#include "runtime/cgroup/values.hpp"
#include "schema/base/result.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::cgroup {

// Where this machine keeps what. Versions are decided for each controller by its mount point.
struct Layout {
  Versions versions;
  std::string unified;          // mount point of the v2 hierarchy; empty: none
  std::vector<Mounted> v1;      // used v1 controllers
  std::vector<std::string> v2;  // used v2 controllers
  bool operator==(const Layout&) const = default;
};
// Decides the layout from what the library found and the mount point of cgroup2. On v1 only what
// limits, counts or restricts is used, as each hierarchy costs every pod groups of its own; a v2
// hierarchy beside them freezes and restricts devices. cpuset is left out: on v1 a new group cannot
// be entered before its cpus and mems are filled.
Layout plan_layout(const std::vector<Mounted>& mounted, const std::string& unified);
// The first cgroup2 mount in the text of /proc/self/mountinfo; empty: none.
std::string find_unified(const std::string& mountinfo);

// Files by which a process enters a group and by which its end is told.
struct Entrance {
  std::string v2_directory;              // for CLONE_INTO_CGROUP, kill and events; may be empty
  std::vector<std::string> tasks_files;  // of the v1 hierarchies: a process enters by itself
  std::string oom_file;                  // memory.events or memory.oom_control; may be empty
};

// Groups below one root. Paths are relative to it ("pods/burstable/pod1/web-0"). Thread safe.
class Tree {
 public:
  // root: such as /moored-1a2b3c, one or more components, never /. Makes nothing yet.
  // Errors: invalid (a root that could be somebody else's), unavailable.
  static Result<std::unique_ptr<Tree>> create(const std::string& root);

  const Layout& layout() const { return layout_; }
  // Makes a group in every hierarchy, level by level. There already: success. On failure the
  // levels that this call made are removed.
  Status make(const std::string& path);
  // Carries limits out. leaf: the group of a container. A group that this tree made and nobody has
  // limited since has the kernel's own limits, which are not written again.
  Status set_limits(const std::string& path, const CgroupLimits& limits, bool leaf);
  // Sets only the CPU share of a group that other groups lie in; a missing group is success.
  Status set_shares(const std::string& path, std::int64_t request_milli);
  // What the kernel has now. Where it is what recorded would give, the answer is recorded's.
  Result<CgroupLimits> read_limits(const std::string& path, const CgroupLimits& recorded);
  // Bytes in use now, without the page cache that can be dropped at once.
  Result<std::int64_t> read_memory_bytes(const std::string& path);
  // Processor time spent in the group and below since it was made.
  Result<std::chrono::nanoseconds> read_cpu_time(const std::string& path);
  // Moves a whole process in the v2 hierarchy, if there is one. Those of v1 it enters by itself,
  // through entrance(). Errors: conflict (not a leaf).
  Status attach(const std::string& path, pid_t pid);
  Entrance entrance(const std::string& path) const;
  // Whether a process is in the group or below it.
  bool is_populated(const std::string& path) const;
  // Kills everything in the group and below, and waits until it is empty. Errors: timeout.
  Status kill(const std::string& path, std::chrono::milliseconds timeout);
  // Removes the group and everything below it in every hierarchy, leaves first, and looks whether
  // it is gone. Processes must be gone. A missing group is success. Errors: timeout.
  Status remove(const std::string& path, std::chrono::milliseconds timeout);
  // Removes the whole root if it holds no process.
  Status remove_root(std::chrono::milliseconds timeout);
  // Allows only the devices every container has. privileged: no restriction.
  Status restrict_devices(const std::string& path);

 private:
  Tree(std::string root, Layout layout) : root_(std::move(root)), layout_(std::move(layout)) {}
  std::string full(const std::string& path) const {
    return path.empty() ? root_ : root_ + "/" + path;
  }
  std::vector<std::string> directories(const std::string& path) const;
  std::string directory(const std::string& controller, const std::string& path) const;
  // True: no hierarchy had the group. Errors: not_found (its parent is missing somewhere).
  Result<bool> make_last_level(const std::string& path);
  // Errors: not_found (no parent).
  Status enable_v2(const std::string& level);
  Status make_levels(const std::string& whole);
  Status make_level(const std::string& level);
  std::vector<pid_t> read_processes(const std::string& path) const;

  std::string root_;
  Layout layout_;
  DeviceFilter device_filter_;
  Guarded<std::set<std::string>> untouched_;  // groups made here and not limited yet
};

}  // namespace moored::cgroup
