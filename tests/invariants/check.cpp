#include "tests/invariants/check.hpp"

#include <algorithm>

namespace moored::invariants {
namespace {

// Collects findings, each as one line.
class Findings {
 public:
  void add(const std::string& text) { lines_.push_back(text); }
  std::vector<std::string> take() {
    std::sort(lines_.begin(), lines_.end());
    lines_.erase(std::unique(lines_.begin(), lines_.end()), lines_.end());
    return std::move(lines_);
  }

 private:
  std::vector<std::string> lines_;
};

using PodsByUid = std::map<std::string, const RecordedPod*>;

PodsByUid index(const Recorded& recorded, Findings& findings) {
  PodsByUid pods;
  for (const auto& pod : recorded.pods) {
    if (!pods.emplace(pod.uid, &pod).second) findings.add("double: two pods have uid " + pod.uid);
  }
  return pods;
}

std::string describe(const PodsByUid& pods, const std::string& uid) {
  const auto found = pods.find(uid);
  return found == pods.end() ? uid : found->second->name + " (" + uid + ")";
}

// Things that carry the uid of a pod which is not recorded.
void check_orphans(const PodsByUid& pods, const Machine& machine, Findings& findings) {
  const auto check_one = [&](const std::string& uid, const std::string& what) {
    if (!uid.empty() && pods.count(uid) == 0) findings.add("orphan: " + what + " of no pod");
  };
  for (const auto& process : machine.processes) {
    check_one(process.pod_uid,
              "process " + std::to_string(process.pid) + " (" + process.command + ")");
  }
  for (const auto& [place, uid] : machine.pod_places) check_one(uid, place);
  for (const auto& [place, uid] : machine.mounts) check_one(uid, "mount " + place);
  for (const auto& uid : machine.pins) check_one(uid, "network namespace " + uid);
  for (const auto& [uid, allocation] : machine.allocations) {
    check_one(uid, "address " + allocation.address);
  }
}

void check_shims(const PodsByUid& pods, const Machine& machine, Findings& findings) {
  std::map<std::string, int> shims;
  for (const auto& process : machine.processes) {
    if (process.shim) ++shims[process.pod_uid];
  }
  for (const auto& [uid, count] : shims) {
    if (count > 1) {
      findings.add("double: " + std::to_string(count) + " shims of " + describe(pods, uid));
    }
  }
  for (const auto& [uid, pod] : pods) {
    if (pod->phase != "Running" || pod->deleting) continue;
    if (machine.sandboxes.count(uid) == 0) {
      findings.add("missing: " + describe(pods, uid) + " is Running without a sandbox");
    } else if (shims.count(uid) == 0) {
      findings.add("missing: " + describe(pods, uid) + " is Running without a shim");
    }
  }
}

void check_addresses(const PodsByUid& pods, const Machine& machine, Findings& findings) {
  std::map<std::string, std::string> holders;
  for (const auto& [uid, pod] : pods) {
    if (pod->address.empty() || pod->host_network || pod->over()) continue;
    const auto first = holders.emplace(pod->address, uid);
    if (!first.second) {
      findings.add("double: " + pod->address + " belongs to " + describe(pods, uid) + " and " +
                   describe(pods, first.first->second));
    }
    const auto allocation = machine.allocations.find(uid);
    if (allocation == machine.allocations.end()) {
      findings.add("missing: " + describe(pods, uid) + " has " + pod->address +
                   " in the store and nowhere else");
    } else if (allocation->second.address != pod->address) {
      findings.add("differs: " + describe(pods, uid) + " is recorded with " + pod->address +
                   " and was given " + allocation->second.address);
    }
  }
}

void check_links(const PodsByUid& pods, const Machine& machine, Findings& findings) {
  std::set<std::string> owned;
  std::set<std::string> routed;
  for (const auto& [uid, allocation] : machine.allocations) {
    owned.insert(allocation.link);
    routed.insert(allocation.address);
    if (pods.count(uid) == 0) continue;  // an orphan already
    const auto whose = " of " + describe(pods, uid);
    if (machine.pins.count(uid) == 0) findings.add("missing: network namespace" + whose);
    if (machine.links.count(allocation.link) == 0) {
      findings.add("missing: link " + allocation.link + whose);
    } else if (machine.link_routes.count(allocation.address) == 0) {
      findings.add("missing: route to " + allocation.address + whose);
    }
  }
  for (const auto& link : machine.links) {
    if (owned.count(link) == 0) findings.add("orphan: link " + link + " of no pod");
  }
  for (const auto& [address, link] : machine.link_routes) {
    if (routed.count(address) == 0) {
      findings.add("orphan: route to " + address + " by " + link + " of no pod");
    }
  }
  for (const auto& uid : machine.pins) {
    if (machine.allocations.count(uid) == 0) {
      findings.add("orphan: network namespace " + uid + " without an address");
    }
  }
}

void check_rules(const Recorded& recorded, const Machine& machine, Findings& findings) {
  if (!machine.claimed) return;  // no daemon has prepared this network
  if (!machine.node_rules) findings.add("missing: the table that guards the pods");
  for (const auto& [name, text] : recorded.rule_blocks) {
    const auto found = machine.rule_blocks.find(name);
    if (found == machine.rule_blocks.end()) {
      findings.add("missing: rules " + name);
    } else if (found->second != text) {
      findings.add("differs: rules " + name);
    }
  }
  for (const auto& [name, text] : machine.rule_blocks) {
    if (recorded.rule_blocks.count(name) == 0) findings.add("orphan: rules " + name);
  }
}

// More living pods than wanted, without a roll-out that could explain it: pods being deleted and
// those that are over do not count.
void check_replicas(const Recorded& recorded, Findings& findings) {
  std::map<std::string, int> living;
  for (const auto& pod : recorded.pods) {
    if (!pod.deleting && !pod.over() && !pod.owner_uid.empty()) ++living[pod.owner_uid];
  }
  for (const auto& [uid, count] : living) {
    const auto wanted = recorded.replicas.find(uid);
    if (wanted == recorded.replicas.end() || count <= wanted->second) continue;
    const auto name = recorded.set_names.find(uid);
    findings.add("double: ReplicaSet " +
                 (name == recorded.set_names.end() ? uid : name->second) + " has " +
                 std::to_string(count) + " pods instead of " + std::to_string(wanted->second));
  }
}

}  // namespace

std::vector<std::string> check(const Recorded& recorded, const Machine& machine) {
  Findings findings;
  const auto pods = index(recorded, findings);
  check_orphans(pods, machine, findings);
  check_shims(pods, machine, findings);
  check_addresses(pods, machine, findings);
  check_links(pods, machine, findings);
  check_rules(recorded, machine, findings);
  check_replicas(recorded, findings);
  for (const auto& place : machine.doubled_mounts) findings.add("double: mounts on " + place);
  for (const auto& path : machine.temporary_files) findings.add("leak: temporary file " + path);
  for (const auto& path : machine.dangling_links) findings.add("leak: " + path + " leads nowhere");
  return findings.take();
}

std::vector<std::string> check_gone(const Leftovers& left) {
  Findings findings;
  for (const auto& place : left.places) findings.add("left: " + place);
  return findings.take();
}

}  // namespace moored::invariants
