// The machine under the daemon: sandboxes, containers, addresses. Survives every kill.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "schema/ports/image_store.hpp"
#include "schema/ports/pod_network.hpp"
#include "schema/ports/sandbox.hpp"
#include "tests/sim/chance.hpp"

namespace moored::sim {

// How an image behaves, read from its tag: good, slow (ready late), sick (never ready), crash (ends
// by itself), missing (cannot be pulled).
std::string behaviour_of(const std::string& image);

// One pod that exists on the machine.
struct SimPod {
  PodSandboxSpec spec;
  std::map<std::pair<std::string, int>, ContainerReport> containers;
  std::map<std::string, std::string> images;        // by container name
  std::map<std::string, CgroupLimits> limits;
  std::map<std::pair<std::string, int>, MonoTime> ends;  // containers that will end by themselves
  bool stopping = false;                            // a container of it was told to stop
};

class Machine {
 public:
  explicit Machine(const SimClock& clock) : clock_(clock) {}

  std::map<std::string, SimPod> pods;               // by uid
  std::map<std::string, std::string> addresses;     // by uid
  std::vector<SandboxEvent> events;                 // for the daemon that listens; lost with it
  std::vector<std::string> broken;                  // what must never happen, in words

  // Lets containers end whose time has come. True when one did.
  bool run_until_now();
  // When the next one ends by itself.
  std::optional<MonoTime> find_next_end() const;
  // Ends a container; its exit is an event.
  void end(const std::string& uid, const std::pair<std::string, int>& key, int code, int signal);
  // Ends a random running container as the kernel would. True when there was one.
  bool end_one(Dice& dice);

  // Whether the pod's containers all run and answer their probes.
  bool is_serving(const SimPod& pod) const;
  // Pods of an application that serve, apart from those being stopped.
  int count_serving(const std::string& application) const;
  void start(SimPod& pod, const std::pair<std::string, int>& key);
  std::string give_address(const std::string& uid);

 private:
  const SimClock& clock_;
  int next_address_ = 1;
};

// ---- the daemon's hands on the machine ----------------------------------------------------------

// Which mistakes the ports make when told so, and whether they may fail or die.
struct PortFaults {
  Odds* odds = nullptr;
  Dice* dice = nullptr;
  bool leaks_sandboxes = false;     // planted: remove_pod says yes and does nothing

  // Throws DaemonKilled or gives an error, as the dice say.
  void maybe_kill() const;
  bool fails(unsigned thousandths) const;
};

class SimSandbox final : public Sandbox {
 public:
  SimSandbox(Machine& machine, const SimClock& clock, PortFaults faults)
      : machine_(machine), clock_(clock), faults_(faults) {}

  Status create_pod(const PodSandboxSpec& spec, const std::string& net_namespace) override;
  Status create_container(const std::string& uid, const ContainerSpec& spec) override;
  Result<ContainerReport> start_container(const std::string& uid, const std::string& name,
                                          int attempt) override;
  Status signal_container(const std::string& uid, const std::string& name, int attempt, int signal,
                          bool all) override;
  Status remove_container(const std::string& uid, const std::string& name, int attempt) override;
  Status remove_pod(const std::string& uid) override;
  Status update_limits(const std::string& uid, const std::string& container,
                       const CgroupLimits& limits) override;
  Result<CgroupLimits> read_limits(const std::string& uid, const std::string& container) override;
  Result<std::vector<ContainerReport>> list_containers(const std::string& uid) override;
  Result<ProbeResult> run_probe(const std::string& uid, const ProbeRequest& request) override;
  Result<std::vector<SandboxReport>> adopt() override;
  std::vector<SandboxEvent> wait_events(std::chrono::milliseconds timeout) override;

 private:
  Status around(const std::function<Status()>& effect);

  Machine& machine_;
  const SimClock& clock_;
  PortFaults faults_;
};

class SimNetwork final : public PodNetwork {
 public:
  SimNetwork(Machine& machine, PortFaults faults) : machine_(machine), faults_(faults) {}
  Result<PodNetworkReport> create(const std::string& uid) override;
  Status remove(const std::string& uid) override;
  Result<std::vector<PodNetworkReport>> list() override;
  Result<std::vector<NetworkDrift>> correct(const NetworkModes&) override;
  std::string node_address() const override { return "10.209.0.1"; }

 private:
  Machine& machine_;
  PortFaults faults_;
};

class SimImages final : public ImageStore {
 public:
  explicit SimImages(std::string layer) : layer_(std::move(layer)) {}
  Result<ImageReport> find(const std::string& reference) override;
  Result<std::vector<ImageReport>> list() override { return std::vector<ImageReport>{}; }

 private:
  std::string layer_;   // an empty directory
};

}  // namespace moored::sim
