// What must be true of a machine that moored runs on, as a pure comparison of two readings.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace moored::invariants {

// One pod as the store records it.
struct RecordedPod {
  std::string uid;
  std::string name;         // namespace/name
  std::string phase;
  std::string address;      // podIP; empty: none
  std::string owner_uid;    // of its controller
  bool host_network = false;
  bool deleting = false;
  bool over() const { return phase == "Succeeded" || phase == "Failed"; }
};

// What is recorded, and the names of what may therefore exist.
struct Recorded {
  std::vector<RecordedPod> pods;
  std::map<std::string, int> replicas;  // ReplicaSet uid to spec.replicas
  std::map<std::string, std::string> set_names;
  std::map<std::string, std::string> rule_blocks;  // wanted packet rules of Services
};

// One process of a pod or a shim.
struct FoundProcess {
  int pid = 0;
  std::string command;
  std::string pod_uid;      // empty: not in a pod's group
  bool shim = false;
};

// One pod's entry in the address file.
struct FoundAllocation {
  std::string address;
  std::string link;
};

// What was found on the machine. Places are what a person can look at: paths, names.
struct Machine {
  std::vector<FoundProcess> processes;
  std::map<std::string, std::string> pod_places;   // place to uid: cgroups, directories, volumes
  std::map<std::string, std::string> mounts;       // mount point to uid (empty: the node's)
  std::vector<std::string> doubled_mounts;
  std::set<std::string> sandboxes;                 // uids with a directory in run-dir/pods
  std::map<std::string, FoundAllocation> allocations;  // by uid
  std::set<std::string> pins;                      // uids with a pinned network namespace
  std::set<std::string> links;                     // with the instance's prefix
  std::map<std::string, std::string> link_routes;  // /32 destination to link, of those links
  bool node_rules = false;                         // the guard table exists
  bool claimed = false;                            // the shared table knows the instance
  std::map<std::string, std::string> rule_blocks;  // of Services
  std::vector<std::string> temporary_files;
  std::vector<std::string> dangling_links;         // of the image store
};

// One line for each leak, orphan, double and gap; empty: clean. Sorted.
std::vector<std::string> check(const Recorded& recorded, const Machine& machine);

// What is left after everything was taken down, as places; must be empty.
struct Leftovers {
  std::vector<std::string> places;
};
std::vector<std::string> check_gone(const Leftovers& left);

}  // namespace moored::invariants
