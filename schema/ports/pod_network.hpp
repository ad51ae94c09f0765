// The agent's hand on pod networks: a seam of the simulation. Implemented by net/pod.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/drift_mode.hpp"

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
  std::string actor;            // likely, where the kernel tells; empty
  bool corrected = true;
};

// What to do about the differences of each network.
struct NetworkModes {
  DriftMode node = DriftMode::correct;      // node-wide, and of pods that are not named
  std::map<std::string, DriftMode> pods;    // by uid
  DriftMode of(const std::string& uid) const {
    const auto found = pods.find(uid);
    return found == pods.end() ? node : found->second;
  }
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
  // Compares with the kernel; puts right and says what differs, as far as the modes say so.
  virtual Result<std::vector<NetworkDrift>> correct(const NetworkModes& modes) = 0;
  // Becomes readable when somebody else changed links, addresses, routes or rules of ours; -1: no
  // such news.
  virtual int descriptor() const { return -1; }
  // Takes that news. Nothing: there was none. The text is the likely actor, empty when unknown.
  virtual std::optional<std::string> take_hint() { return std::nullopt; }
  // The node's own address that pods and probes see.
  virtual std::string node_address() const = 0;
};

}  // namespace moored
