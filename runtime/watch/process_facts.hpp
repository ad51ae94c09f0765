// Processes as /proc shows them: who they are, what they may do, where they belong.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moored::watch {

// One process at one moment. Capabilities are bit masks.
struct ProcessFacts {
  pid_t pid = 0;
  pid_t parent = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot; with the pid it names the process
  std::string name;
  std::uint32_t uid = 0;
  std::uint64_t permitted = 0;
  std::uint64_t effective = 0;
  std::uint64_t bounding = 0;
  bool no_new_privileges = false;
  bool filtered = false;  // a seccomp filter is loaded
  bool ending = false;    // on its way out: it is in no group any more
};

// From the texts of /proc/PID/stat and /proc/PID/status; nothing when they are not whole.
// Source: proc(5).
std::optional<ProcessFacts> parse_process(std::string_view stat, std::string_view status);
// Nothing: it has ended.
std::optional<ProcessFacts> find_process(pid_t pid);
// "name[pid] uid N", for messages; with only the number when it has ended meanwhile.
std::string describe_process(pid_t pid);

// Pids by the inode of their pid namespace, of all processes of this machine.
std::map<ino_t, std::vector<pid_t>> read_pid_namespaces();
// The inode of one of a process's namespaces, such as "pid" or "user"; 0: it has ended.
ino_t read_namespace(pid_t pid, const char* kind);
// The numbers in the text of a cgroup.procs file.
std::vector<pid_t> parse_pids(std::string_view text);
// The target of /proc/PID/exe; empty: it has ended, or is a thread of the kernel.
std::string read_executable(pid_t pid);

// Kills exactly this process. Success when it has ended already.
bool kill_process(pid_t pid, std::uint64_t start_time);

}  // namespace moored::watch
