// What is to be done for a pod, how it ended, and the news it makes. Values only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

enum class ProbeKind { startup, liveness, readiness };

// A piece of news about a pod, to become a Kubernetes Event.
struct Note {
  bool warning = false;
  std::string reason;
  std::string message;
  std::string container;  // empty: the pod itself
  bool operator==(const Note&) const = default;
};

// What is to be done for a pod. Batches run in order; probes and hooks run beside them.
struct Action {
  enum class Type {
    prepare,     // volumes, network, shim
    start,       // find the image, make and start one attempt
    signal,      // the stop signal, to process 1 only
    kill,        // SIGKILL to everything of the container
    collect,     // let the sandbox forget an ended attempt
    reset,       // take away what a lost shim left, keep volumes
    release,     // the pod is over: take away shim, network and volumes, keep its logs
    remove,      // the same, and the logs: the pod is gone
    post_start,  // hooks and probes: run beside the rest
    pre_stop,
    probe,
  };
  Type type = Type::prepare;
  std::string container;
  int attempt = 0;
  ProbeKind probe = ProbeKind::readiness;
  Duration timeout{};
  bool operator==(const Action&) const = default;
};

// True for what may overlap with other work of its pod.
inline bool runs_beside(Action::Type type) {
  return type == Action::Type::post_start || type == Action::Type::pre_stop ||
         type == Action::Type::probe;
}

// How an action ended.
struct Outcome {
  Action action;
  std::optional<Error> error;
  std::optional<ContainerReport> report;  // start
  std::string address;                    // prepare
  std::string image, image_id;            // start
  std::string container_id;               // start
  int stop_signal = 0;                    // start
  struct Fetched {
    Duration took{}, waited{};
    std::int64_t size_bytes = 0;
  };
  std::optional<Fetched> fetched;         // start: the image came from a registry
  std::vector<std::string> missing_pull_secrets;  // start
  std::optional<ProbeResult> probe;       // probes and hooks
  std::vector<Note> notes;                // what was met on the way
};

}  // namespace moored::agent
