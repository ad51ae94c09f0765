// The agent's hand on pod networks: a seam of the simulation. Implemented by net/pod.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored {

// The network of one pod.
struct PodNetworkReport {
  std::string uid;
  std::string namespace_path;   // pinned network namespace
  std::string address;          // dotted IPv4, without prefix
};

// One part of a pod's network that is not as it should be.
struct NetworkDrift {
  std::string uid;              // empty: node-wide
  std::string field;            // address, route, neighbour, link, rule
  std::string desired;
  std::string observed;
};

// Thread safe. Every call is idempotent by uid.
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;
  // Makes or completes the namespace, veth pair, address and routes of a pod.
  // Errors: exhausted (no address is free), internal.
  virtual Result<PodNetworkReport> create(const std::string& uid) = 0;
  // Removes it; the address is not given out again for 60 s. A missing one is success.
  virtual Status remove(const std::string& uid) = 0;
  // What exists, from the address file in state-dir and the kernel.
  virtual Result<std::vector<PodNetworkReport>> list() = 0;
  // Compares with the kernel and puts right what differs; says what it found.
  virtual Result<std::vector<NetworkDrift>> correct() = 0;
  // The node's own address that pods and probes see.
  virtual std::string node_address() const = 0;
};

}  // namespace moored
