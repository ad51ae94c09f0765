// Finds drift by hints and by the sweep, keeps what is open, and tells each difference once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/agent/executor.hpp"
#include "runtime/agent/node_report.hpp"
#include "schema/model/drift_mode.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/pod_network.hpp"
#include "schema/ports/sandbox_watch.hpp"

namespace moored {
struct ContainerReport;
}

namespace moored::agent {

class DriftLedger;
enum class DriftScope;

// A pod of this node, as far as drift is concerned.
struct DriftSubject {
  Object object;
  DriftMode mode = DriftMode::correct;
  bool looked_at = false;  // it has a sandbox that should be as it was made
};
using DriftSubjects = std::map<std::string, DriftSubject>;  // by uid

// What the job of one look found, handed back on the owner's thread.
struct DriftNews {
  std::optional<std::vector<NetworkDrift>> network;  // else it was a look at pods
  bool failed = false;                               // nothing is known: what is open stays open
  std::vector<std::string> looked;
  std::vector<SandboxDrift> found;
};

// A container that only a new attempt puts right.
struct DriftRestart {
  std::string uid;
  std::string container;
};

struct DriftWatchOptions {
  std::string state_dir;                 // of drift.json: what is open, for a later daemon
  NodeFacts node;                        // what no pod has is the node's
  DriftMode drift = DriftMode::correct;  // of the node
};

// All outlives the watch and the executor's last job, which put may be called from.
struct DriftWatchPorts {
  SandboxWatch* watch = nullptr;  // none: only networks are looked at
  PodNetwork& network;
  FactSink& facts;
  Executor& executor;
  std::function<void(DriftNews)> put;       // hands the news to the owner's thread
  std::function<DriftSubjects()> subjects;  // as they are now; on the owner's thread
};

// Belongs to the agent's thread.
class DriftWatch {
 public:
  DriftWatch(DriftWatchOptions options, DriftWatchPorts ports);
  ~DriftWatch();

  // Takes over what an earlier daemon left open.
  void read_ledger();

  // ---- looks ----
  // News of the kernel, each with whom it names. They wait a moment for their company.
  void take_hints(Now now);
  // Begins the looks whose time has come; gives the pods that are looked at.
  std::vector<std::string> look_when_due(Now now);
  // Begins a look at every pod and at the network.
  void look_at_all();
  // The end of a look. Gives what is to be restarted.
  std::vector<DriftRestart> take(const DriftNews& news, Now now);

  // ---- what others found ----
  // Group values of a pod that differ; those with a correction were put right.
  void settle_limits(const Object& pod, std::vector<DriftRecord> found, Now now);
  // As in DriftLedger.
  void open_process(const Object& pod, const ContainerReport& report, bool restarts, Now now);
  void close_container(const std::string& uid, const std::string& container, Now now);
  void forget(const std::string& uid, Now now);
  // Nothing stays open of pods that there are none of any more.
  void forget_unknown(Now now);

  // ---- waiting ----
  // Descriptors that become readable with hints; -1: none are wanted now.
  int watch_descriptor() const;
  int network_descriptor() const;
  // When a look that waits for company is due.
  std::optional<MonoTime> find_next() const;

 private:
  // What a hint said of one pod.
  struct Hint {
    bool wanted = false;  // a look
    std::string actor;    // if the kernel named one
    MonoTime actor_since{};
  };
  void look_at(const DriftSubjects& subjects, const std::vector<std::string>& uids);
  void look_at_network(const DriftSubjects& subjects);
  void take_network(const DriftNews& news, Now now);
  void settle(const Object& pod, DriftScope scope, std::vector<DriftRecord> found, Now now);
  void post_all(const std::vector<DriftRecord>& records);
  void post(const DriftRecord& record);

  DriftWatchOptions options_;
  DriftWatchPorts ports_;
  std::unique_ptr<DriftLedger> ledger_;
  std::map<std::string, Hint> hints_;  // by uid of a pod that there is
  bool look_busy_ = false;
  bool network_busy_ = false;
  std::optional<MonoTime> look_at_;  // hints wait until then, to be answered together
  std::optional<MonoTime> network_look_at_;
  std::string network_actor_;  // of the newest hint
  MonoTime last_look_{};
};

}  // namespace moored::agent
