// What the child does between clone and exec, as data: planned by the daemon, carried out here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/shim/record.hpp"
#include "schema/base/result.hpp"

namespace moored::shim {

// In the order in which they may come. Which member means what stands beside each.
enum class StepType {
  session,            // own session and keyring, not traceable
  private_mounts,     // mounts made here stay here
  overlay_root,       // target: where (host); list: lower directories, topmost first;
                      // source: upper; options: "work=<dir>" and flags
  mount,              // source: type; target: in the container; list: name=value; options: flags
  bind,               // source: host path; sub_path; target; options: flags
  own_volume,         // target becomes a mount of its own, with what is there
  devices,            // nodes and links in a fresh /dev at target
  console,            // opens a terminal for number (uid) and binds it on /dev/console
  cgroup_view,        // unshares the cgroup namespace
  mask,               // target reads as empty
  read_only,          // target and below cannot be written
  pivot,              // the container's root becomes /
  read_only_root,     // / itself cannot be written; what is mounted below keeps its flags
  working_directory,  // target; made when missing, owned by number (uid) and second (gid)
  limits,             // list: name=value; never above what this process may have
  bounding,           // number: capabilities kept in the bounding set
  seccomp_early,      // source: program file; before the rights go (no no_new_privs)
  ids,                // number: uid; second: gid; list: groups
  capabilities,       // number: permitted and effective
  no_new_privileges,
  ready,        // tells the shim and waits for START
  seccomp,      // source: program file
  environment,  // list: NAME=value
  execute,      // list: arguments
  pause,        // becomes pid 1 of a shared pid namespace: reaps, does nothing else
};

// The word of a type in files and reports.
const char* step_name(StepType type);

// One step. Members a type does not use are empty and not written.
struct Step {
  StepType type = StepType::session;
  std::string target;
  std::string source;
  std::string sub_path;
  std::string options;  // comma-separated words
  std::vector<std::string> list;
  std::uint64_t number = 0;
  std::uint64_t second = 0;
  bool operator==(const Step&) const = default;

  bool has_option(const std::string& word) const;
};

Record to_record(const Step& step);
// Errors: corrupt (a step this build does not know).
Result<Step> step_from(const Record& record);

}  // namespace moored::shim
