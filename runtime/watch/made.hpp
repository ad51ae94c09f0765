// What was made of a pod: read from the files that daemon and shim wrote, and from how each
// container looked when it started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/watch/mount_table.hpp"
#include "runtime/watch/root_files.hpp"
#include "schema/base/result.hpp"

namespace moored::watch {

// A namespace that is kept by a file, so that it outlives its processes.
struct Pin {
  std::string kind;  // net, ipc, uts
  std::string path;
};

// What is fixed for the life of a pod.
struct MadePod {
  std::string uid;
  pid_t shim = 0;
  std::uint64_t shim_start_time = 0;
  std::string shim_program;  // what /proc/PID/exe of the shim says
  std::vector<Pin> pins;
};

// How a container was right after its program was started.
struct Start {
  std::vector<MountRow> mounts;
  std::string program;  // path in the container; empty: not known
  FileMark program_mark;
  int oom_score_adjust = 0;
};

// One running attempt.
struct MadeContainer {
  std::string name;
  int attempt = 0;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::int64_t started_micros = 0;
  std::string directory;               // of the attempt
  bool own_processes = false;          // a pid namespace of its own
  std::string group;                   // v2 directory; empty: none
  std::string freezer;                 // v1 directory that can be frozen; empty: none
  std::vector<std::string> procs_files;  // cgroup.procs of every hierarchy
  std::uint64_t bounding = 0;
  bool filtered = false;
  bool no_new_privileges = false;
  std::string frozen_root;             // the writable layer of a read-only root; empty: not one
  Start start;
};

// What is known of a pod (null: nothing) is not read again while its shim lives.
// Errors: not_found (no such pod, or its shim has ended), corrupt.
Result<MadePod> read_made_pod(const std::string& pod_directory, const MadePod* known = nullptr);
// The running attempts. The holder of a shared pid namespace is among them, named ".pause". What
// known holds of an attempt (by its directory) is not read again: it does not change while it runs.
using KnownContainers = std::map<std::string, MadeContainer>;
std::vector<MadeContainer> read_made_containers(const std::string& pod_directory,
                                                const KnownContainers& known = {});
// Looks at a container now and writes it down beside the attempt. Does nothing when that was done
// before. Errors: not_found (it has ended).
Status write_start(const MadeContainer& container);

}  // namespace moored::watch
