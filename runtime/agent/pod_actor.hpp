// Carries out a pod's actions: the only place where the agent touches sandboxes and networks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/model/object.hpp"
#include "schema/model/quantity.hpp"

namespace moored {
class ImageStore;
class PodNetwork;
class Sandbox;
class SandboxWatch;
class StateSource;
struct ContainerReport;
struct ContainerSpec;
struct DriftRecord;
struct ImageReport;
struct ObtainedImage;
struct Pod;
struct Container;
}  // namespace moored

namespace moored::agent {

class VolumeStore;
struct Action;
struct FieldContext;
struct Outcome;

// What the machine offers to pods.
struct Machine {
  std::string node_name;
  std::string log_dir;
  std::string resolv_conf = "/etc/resolv.conf";
  std::string hosts = "/etc/hosts";
  MilliCpu cpu;        // allocatable
  Bytes memory;        // allocatable
};

// A pod as it was when its actions were decided. Owns its copies: the agent may go on.
struct ActorPod {
  Object object;            // Pod
  std::string address;
  std::map<std::string, int> stop_signals;  // of running containers; 0 or absent: ask the image
  int sandboxes_made = 0;
};

// Thread safe for different pods; for one pod only probes and hooks may overlap.
class PodActor {
 public:
  PodActor(Sandbox& sandbox, PodNetwork& network, ImageStore& images, const StateSource& source,
           const Clock& clock, const VolumeStore& volumes, Machine machine,
           SandboxWatch* watch = nullptr);

  // Does one thing and says how it ended. Never throws; failures are in the outcome.
  Outcome perform(const ActorPod& pod, const Action& action) const;
  // Brings changed ConfigMaps and Secrets into the volumes of a running pod.
  Status refresh_volumes(const ActorPod& pod) const;
  // Compares the cgroup values of the pod and its running containers with what is desired and, if
  // that is wanted, puts right what differs. One drift record (without id and times) for each value
  // that differed; with a correction where there was one.
  Result<std::vector<DriftRecord>> compare_group_limits(const ActorPod& pod,
                                                        const std::vector<std::string>& running,
                                                        bool correct) const;

 private:
  Status prepare(const ActorPod& pod, Outcome& outcome) const;
  Status write_etc_files(const Pod& pod, const std::string& address, Outcome& outcome) const;
  Status start(const ActorPod& pod, Outcome& outcome) const;
  Result<ContainerReport> start_attempt(const std::string& uid, const Action& action) const;
  Result<ObtainedImage> obtain_image(const Pod& pod, const Container& container,
                                     Outcome& outcome) const;
  Result<ContainerSpec> make_spec(const ActorPod& pod, const Container& container,
                                  const ImageReport& image, Outcome& outcome) const;
  Status signal(const ActorPod& pod, const Action& action) const;
  Status reset(const std::string& uid) const;
  Status remove(const Pod& pod, bool with_logs) const;
  Status run_hook(const ActorPod& pod, Outcome& outcome) const;
  Status run_probe(const ActorPod& pod, Outcome& outcome) const;
  FieldContext make_context(const Pod& pod, const std::string& address) const;

  Sandbox& sandbox_;
  PodNetwork& network_;
  ImageStore& images_;
  const StateSource& source_;
  const Clock& clock_;
  const VolumeStore& volumes_;
  Machine machine_;
  SandboxWatch* watch_;
};

}  // namespace moored::agent
