// The Node object of this machine.
#pragma once

#include <string>

#include "schema/model/cluster.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// What the machine says about itself.
struct NodeFacts {
  std::string name;
  std::string address;          // InternalIP
  MilliCpu cpu;
  Bytes memory;
  Bytes storage;                // of the file system that holds state-dir
  int max_pods = 500;
  std::string architecture;     // as Kubernetes spells it: amd64, arm64
  std::string kernel_version;
  std::string os_image;
  std::string machine_id;
  std::string system_uuid;
  std::string boot_id;
  std::string pod_cidr;
};

// Asks the machine. What cannot be read stays empty. address and pod_cidr are the caller's to fill.
NodeFacts read_node_facts(const std::string& name, const std::string& state_dir);

// The Node as it is to be recorded. Pure. before is the recorded Node, or nullptr: its conditions
// keep their transition times and its other labels and taints stay.
Node make_node(const NodeFacts& facts, const Node* before, Time now);

}  // namespace moored
