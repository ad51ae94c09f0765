#include "tests/sim/machine.hpp"

#include <algorithm>

namespace moored::sim {
namespace {

constexpr Duration kWarmUp = std::chrono::seconds(2);       // good images answer after this
constexpr Duration kSlowWarmUp = std::chrono::seconds(15);
constexpr Duration kCrashLife = std::chrono::seconds(1);
constexpr int kTerm = 15;
constexpr int kKill = 9;

bool is_live(const ContainerReport& report) {
  return report.phase == ContainerPhase::created || report.phase == ContainerPhase::running;
}

Duration warm_up_of(const std::string& behaviour) {
  return behaviour == "slow" ? kSlowWarmUp : kWarmUp;
}

}  // namespace

std::string behaviour_of(const std::string& image) {
  const auto colon = image.rfind(':');
  const std::string tag = colon == std::string::npos ? std::string() : image.substr(colon + 1);
  return tag.substr(0, tag.find('-'));
}

bool Machine::run_until_now() {
  bool any = false;
  for (auto& [uid, pod] : pods) {
    std::vector<std::pair<std::string, int>> due;
    for (const auto& [key, at] : pod.ends) {
      if (at <= clock_.now().mono) due.push_back(key);
    }
    for (const auto& key : due) {
      pod.ends.erase(key);
      end(uid, key, 1, 0);
      any = true;
    }
  }
  return any;
}

std::optional<MonoTime> Machine::find_next_end() const {
  std::optional<MonoTime> next;
  for (const auto& [uid, pod] : pods) {
    for (const auto& [key, at] : pod.ends) next = std::min(next.value_or(at), at);
  }
  return next;
}

void Machine::end(const std::string& uid, const std::pair<std::string, int>& key, int code,
                  int signal) {
  SimPod& pod = pods.at(uid);
  ContainerReport& report = pod.containers.at(key);
  pod.ends.erase(key);
  if (report.phase == ContainerPhase::exited) return;
  report.phase = ContainerPhase::exited;
  report.exit_code = code;
  report.signal = signal;
  report.finished_at = clock_.now().wall;
  events.push_back({SandboxEvent::Type::exited, uid, report});
}

bool Machine::end_one(Dice& dice) {
  std::vector<std::pair<std::string, std::pair<std::string, int>>> running;
  for (const auto& [uid, pod] : pods) {
    for (const auto& [key, report] : pod.containers) {
      if (report.phase == ContainerPhase::running) running.emplace_back(uid, key);
    }
  }
  if (running.empty()) return false;
  const auto& victim = running[dice.below(running.size())];
  end(victim.first, victim.second, 137, kKill);
  return true;
}

bool Machine::is_serving(const SimPod& pod) const {
  if (pod.stopping || pod.images.empty()) return false;
  for (const auto& [name, image] : pod.images) {
    const std::string behaviour = behaviour_of(image);
    if (behaviour != "good" && behaviour != "slow") return false;
    bool runs = false;
    for (const auto& [key, report] : pod.containers) {
      if (key.first != name || report.phase != ContainerPhase::running) continue;
      runs = *report.started_at + warm_up_of(behaviour) <= clock_.now().wall;
    }
    if (!runs) return false;
  }
  return true;
}

int Machine::count_serving(const std::string& application) const {
  int count = 0;
  for (const auto& [uid, pod] : pods) {
    if (pod.spec.name.rfind(application + '-', 0) == 0 && is_serving(pod)) ++count;
  }
  return count;
}

void Machine::start(SimPod& pod, const std::pair<std::string, int>& key) {
  for (const auto& [other, report] : pod.containers) {
    if (other.first == key.first && other.second != key.second && is_live(report)) {
      broken.push_back("two attempts of " + pod.spec.name + "/" + key.first + " live at once");
    }
  }
  ContainerReport& report = pod.containers.at(key);
  if (report.phase == ContainerPhase::running) return;
  report.phase = ContainerPhase::running;
  report.pid = 100 + static_cast<std::int32_t>(pods.size());
  report.started_at = clock_.now().wall;
  const bool crashes = behaviour_of(pod.images.at(key.first)) == "crash";
  if (crashes) pod.ends[key] = clock_.now().mono + kCrashLife;
}

std::string Machine::give_address(const std::string& uid) {
  const auto found = addresses.find(uid);
  if (found != addresses.end()) return found->second;
  const int n = next_address_++;
  return addresses[uid] = "10.209." + std::to_string(1 + n / 250) + '.' +
                          std::to_string(1 + n % 250);
}

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

Status SimSandbox::create_pod(const PodSandboxSpec& spec, const std::string&) {
  return around([&]() -> Status {
    machine_.pods[spec.uid].spec = spec;
    machine_.pods[spec.uid].limits[""] = spec.limits;
    return {};
  });
}

Status SimSandbox::create_container(const std::string& uid, const ContainerSpec& spec) {
  return around([&]() -> Status {
    const auto pod = machine_.pods.find(uid);
    if (pod == machine_.pods.end()) return fail(Code::not_found, "no such pod");
    auto [entry, is_new] = pod->second.containers.try_emplace({spec.name, spec.attempt});
    if (!is_new) return {};
    entry->second.name = spec.name;
    entry->second.attempt = spec.attempt;
    entry->second.container_id = spec.container_id;
    entry->second.phase = ContainerPhase::created;
    // The first argument is the image's entrypoint, which names the image.
    pod->second.images[spec.name] = spec.arguments.at(0);
    pod->second.limits[spec.name] = spec.limits;
    return {};
  });
}

Result<ContainerReport> SimSandbox::start_container(const std::string& uid,
                                                    const std::string& name, int attempt) {
  ContainerReport report;
  MOORED_CHECK(around([&]() -> Status {
    const auto pod = machine_.pods.find(uid);
    if (pod == machine_.pods.end() || pod->second.containers.count({name, attempt}) == 0) {
      return fail(Code::not_found, "no such container");
    }
    if (pod->second.containers.at({name, attempt}).phase == ContainerPhase::exited) {
      return fail(Code::conflict, "container " + name + " is exited");
    }
    machine_.start(pod->second, {name, attempt});
    report = pod->second.containers.at({name, attempt});
    return {};
  }));
  return report;
}

Status SimSandbox::signal_container(const std::string& uid, const std::string& name, int attempt,
                                    int signal, bool) {
  return around([&]() -> Status {
    const auto pod = machine_.pods.find(uid);
    if (pod == machine_.pods.end() || pod->second.containers.count({name, attempt}) == 0) {
      return fail(Code::not_found, "no such container");
    }
    pod->second.stopping = true;
    if (signal == kTerm || signal == kKill) {
      machine_.end(uid, {name, attempt}, signal == kTerm ? 0 : 137, signal == kTerm ? 0 : kKill);
    }
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
    if (!faults_.leaks_sandboxes) machine_.pods.erase(pod);
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
  const auto pod = machine_.pods.find(uid);
  if (pod == machine_.pods.end()) return fail(Code::not_found, "no such pod");
  // A probe answers for its container as it is now, whatever it was told about stopping.
  ProbeResult result;
  result.outcome = ProbeResult::Outcome::failure;
  const auto image = pod->second.images.find(request.container);
  if (image == pod->second.images.end()) return result;
  const std::string behaviour = behaviour_of(image->second);
  for (const auto& [key, report] : pod->second.containers) {
    if (key.first != request.container || report.phase != ContainerPhase::running) continue;
    const bool warm = *report.started_at + warm_up_of(behaviour) <= clock_.now().wall;
    if (warm && behaviour != "sick") result.outcome = ProbeResult::Outcome::success;
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
    report.shim_alive = true;
    for (const auto& [key, container] : pod.containers) report.containers.push_back(container);
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<SandboxEvent> SimSandbox::wait_events(std::chrono::milliseconds) {
  std::vector<SandboxEvent> came;
  came.swap(machine_.events);
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
  machine_.addresses.erase(uid);
  return {};
}

Result<std::vector<PodNetworkReport>> SimNetwork::list() {
  std::vector<PodNetworkReport> found;
  for (const auto& [uid, address] : machine_.addresses) {
    found.push_back({uid, "/run/netns/" + uid, address});
  }
  return found;
}

Result<std::vector<NetworkDrift>> SimNetwork::correct(const NetworkModes&) { return std::vector<NetworkDrift>{}; }

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
