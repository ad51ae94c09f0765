// Carries recorded Services into packet rules: a follower.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "net/link/conntrack.hpp"
#include "net/link/packet_rules.hpp"
#include "net/link/rule_events.hpp"
#include "net/proxy/rules.hpp"
#include "schema/base/time.hpp"
#include "schema/model/drift_mode.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::net {

struct ProxyOptions {
  RuleOptions rules;
  std::string node_name;  // drift that belongs to no Service is told of this Node
  // Changes that only add wait until this long after the last transaction; removals never wait.
  std::chrono::milliseconds gather{50};
  std::chrono::seconds sweep{30};
  DriftMode drift = DriftMode::correct;  // of Services that do not say it themselves
};

// The three seams to the kernel.
struct ProxyKernel {
  std::unique_ptr<PacketRules> rules;
  std::unique_ptr<FlowTable> flows;
  std::unique_ptr<RuleEvents> events;
};
// The real ones, for the network namespace of the calling thread.
Result<ProxyKernel> open_proxy_kernel(std::string nft_program = "/usr/sbin/nft");

// One object serves one thread; run() is that thread's body. The rules outlive it: what was
// programmed goes on working while no daemon runs, and the next one takes it over untouched
// when it still fits.
class ServiceProxy {
 public:
  // Borrows state, signal, facts and clock for its life.
  ServiceProxy(ProxyOptions options, ProxyKernel kernel, const StateSource& state,
               RevisionSignal& signal, FactSink& facts, const Clock& clock);
  ~ServiceProxy();
  ServiceProxy(const ServiceProxy&) = delete;
  ServiceProxy& operator=(const ServiceProxy&) = delete;

  // Brings the kernel to the newest recorded state and posts ProxyApplied when that changed it,
  // or failed. Errors: those of PacketRules.
  Status step();
  // Compares the kernel with what was programmed; posts each difference as drift of field "rule"
  // and, unless all are only to be reported, puts everything right in one transaction. Cheap when
  // nobody made a transaction meanwhile.
  Status sweep();
  // Steps on every commit, sweeps on foreign transactions and on time, until told to stop.
  void run(std::stop_token stop);
  // Removes all Service rules of this instance: for `moorctl down --all`.
  Status remove_all();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace moored::net
