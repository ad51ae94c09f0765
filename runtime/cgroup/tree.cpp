#include "runtime/cgroup/tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "runtime/cgroup/devices.hpp"
#include "schema/host/file.hpp"

namespace moored::cgroup {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

// What containers are limited and measured by; others, such as cpuset, blkio or net_cls, stay as
// the machine has them.
constexpr std::array<std::string_view, 4> kLimiting{"cpu", "cpuacct", "memory", "pids"};
// What every v2 group does by itself, and v1 by hierarchies of their own.
constexpr std::array<std::string_view, 2> kPartsOfV2{"devices", "freezer"};

template <class Names>
bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Of the kernel's own files: what is no number reads as 0.
std::int64_t number_of(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Calls until it succeeds or the time is over, waiting longer each time.
Status retry(milliseconds timeout, const std::function<Status()>& attempt) {
  constexpr milliseconds kLongestPause{100};
  const auto deadline = Steady::now() + timeout;
  for (milliseconds pause{1};; pause = std::min(pause * 2, kLongestPause)) {
    auto status = attempt();
    if (status || Steady::now() >= deadline) return status;
    std::this_thread::sleep_for(pause);
  }
}

// The groups below one. A group has some thirty files in each hierarchy: what they are is taken
// from the listing, as asking the kernel for each would be the most costly part of a short pod.
std::vector<std::string> list_groups(const std::string& directory) {
  std::vector<std::string> groups;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code unknown;
    if (at->is_directory(unknown)) groups.push_back(at->path().string());
  }
  return groups;
}

// Removes a directory of groups, leaves first. Most are leaves, which go at once.
Status remove_groups(const std::string& directory) {
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
  for (const auto& group : list_groups(directory)) MOORED_CHECK(remove_groups(group));
  if (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
    return Unexpected(system_error("remove cgroup " + directory, errno));
  }
  return {};
}

// Below as well: a probe may be in a group of its own.
void collect_processes(const std::string& directory, std::vector<pid_t>& pids) {
  const auto text = read_file(directory + "/cgroup.procs");
  if (!text) return;
  for (std::size_t at = 0; at < text->size();) {
    const auto end = std::min(text->find('\n', at), text->size());
    const auto pid = number_of(text->substr(at, end - at));
    if (pid > 0) pids.push_back(static_cast<pid_t>(pid));
    at = end + 1;
  }
  for (const auto& group : list_groups(directory)) collect_processes(group, pids);
}

// One wrong root and a removal would reach groups of others.
bool is_safe_root(const std::string& root) {
  return root.size() > 1 && root.front() == '/' && root.back() != '/' &&
         (root + "/").find("/../") == std::string::npos && root.find("//") == std::string::npos;
}

}  // namespace

std::string find_unified(const std::string& mountinfo) {
  for (std::size_t at = 0; at < mountinfo.size();) {
    const auto end = std::min(mountinfo.find('\n', at), mountinfo.size());
    const auto line = mountinfo.substr(at, end - at);
    at = end + 1;
    const auto type = line.find(" - cgroup2 ");
    if (type == std::string::npos) continue;
    // "id parent major:minor root mount-point options …": the fifth word.
    std::size_t begin = 0;
    for (int i = 0; i < 4; ++i)
      begin = line.find(' ', begin) + 1;
    return line.substr(begin, line.find(' ', begin) - begin);
  }
  return {};
}

Layout plan_layout(const std::vector<Mounted>& mounted, const std::string& unified) {
  Layout layout;
  layout.unified = unified;
  for (const auto& entry : mounted) {
    const bool used = contains(kLimiting, entry.controller) ||
                      (unified.empty() && contains(kPartsOfV2, entry.controller));
    if (!used) continue;
    const bool v2 = !unified.empty() && entry.mount_point == unified;
    if (v2) {
      layout.v2.push_back(entry.controller);
    } else {
      layout.v1.push_back(entry);
    }
    const Version version = v2 ? Version::v2 : Version::v1;
    if (entry.controller == "cpu") layout.versions.cpu = version;
    if (entry.controller == "memory") layout.versions.memory = version;
    if (entry.controller == "pids") layout.versions.pids = version;
  }
  return layout;
}

// Discovery only; the first group is made with the first pod.
Result<std::unique_ptr<Tree>> Tree::create(const std::string& root) {
  if (!is_safe_root(root)) return fail(Code::invalid, "cgroup root " + root + " is not allowed");
  MOORED_TRY(const auto mountinfo, read_file("/proc/self/mountinfo"));
  const auto unified = find_unified(mountinfo);
  MOORED_TRY(const auto mounted, read_controllers());
  auto layout = plan_layout(mounted, unified);
  if (layout.v1.empty() && layout.unified.empty()) {
    return fail(Code::unavailable, "no cgroup hierarchy is mounted");
  }
  return std::unique_ptr<Tree>(new Tree(root, std::move(layout)));
}

std::string Tree::directory(const std::string& controller, const std::string& path) const {
  for (const auto& entry : layout_.v1) {
    if (entry.controller == controller) return entry.mount_point + full(path);
  }
  const auto& v2 = layout_.v2;
  if (std::find(v2.begin(), v2.end(), controller) == v2.end()) return {};
  return layout_.unified + full(path);
}

// One for each hierarchy: co-mounted controllers share theirs.
std::vector<std::string> Tree::directories(const std::string& path) const {
  std::set<std::string> found;
  for (const auto& entry : layout_.v1)
    found.insert(entry.mount_point + full(path));
  if (!layout_.unified.empty()) found.insert(layout_.unified + full(path));
  return {found.begin(), found.end()};
}

// Nearly always only the last level is missing. The library would make every level from the root of
// the file system on and read the mount table for each hierarchy, which costs more than the group.
Status Tree::make(const std::string& path) {
  const auto fresh = make_last_level(path);
  if (!fresh && fresh.error().code == Code::not_found) return make_levels(full(path));
  if (!fresh) return Unexpected(fresh.error());
  if (*fresh) untouched_.with([&](auto& groups) { groups.insert(path); });
  return {};
}

Result<bool> Tree::make_last_level(const std::string& path) {
  if (!layout_.v2.empty()) MOORED_CHECK(enable_v2(full(path)));
  bool fresh = true;
  for (const auto& group : directories(path)) {
    if (::mkdir(group.c_str(), 0755) == 0) continue;
    if (errno != EEXIST) return Unexpected(system_error("make cgroup " + group, errno));
    fresh = false;
  }
  return fresh;
}

// Level by level, because v2 has to switch its controllers on in each parent before the next one
// exists, and because only so a failure knows what was there before.
Status Tree::make_levels(const std::string& whole) {
  std::string first_made;
  for (std::size_t slash = whole.find('/', 1);; slash = whole.find('/', slash + 1)) {
    const std::string level = whole.substr(0, slash);
    bool missing = false;
    for (const auto& entry : layout_.v1)
      missing |= !path_exists(entry.mount_point + level);
    if (!layout_.unified.empty()) missing |= !path_exists(layout_.unified + level);
    if (missing) {
      if (first_made.empty()) first_made = level;
      auto made = make_level(level);
      if (!made) {
        if (first_made.size() > root_.size()) {
          static_cast<void>(remove(first_made.substr(root_.size() + 1), milliseconds(1000)));
        }
        return made;
      }
    }
    if (slash == std::string::npos) return {};
  }
}

// v2 controllers must be switched on for children in the parent first; the library does not do it
// for the root of the hierarchy.
Status Tree::enable_v2(const std::string& level) {
  std::string wanted;
  for (const auto& controller : layout_.v2) wanted += (wanted.empty() ? "+" : " +") + controller;
  const std::string parent = layout_.unified + level.substr(0, level.find_last_of('/'));
  return write_file(parent + "/cgroup.subtree_control", wanted);
}

Status Tree::make_level(const std::string& level) {
  std::vector<std::string> controllers;
  for (const auto& entry : layout_.v1)
    controllers.push_back(entry.controller);
  if (!controllers.empty()) MOORED_CHECK(make_group(level, controllers));
  if (layout_.unified.empty()) return {};
  if (!layout_.v2.empty()) {
    MOORED_CHECK(enable_v2(level));
    return make_group(level, layout_.v2);
  }
  const std::string bare = layout_.unified + level;
  if (::mkdir(bare.c_str(), 0755) != 0 && errno != EEXIST) {
    return Unexpected(system_error("make cgroup " + bare, errno));
  }
  return {};
}

// The order of v1's two memory files depends on whether the limit rises, so the present one is
// read first unless there can be none.
Status Tree::set_limits(const std::string& path, const CgroupLimits& limits, bool leaf) {
  const bool fresh = untouched_.with([&](auto& groups) { return groups.erase(path) > 0; });
  bool raising = false;
  if (layout_.versions.memory == Version::v1 && !fresh) {
    MOORED_TRY(const auto now, get_value(full(path), "memory", "memory.limit_in_bytes"));
    const auto bytes = bytes_of(now);
    raising = bytes && limits.memory_limit_bytes && *limits.memory_limit_bytes > *bytes;
  }
  auto settings = plan_limits(limits, layout_.versions, leaf, raising);
  if (fresh) settings = drop_defaults(std::move(settings));
  std::erase_if(settings, [&](const Setting& setting) {
    return setting.optional &&
           !path_exists(directory(setting.controller, path) + "/" + setting.file);
  });
  return set_values(full(path), settings);
}

Status Tree::set_shares(const std::string& path, std::int64_t request_milli) {
  const std::string group = directory("cpu", path);
  if (group.empty() || !path_exists(group)) return {};
  const auto shares = cpu_shares(request_milli);
  if (layout_.versions.cpu == Version::v1) {
    return set_values(full(path), {{"cpu", "cpu.shares", std::to_string(shares)}});
  }
  return set_values(full(path), {{"cpu", "cpu.weight", std::to_string(cpu_weight(shares))}});
}

Result<CgroupLimits> Tree::read_limits(const std::string& path, const CgroupLimits& recorded) {
  CgroupLimits found;
  if (layout_.versions.cpu == Version::v1) {
    MOORED_TRY(const auto shares, get_value(full(path), "cpu", "cpu.shares"));
    MOORED_TRY(const auto quota, get_value(full(path), "cpu", "cpu.cfs_quota_us"));
    MOORED_TRY(const auto period, get_value(full(path), "cpu", "cpu.cfs_period_us"));
    found.cpu_request_milli = request_milli_of_shares(number_of(shares));
    if (number_of(shares) == cpu_shares(recorded.cpu_request_milli)) {
      found.cpu_request_milli = recorded.cpu_request_milli;
    }
    found.cpu_limit_milli = limit_milli_of_quota(number_of(quota), number_of(period));
  } else if (layout_.versions.cpu == Version::v2) {
    MOORED_TRY(const auto weight, get_value(full(path), "cpu", "cpu.weight"));
    MOORED_TRY(const auto max, get_value(full(path), "cpu", "cpu.max"));
    found.cpu_request_milli = request_milli_of_weight(number_of(weight));
    if (number_of(weight) == cpu_weight(cpu_shares(recorded.cpu_request_milli))) {
      found.cpu_request_milli = recorded.cpu_request_milli;
    }
    found.cpu_limit_milli =
        limit_milli_of_quota(number_of(max), number_of(max.substr(max.find(' ') + 1)));
  }
  const auto& wanted = recorded.cpu_limit_milli;
  if (wanted && found.cpu_limit_milli &&
      *found.cpu_limit_milli == cpu_quota_micros(*wanted) * 1000 / kPeriodMicros) {
    found.cpu_limit_milli = wanted;  // what lies below the smallest quota reads back higher
  }
  if (layout_.versions.memory != Version::absent) {
    const bool v1 = layout_.versions.memory == Version::v1;
    MOORED_TRY(const auto bytes,
               get_value(full(path), "memory", v1 ? "memory.limit_in_bytes" : "memory.max"));
    found.memory_limit_bytes = bytes_of(bytes);
    const auto page = static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
    if (recorded.memory_limit_bytes && found.memory_limit_bytes &&
        *recorded.memory_limit_bytes / page * page == *found.memory_limit_bytes) {
      found.memory_limit_bytes = recorded.memory_limit_bytes;  // the kernel rounds to pages
    }
  }
  if (layout_.versions.pids != Version::absent) {
    MOORED_TRY(const auto pids, get_value(full(path), "pids", "pids.max"));
    found.pids_limit = bytes_of(pids);
  }
  return found;
}

Result<std::int64_t> Tree::read_memory_bytes(const std::string& path) {
  const bool v1 = layout_.versions.memory == Version::v1;
  const std::string base = directory("memory", path);
  if (base.empty()) return fail(Code::unavailable, "no memory controller");
  MOORED_TRY(const auto usage,
             read_file(base + (v1 ? "/memory.usage_in_bytes" : "/memory.current")));
  MOORED_TRY(const auto stat, read_file(base + "/memory.stat"));
  const std::string name = v1 ? "\ntotal_inactive_file " : "\ninactive_file ";
  const auto at = stat.find(name);
  const auto inactive = at == std::string::npos ? 0 : number_of(stat.substr(at + name.size(), 20));
  return std::max<std::int64_t>(0, number_of(usage) - inactive);
}

// v1 counts in a controller of its own, v2 in every group.
Result<std::chrono::nanoseconds> Tree::read_cpu_time(const std::string& path) {
  if (const std::string base = directory("cpuacct", path); !base.empty()) {
    MOORED_TRY(const auto usage, read_file(base + "/cpuacct.usage"));
    return std::chrono::nanoseconds(number_of(usage));
  }
  if (layout_.unified.empty()) return fail(Code::unavailable, "nothing counts processor time");
  MOORED_TRY(const auto stat, read_file(layout_.unified + full(path) + "/cpu.stat"));
  constexpr std::string_view kUsage = "usage_usec ";
  const auto at = stat.find(kUsage);
  if (at == std::string::npos) return fail(Code::unavailable, "cpu.stat counts no time");
  return std::chrono::nanoseconds(1000 * number_of(stat.substr(at + kUsage.size(), 20)));
}

Status Tree::attach(const std::string& path, pid_t pid) {
  if (layout_.unified.empty()) return {};
  return write_file(layout_.unified + full(path) + "/cgroup.procs", std::to_string(pid));
}

// Plain paths, so that the shim needs to know nothing about versions.
Entrance Tree::entrance(const std::string& path) const {
  Entrance entrance;
  std::set<std::string> files;
  for (const auto& entry : layout_.v1)
    files.insert(entry.mount_point + full(path) + "/tasks");
  entrance.tasks_files.assign(files.begin(), files.end());
  if (!layout_.unified.empty()) entrance.v2_directory = layout_.unified + full(path);
  const std::string memory = directory("memory", path);
  if (layout_.versions.memory == Version::v1) entrance.oom_file = memory + "/memory.oom_control";
  if (layout_.versions.memory == Version::v2) entrance.oom_file = memory + "/memory.events";
  return entrance;
}

std::vector<pid_t> Tree::read_processes(const std::string& path) const {
  std::vector<pid_t> pids;
  for (const auto& group : directories(path))
    collect_processes(group, pids);
  return pids;
}

// cgroup.events is exact and cheap; without v2 the numbers have to be collected.
bool Tree::is_populated(const std::string& path) const {
  if (layout_.unified.empty()) return !read_processes(path).empty();
  const auto events = read_file(layout_.unified + full(path) + "/cgroup.events", 4096);
  return events && events->find("populated 1") != std::string::npos;
}

// cgroup.kill reaches what forks meanwhile. Without it the round is repeated until none is left.
Status Tree::kill(const std::string& path, milliseconds timeout) {
  const std::string unified = layout_.unified.empty() ? "" : layout_.unified + full(path);
  return retry(timeout, [&]() -> Status {
    if (!unified.empty()) {
      auto killed = write_file(unified + "/cgroup.kill", "1");
      if (!killed && killed.error().code != Code::not_found) return killed;
    } else {
      for (const auto pid : read_processes(path))
        ::kill(pid, SIGKILL);
    }
    if (is_populated(path)) return fail(Code::timeout, "cgroup " + full(path) + " is not empty");
    return {};
  });
}

// The kernel answers EBUSY for a moment after the last process has ended.
Status Tree::remove(const std::string& path, milliseconds timeout) {
  untouched_.with([&](auto& groups) { groups.erase(path); });
  return retry(timeout, [&]() -> Status {
    for (const auto& group : directories(path)) {
      MOORED_CHECK(remove_groups(group));
    }
    return {};
  });
}

// What an earlier daemon's process leaves a moment after it is not held against the caller.
Status Tree::remove_root(milliseconds timeout) {
  MOORED_CHECK(retry(timeout, [&]() -> Status {
    if (is_populated("")) return fail(Code::conflict, "cgroup " + root_ + " holds processes");
    return {};
  }));
  return remove("", timeout);
}

// The v2 hierarchy carries the filter even where the limits are v1's.
Status Tree::restrict_devices(const std::string& path) {
  if (!layout_.unified.empty()) return device_filter_.attach(layout_.unified + full(path));
  const std::string v1 = directory("devices", path);
  if (v1.empty()) return fail(Code::unavailable, "nothing can restrict devices");
  return write_device_rules(v1);
}

}  // namespace moored::cgroup
