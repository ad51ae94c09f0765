#include "runtime/watch/kernel_watch.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "runtime/watch/compare.hpp"
#include "runtime/watch/hints.hpp"
#include "runtime/watch/made.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"

namespace moored::watch {
namespace {

using Remedy = SandboxDrift::Remedy;
using Namespaces = std::map<ino_t, std::vector<pid_t>>;

constexpr const char* kPauseName = ".pause";
// Writes to groups of others are followed up no more often than this.
constexpr std::chrono::seconds kMovePause{1};

// Several containers see the same frozen group of their pod: told once.
void take_once(std::vector<Finding> findings, std::vector<Finding>& all,
               std::set<std::string>& fields) {
  for (auto& finding : findings) {
    if (fields.insert(finding.drift.field).second) all.push_back(std::move(finding));
  }
}

// Carries out what can be done here, and says what was.
SandboxDrift settle(Finding finding, const WatchOrder& order) {
  auto& drift = finding.drift;
  drift.uid = order.uid;
  const std::string done = std::exchange(drift.correction, {});
  if (!order.correct || !finding.put_back) return std::move(drift);
  const auto status = finding.put_back();
  if (status) {
    drift.correction = done;
  } else {
    log(LogLevel::warning, "drift cannot be put right, the next look tries again",
        {{"uid", order.uid}, {"field", drift.field}, {"error", status.error().text()}});
  }
  return std::move(drift);
}

// The first process of a container, and where it was when that was first looked at.
struct Membership {
  pid_t pid = 0;
  std::string groups;
};

// What is known of pods with a container that was begun.
struct Known {
  std::map<std::string, std::string> begun;          // uid/container to the attempt's directory
  std::map<std::string, MadePod> pods;               // by uid
  KnownContainers containers;                        // by directory
  std::map<std::string, Membership> memberships;     // by directory
  bool moved = false;                                // somebody wrote to a group of others
  std::chrono::steady_clock::time_point moved_at{};  // when that was followed up last
};

// The groups of a process in every hierarchy; empty: it has ended.
std::string read_membership(pid_t pid) {
  return read_file("/proc/" + std::to_string(pid) + "/cgroup", 16384).value_or("");
}

// Every pod that comes or goes changes our mounts: only those that lost a pin are told.
void add_lost_pins(const std::map<std::string, MadePod>& pods, std::vector<WatchHint>& hints) {
  for (const auto& [uid, pod] : pods) {
    std::vector<Finding> lost;
    compare_pins(pod, lost);
    if (!lost.empty()) hints.push_back({uid, {}});
  }
}

// A write to a group of others may have taken a process of ours away: of each container the first
// process is looked at, others are found by the sweep.
void add_moved(const Known& known, const std::string& actor, std::vector<WatchHint>& hints) {
  for (const auto& [name, directory] : known.begun) {
    const auto before = known.memberships.find(directory);
    if (before == known.memberships.end()) continue;
    const auto now = read_membership(before->second.pid);
    if (!now.empty() && now != before->second.groups) {
      hints.push_back({name.substr(0, name.find('/')), actor});
    }
  }
}

}  // namespace

struct KernelWatch::State {
  explicit State(std::string run) : run_dir(std::move(run)) {}

  std::string directory(const std::string& uid) const { return run_dir + "/pods/" + uid; }
  // The first look after the start of an attempt, by this daemon or an earlier one.
  void begin(const MadePod& pod, const MadeContainer& made);
  std::vector<Finding> compare(const MadePod& pod, const Namespaces& namespaces,
                               const KnownContainers& earlier);

  const std::string run_dir;
  Guarded<Hints> hints;
  Guarded<Known> known;
};

void KernelWatch::State::begin(const MadePod& pod, const MadeContainer& made) {
  const std::string key = pod.uid + "/" + made.name;
  const bool again = known.with([&](Known& all) {
    auto& directory = all.begun[key];
    if (directory == made.directory) {
      if (!made.start.mounts.empty()) all.containers.try_emplace(directory, made);
      return true;
    }
    all.containers.erase(directory);
    all.memberships.erase(directory);
    directory = made.directory;
    all.pods[pod.uid] = pod;
    all.memberships[directory] = {made.pid, read_membership(made.pid)};
    return false;
  });
  if (again) return;
  const auto written = write_start(made);
  if (!written && written.error().code != Code::not_found) {
    log(LogLevel::warning, "how a container started is not kept, its mounts are not compared",
        {{"uid", pod.uid}, {"container", made.name}, {"error", written.error().text()}});
  }
  hints.with([&](Hints& all) {
    all.set_shim_program(pod.shim_program);
    all.watch_hierarchies(made.procs_files);
    all.watch_mounts(pod.uid, made.name, made.pid);
  });
}

std::vector<Finding> KernelWatch::State::compare(const MadePod& pod, const Namespaces& namespaces,
                                                 const KnownContainers& earlier) {
  std::vector<Finding> all;
  std::set<std::string> fields;
  const auto containers = read_made_containers(directory(pod.uid), earlier);
  PodProcesses processes;
  processes.roots.insert(pod.shim);
  for (const auto& made : containers) processes.roots.insert(made.pid);
  std::vector<Finding> pins;
  compare_pins(pod, pins);
  take_once(std::move(pins), all, fields);
  for (const auto& made : containers) {
    if (made.name == kPauseName) continue;
    begin(pod, made);
    std::vector<pid_t> inside;
    if (made.own_processes) {
      const auto found = namespaces.find(read_namespace(made.pid, "pid"));
      if (found != namespaces.end()) inside = found->second;
    }
    std::vector<Finding> findings;
    compare_processes(pod, made, inside, processes, findings);
    compare_mount_table(made, findings);
    compare_program(made, findings);
    compare_freezers(made, findings);
    if (findings.empty()) continue;
    // What ended while it was looked at has no difference to tell.
    const auto still = find_process(made.pid);
    if (still && still->start_time == made.start_time) {
      take_once(std::move(findings), all, fields);
    }
  }
  return all;
}

KernelWatch::KernelWatch(std::string run_dir)
    : state_(std::make_unique<State>(std::move(run_dir))) {}
KernelWatch::~KernelWatch() = default;

void KernelWatch::remember(const std::string& uid, const std::string& container, int attempt) {
  const auto pod = read_made_pod(state_->directory(uid));
  if (!pod) return;  // the shim is gone, and that is told by its own event
  for (const auto& made : read_made_containers(state_->directory(uid))) {
    if (made.name == container && made.attempt == attempt) state_->begin(*pod, made);
  }
}

void KernelWatch::forget(const std::string& uid, const std::string& container) {
  state_->known.with([&](Known& all) {
    const auto found = all.begun.find(uid + "/" + container);
    if (found == all.begun.end()) return;
    all.containers.erase(found->second);
    all.memberships.erase(found->second);
    all.begun.erase(found);
    const auto next = all.begun.lower_bound(uid + "/");
    if (next == all.begun.end() || next->first.rfind(uid + "/", 0) != 0) all.pods.erase(uid);
  });
  state_->hints.with([&](Hints& all) { all.forget_mounts(uid, container); });
}

// The processes of the machine are listed once for all pods.
std::vector<SandboxDrift> KernelWatch::look(const std::vector<WatchOrder>& pods) {
  std::vector<SandboxDrift> drift;
  const auto namespaces = read_pid_namespaces();
  const auto earlier = state_->known.with(
      [](const Known& all) { return std::pair(all.pods, all.containers); });
  for (const auto& order : pods) {
    const auto known = earlier.first.find(order.uid);
    const auto pod = read_made_pod(state_->directory(order.uid),
                                   known == earlier.first.end() ? nullptr : &known->second);
    if (!pod) continue;
    for (auto& finding : state_->compare(*pod, namespaces, earlier.second)) {
      drift.push_back(settle(std::move(finding), order));
    }
  }
  return drift;
}

int KernelWatch::descriptor() const {
  return state_->hints.with([](const Hints& all) { return all.descriptor(); });
}

std::vector<WatchHint> KernelWatch::take_hints() {
  bool mounts_changed = false;
  auto hints = state_->hints.with([&](Hints& all) { return all.take(mounts_changed); });
  const auto foreign = std::remove_if(hints.begin(), hints.end(),
                                      [](const auto& hint) { return hint.uid.empty(); });
  const bool moved = foreign != hints.end();
  const std::string mover = moved ? foreign->actor : std::string();
  hints.erase(foreign, hints.end());
  state_->known.with([&](Known& all) {
    if (mounts_changed) add_lost_pins(all.pods, hints);
    all.moved = all.moved || moved;
    // Others move their own processes about all day.
    const auto now = std::chrono::steady_clock::now();
    if (!all.moved || now - all.moved_at < kMovePause) return;
    all.moved = false;
    all.moved_at = now;
    add_moved(all, mover, hints);
  });
  return hints;
}

}  // namespace moored::watch
