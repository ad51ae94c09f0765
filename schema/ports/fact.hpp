// What followers tell the core: facts, each with its cause. Facts are the only way in.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/base/time.hpp"
#include "schema/model/object.hpp"
#include "schema/model/pod_status.hpp"
#include "schema/ports/commit.hpp"

namespace moored {

// Who brought something about; becomes the audit row's who and why.
struct Cause {
  enum class Actor { commit, controller, kernel, operator_, clock } actor = Actor::controller;
  std::string name;    // commit author, controller name, operator as uid:N(process)
  std::string reason;  // revision, command line, observation
};

// A source was looked at. Carries either a revision or the error of the fetch.
struct SourceObserved {
  ObjectKey source;            // GitRepository
  std::string revision;        // branch@sha1:<40 hex>; empty with an error
  CommitInfo commit;
  Time seen_at;                // when the remote named the revision
  Time fetched_at;
  bool history_rewritten = false;
  std::optional<Error> error;
};

// A unit's tree was read completely, or refused with all its errors.
struct TreeLoaded {
  ObjectKey source;            // GitRepository
  ObjectKey unit;              // Kustomization
  std::string revision;
  CommitInfo commit;
  bool complete = false;       // every file was read, parsed and validated
  std::vector<Object> objects; // with provenance; empty when refused
  Diagnostics diagnostics;
  Time rendered_at;
  Time validated_at;
};

// The status of one pod as the node agent sees it.
struct PodObserved {
  ObjectKey pod;
  std::string uid;
  PodStatus status;
  bool gone = false;           // everything of it is removed from this machine
  std::optional<Time> started_at;  // first container of the pod running (for the receipt)
};

// The node's own status.
struct NodeObserved {
  ObjectKey node;
  std::string node_json;       // a Node object in canonical JSON
};

// Something happened to an object: becomes a Kubernetes Event, repeated ones raise its count.
struct EventObserved {
  ObjectReference object;
  bool warning = false;
  std::string reason;
  std::string message;
  std::string component;       // moored-agent, moored-scheduler, …
};

// Desired and observed differ in the kernel. Recorded once, closed by a second fact with the id.
struct DriftRecord {
  std::string id;              // stable while the same difference lasts
  ObjectKey object;
  std::string uid;
  std::string field;           // process, cgroup.memory.max, address, route, rule …
  std::string desired;
  std::string observed;
  std::string actor;           // likely actor where the kernel tells; empty
  Time onset;
  std::string correction;      // what was done; empty while open
  std::optional<Time> corrected_at;
};
struct DriftObserved {
  DriftRecord record;
};

// A person asked for something over the admin socket.
struct OperatorActed {
  std::string verb;            // sync, exec, image-import, image-rm, down, confirm
  std::string subject;         // what it was asked of
  unsigned uid = 0;
  std::string process;         // name and pid of the peer
  std::string result;          // asked, done, or failed: …
};

// What the packet rules hold now: the time at which a Service's endpoints were programmed.
struct ProxyApplied {
  std::int64_t resource_version = 0;
  std::optional<Error> error;
};

using Fact = std::variant<SourceObserved, TreeLoaded, PodObserved, NodeObserved, EventObserved,
                          DriftObserved, OperatorActed, ProxyApplied>;

// Where followers post. Thread safe; never blocks longer than a queue push.
class FactSink {
 public:
  virtual ~FactSink() = default;
  virtual void post(Fact fact, Cause cause) = 0;
};

}  // namespace moored
