// Pods on routed point-to-point links: no bridge, one namespace, one pair, one route each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/link/address.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/pod_network.hpp"

namespace moored::net {

struct PodNetworkOptions {
  std::string instance;                       // six hex digits of the state directory's id
  std::string state_directory;                // the address file is <state>/network/addresses
  std::string run_directory;                  // namespaces are pinned on <run>/net/<uid>
  Ipv4Prefix pods{Ipv4{0x0ad10000}, 16};      // 10.209.0.0/16
  Ipv4Prefix services{Ipv4{0x0ad20000}, 16};  // 10.210.0.0/16
  std::vector<int> refused_ports;             // TCP ports of the node that pods must not reach
  std::string nft_program = "/usr/sbin/nft";
};

// The real PodNetwork, in the network namespace of the thread that opened it.
// Thread safe; calls that change something are carried out one after another.
class RoutedVethNetwork final : public PodNetwork {
 public:
  // Reads the address file and prepares the node: own address, routes, rules, forwarding.
  // Pods of an earlier daemon keep all they have; those that the address file does not know, or
  // all if it is damaged and set aside, are read off the kernel.
  // Errors: conflict (RangeInUse), denied, unavailable.
  static Result<std::unique_ptr<RoutedVethNetwork>> open(PodNetworkOptions options,
                                                         const Clock& clock);
  ~RoutedVethNetwork() override;

  Result<PodNetworkReport> create(const std::string& uid) override;
  Status remove(const std::string& uid) override;
  Result<std::vector<PodNetworkReport>> list() override;
  Result<std::vector<NetworkDrift>> correct(const NetworkModes& modes) override;
  int descriptor() const override;
  std::optional<std::string> take_hint() override;
  std::string node_address() const override;

  // Takes away everything of this instance: pods, rules, routes, address; puts forwarding back
  // when no other instance is left. For `moorctl down --all`. Idempotent.
  Status remove_all();

 private:
  class State;
  explicit RoutedVethNetwork(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::net
