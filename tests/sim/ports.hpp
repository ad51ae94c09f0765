// The daemon's hands on the machine, which fail and die as the dice say.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "schema/ports/image_store.hpp"
#include "schema/ports/pod_network.hpp"
#include "schema/ports/sandbox.hpp"
#include "tests/sim/machine.hpp"

namespace moored::sim {

// Whether a port may fail, or the daemon die in it.
struct PortFaults {
  Odds* odds = nullptr;
  Dice* dice = nullptr;

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
  Result<SimPod*> find_live(const std::string& uid);
  void make_mistakes(std::vector<SandboxReport>& reports) const;

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
