#include "tests/sim/ports.hpp"

#include <algorithm>

#include "schema/model/pod.hpp"
#include "tests/sim/planted.hpp"

namespace moored::sim {
namespace {

constexpr int kTerm = 15;
constexpr int kKill = 9;

}  // namespace

// ---- faults -------------------------------------------------------------------------------------

void PortFaults::maybe_kill() const {
  if (dice->hits(odds->kill_in_port)) throw DaemonKilled{};
}

bool PortFaults::fails(unsigned thousandths) const { return dice->hits(thousandths); }

// ---- the sandbox --------------------------------------------------------------------------------

// A call may fail without an effect, take effect and then fail, or never return to its daemon.
Status SimSandbox::around(const std::function<Status()>& effect) {
  faults_.maybe_kill();
  if (faults_.fails(faults_.odds->sandbox_fails)) {
    return fail(Code::unavailable, "the shim does not answer");
  }
  auto done = effect();
  faults_.maybe_kill();
  if (done && faults_.fails(faults_.odds->sandbox_fails / 2)) {
    return fail(Code::timeout, "the shim's answer was lost");
  }
  return done;
}

Result<SimPod*> SimSandbox::find_live(const std::string& uid) {
  const auto pod = machine_.pods.find(uid);
  if (pod == machine_.pods.end()) return fail(Code::not_found, "no such pod");
  if (!pod->second.shim_alive) return fail(Code::unavailable, "the shim is gone");
  return &pod->second;
}

Status SimSandbox::create_pod(const PodSandboxSpec& spec, const std::string&) {
  return around([&]() -> Status {
    const auto left = machine_.pods.find(spec.uid);
    if (left != machine_.pods.end() && !left->second.shim_alive) {
      return fail(Code::conflict, "what a dead shim left is still there");
    }
    machine_.pods[spec.uid].spec = spec;
    machine_.pods[spec.uid].limits[""] = spec.limits;
    return {};
  });
}

Status SimSandbox::create_container(const std::string& uid, const ContainerSpec& spec) {
  return around([&]() -> Status {
    MOORED_TRY(SimPod* const pod, find_live(uid));
    auto [entry, is_new] = pod->containers.try_emplace({spec.name, spec.attempt});
    if (!is_new) return {};
    entry->second.name = spec.name;
    entry->second.attempt = spec.attempt;
    entry->second.container_id = spec.container_id;
    entry->second.phase = ContainerPhase::created;
    // The first argument is the image's entrypoint, which names the image.
    pod->images[spec.name] = spec.arguments.at(0);
    pod->limits[spec.name] = spec.limits;
    return {};
  });
}

Result<ContainerReport> SimSandbox::start_container(const std::string& uid,
                                                    const std::string& name, int attempt) {
  ContainerReport report;
  MOORED_CHECK(around([&]() -> Status {
    MOORED_TRY(SimPod* const pod, find_live(uid));
    if (pod->containers.count({name, attempt}) == 0) {
      return fail(Code::not_found, "no such container");
    }
    if (pod->containers.at({name, attempt}).phase == ContainerPhase::exited) {
      return fail(Code::conflict, "container " + name + " is exited");
    }
    machine_.start(*pod, {name, attempt});
    report = pod->containers.at({name, attempt});
    return {};
  }));
  machine_.pods.at(uid).known.insert({name, attempt});
  return report;
}

// Nothing that runs and is known to run is killed without having been asked to end.
Status SimSandbox::signal_container(const std::string& uid, const std::string& name, int attempt,
                                    int signal, bool) {
  if (is_planted(Planted::brutal_stop) && signal == kTerm) signal = kKill;
  return around([&]() -> Status {
    MOORED_TRY(SimPod* const pod, find_live(uid));
    const std::pair<std::string, int> key{name, attempt};
    const auto found = pod->containers.find(key);
    if (found == pod->containers.end()) return fail(Code::not_found, "no such container");
    const bool runs = found->second.phase == ContainerPhase::running;
    if (signal == kKill && runs && pod->known.count(key) > 0 && pod->asked.count(key) == 0) {
      machine_.broken.push_back(pod->spec.name + "/" + name + " was killed without a warning");
    }
    machine_.signal(uid, key, signal);
    return {};
  });
}

Status SimSandbox::remove_container(const std::string& uid, const std::string& name, int attempt) {
  return around([&]() -> Status {
    const auto pod = machine_.pods.find(uid);
    if (pod == machine_.pods.end()) return {};
    const auto found = pod->second.containers.find({name, attempt});
    if (found == pod->second.containers.end()) return {};
    if (found->second.phase != ContainerPhase::exited) {
      return fail(Code::conflict, "container " + name + " has not ended");
    }
    pod->second.containers.erase(found);
    return {};
  });
}

Status SimSandbox::remove_pod(const std::string& uid) {
  return around([&]() -> Status {
    const auto pod = machine_.pods.find(uid);
    if (pod == machine_.pods.end()) return {};
    for (const auto& [key, report] : pod->second.containers) {
      if (report.phase != ContainerPhase::exited) {
        return fail(Code::conflict, "container " + key.first + " has not ended");
      }
    }
    if (!is_planted(Planted::leaked_sandboxes)) machine_.pods.erase(pod);
    return {};
  });
}

Status SimSandbox::update_limits(const std::string& uid, const std::string& container,
                                 const CgroupLimits& limits) {
  return around([&]() -> Status {
    const auto pod = machine_.pods.find(uid);
    if (pod == machine_.pods.end()) return fail(Code::not_found, "no such pod");
    pod->second.limits[container] = limits;
    return {};
  });
}

Result<CgroupLimits> SimSandbox::read_limits(const std::string& uid,
                                             const std::string& container) {
  const auto pod = machine_.pods.find(uid);
  if (pod == machine_.pods.end()) return fail(Code::not_found, "no such pod");
  return pod->second.limits[container];
}

Result<std::vector<ContainerReport>> SimSandbox::list_containers(const std::string& uid) {
  std::vector<ContainerReport> found;
  const auto pod = machine_.pods.find(uid);
  if (pod == machine_.pods.end()) return found;
  for (const auto& [key, report] : pod->second.containers) found.push_back(report);
  return found;
}

Result<ProbeResult> SimSandbox::run_probe(const std::string& uid, const ProbeRequest& request) {
  faults_.maybe_kill();
  MOORED_TRY(const SimPod* const pod, find_live(uid));
  // A probe answers for its container as it is now, whatever it was told about stopping.
  ProbeResult result;
  result.outcome = ProbeResult::Outcome::failure;
  const auto image = pod->images.find(request.container);
  if (image == pod->images.end()) return result;
  const std::string behaviour = behaviour_of(image->second);
  for (const auto& [key, report] : pod->containers) {
    if (key.first != request.container || report.phase != ContainerPhase::running) continue;
    const bool warm = *report.started_at + warm_up_of(behaviour) <= clock_.now().wall;
    const bool well = (warm && behaviour != "sick") || is_planted(Planted::flattering_probe);
    if (well) result.outcome = ProbeResult::Outcome::success;
  }
  return result;
}

Result<std::vector<SandboxReport>> SimSandbox::adopt() {
  faults_.maybe_kill();
  if (faults_.fails(faults_.odds->sandbox_fails)) {
    return fail(Code::unavailable, "the run directory cannot be read");
  }
  std::vector<SandboxReport> reports;
  for (const auto& [uid, pod] : machine_.pods) {
    SandboxReport report;
    report.spec = pod.spec;
    report.shim_alive = pod.shim_alive;
    for (const auto& [key, container] : pod.containers) report.containers.push_back(container);
    reports.push_back(std::move(report));
  }
  make_mistakes(reports);
  return reports;
}

// Planted: what a daemon could get wrong about what an earlier one left.
void SimSandbox::make_mistakes(std::vector<SandboxReport>& reports) const {
  if (is_planted(Planted::blind_adoption)) reports.clear();
  for (SandboxReport& report : reports) {
    for (ContainerReport& container : report.containers) {
      const bool runs = container.phase == ContainerPhase::running;
      const bool ended = container.phase == ContainerPhase::exited;
      if (is_planted(Planted::adopted_as_dead) && runs) container.phase = ContainerPhase::exited;
      if (is_planted(Planted::unseen_exits) && ended) container.phase = ContainerPhase::running;
    }
  }
}

std::vector<SandboxEvent> SimSandbox::wait_events(std::chrono::milliseconds) {
  std::vector<SandboxEvent> came;
  came.swap(machine_.events);
  std::erase_if(came, [](const SandboxEvent& event) {
    return event.type == SandboxEvent::Type::exited ? is_planted(Planted::lost_exits)
                                                    : is_planted(Planted::lost_shim_deaths);
  });
  return came;
}

// ---- network and images -------------------------------------------------------------------------

Result<PodNetworkReport> SimNetwork::create(const std::string& uid) {
  faults_.maybe_kill();
  if (faults_.fails(faults_.odds->network_fails)) {
    return fail(Code::exhausted, "no address is free");
  }
  PodNetworkReport report{uid, "/run/netns/" + uid, machine_.give_address(uid)};
  faults_.maybe_kill();
  return report;
}

Status SimNetwork::remove(const std::string& uid) {
  faults_.maybe_kill();
  if (faults_.fails(faults_.odds->network_fails)) return fail(Code::internal, "the link is busy");
  if (!is_planted(Planted::leaked_addresses)) machine_.addresses.erase(uid);
  return {};
}

Result<std::vector<PodNetworkReport>> SimNetwork::list() {
  std::vector<PodNetworkReport> found;
  for (const auto& [uid, address] : machine_.addresses) {
    found.push_back({uid, "/run/netns/" + uid, address});
  }
  return found;
}

Result<std::vector<NetworkDrift>> SimNetwork::correct(const NetworkModes&) {
  return std::vector<NetworkDrift>{};
}

Result<ImageReport> SimImages::find(const std::string& reference) {
  if (behaviour_of(reference) == "missing") {
    return fail(Code::not_found, "no such image: " + reference);
  }
  ImageReport image;
  image.name = reference;
  image.digest = "sha256:" + std::string(64, 'a');
  image.layers = {layer_};
  image.entrypoint = {reference};
  image.stop_signal = "SIGTERM";
  return image;
}

}  // namespace moored::sim
