#include "tests/sim/machine.hpp"

#include <algorithm>

namespace moored::sim {
namespace {

constexpr Duration kWarmUp = std::chrono::seconds(2);       // good images answer after this
constexpr Duration kSlowWarmUp = std::chrono::seconds(15);
constexpr Duration kCrashLife = std::chrono::seconds(1);
constexpr int kKill = 9;
// A container that ends again and again is started at once, then after 10 s, 20 s, …
constexpr std::size_t kMaxStarts = 4;
constexpr Duration kStartWindow = std::chrono::seconds(10);

bool is_healthy(const std::string& behaviour) {
  return behaviour == "good" || behaviour == "slow" || behaviour == "stubborn";
}

bool is_live(const ContainerReport& report) {
  return report.phase == ContainerPhase::created || report.phase == ContainerPhase::running;
}

}  // namespace

Duration warm_up_of(const std::string& behaviour) {
  return behaviour == "slow" ? kSlowWarmUp : kWarmUp;
}

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

bool Machine::lose_shim(Dice& dice) {
  std::vector<std::string> living;
  for (const auto& [uid, pod] : pods) {
    if (pod.shim_alive) living.push_back(uid);
  }
  if (living.empty()) return false;
  const std::string& uid = living[dice.below(living.size())];
  SimPod& pod = pods.at(uid);
  pod.shim_alive = false;
  bereaved.insert(uid);
  pod.starts.clear();
  pod.ends.clear();
  // Nobody is left who could tell how they ended.
  for (auto& [key, report] : pod.containers) {
    if (report.phase == ContainerPhase::exited) continue;
    report.phase = ContainerPhase::exited;
    report.exit_code = 137;
    report.signal = kKill;
    report.finished_at = clock_.now().wall;
  }
  events.push_back({SandboxEvent::Type::shim_lost, uid, {}});
  return true;
}

void Machine::reboot() {
  for (const auto& [uid, pod] : pods) bereaved.insert(uid);
  pods.clear();
  addresses.clear();
  events.clear();
}

void Machine::forget_pace() {
  for (auto& [uid, pod] : pods) pod.starts.clear();
}

void Machine::watch_pace(SimPod& pod, const std::string& container) {
  auto& starts = pod.starts[container];
  const MonoTime now = clock_.now().mono;
  starts.push_back(now);
  while (starts.front() + kStartWindow < now) starts.pop_front();
  if (starts.size() <= kMaxStarts) return;
  broken.push_back(pod.spec.name + "/" + container + " was started " +
                   std::to_string(starts.size()) + " times within 10 s");
}

void Machine::signal(const std::string& uid, const std::pair<std::string, int>& key, int number) {
  SimPod& pod = pods.at(uid);
  pod.stopping = true;
  const bool stubborn = behaviour_of(pod.images[key.first]) == "stubborn";
  if (number == kKill) return end(uid, key, 137, kKill);
  pod.asked.insert(key);
  if (!stubborn) end(uid, key, 0, 0);
}

bool Machine::is_serving(const SimPod& pod) const {
  if (pod.stopping || pod.images.empty()) return false;
  for (const auto& [name, image] : pod.images) {
    const std::string behaviour = behaviour_of(image);
    if (!is_healthy(behaviour)) return false;
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
  watch_pace(pod, key.first);
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

}  // namespace moored::sim
