// What the kernel tells by itself: writes to cgroup files, changes of mount tables.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"
#include "schema/ports/sandbox_watch.hpp"

namespace moored::watch {

// The uid of the pod whose group or directory a path lies in ("…/pod<uid>/…"); empty: none.
std::string find_pod_uid(const std::string& path);
// Whether a write to a cgroup file may concern us: a value of a pod's group, or the membership of a
// group of others, since a process is moved away by a write elsewhere. Containers and probes enter
// their own groups all the time; who enters with them is found by the sweep.
bool is_telling_path(const std::string& path);

// Not thread safe. A kernel or right that is missing means fewer hints, never a failure: the sweep
// finds the same later.
class Hints {
 public:
  Hints();
  // Readable when there is something to take; -1: not even that could be made.
  int descriptor() const { return epoll_.get(); }
  // Listens to writes in the hierarchies that these files lie in, from now on.
  void watch_hierarchies(const std::vector<std::string>& procs_files);
  // Listens to changes of the mounts that a process sees. One descriptor, until forget_mounts:
  // it keeps the mount namespace.
  void watch_mounts(const std::string& uid, const std::string& container, pid_t pid);
  void forget_mounts(const std::string& uid, const std::string& container);
  void set_shim_program(std::string program) { shim_program_ = std::move(program); }
  // mounts_changed: the daemon's own mounts changed, among which the pins of namespaces are.
  std::vector<WatchHint> take(bool& mounts_changed);

 private:
  struct Table {
    std::string uid;
    std::string container;
    UniqueFd fd;
  };
  bool add(int fd, std::uint64_t token, unsigned events);
  void take_writes(std::vector<WatchHint>& hints);
  bool is_of_shim(pid_t pid) const;

  UniqueFd epoll_;
  UniqueFd writes_;                        // fanotify
  std::map<std::uint64_t, Table> tables_;  // by token
  std::uint64_t next_token_ = 1;           // 0: writes_
  std::set<dev_t> marked_;                 // hierarchies that are listened to
  std::string shim_program_;
};

}  // namespace moored::watch
