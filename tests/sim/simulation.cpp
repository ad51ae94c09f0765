#include "tests/sim/simulation.hpp"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "reconciler/controllers/pods.hpp"
#include "schema/codec/codec.hpp"
#include "schema/host/file.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"

namespace moored::sim {
namespace {

constexpr std::size_t kTraceLines = 60;
constexpr int kWatchEvery = 7;                            // ticks between two looks of a watch
constexpr unsigned kUnwatched = 10;                       // times as likely as at a step
constexpr std::uint64_t kNapOneIn = 20;
constexpr int kNap = 200;
constexpr int kMaxRestTicks = 40'000;
constexpr int kMaxTicksAtOnce = 3'000;                    // without any time passing
constexpr Duration kMaxRest = std::chrono::minutes(15);   // of simulated time
constexpr Duration kMaxJump = std::chrono::minutes(6);    // the longest back-off, and a little

std::string make_directory() {
  const char* base = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
  std::string pattern = std::string(base) + "/moored-sim-XXXXXX";
  MOORED_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  for (const char* name : {"/store", "/state", "/run", "/log", "/layer"}) {
    std::filesystem::create_directory(pattern + name);
    std::filesystem::permissions(pattern + name, std::filesystem::perms::owner_all);
  }
  return pattern;
}

}  // namespace

Simulation::Simulation(SimOptions options)
    : scope_(options.planted),
      options_(options),
      directory_(make_directory()),
      dice_(options.seed * 0x9e3779b97f4a7c15ULL + 1),
      machine_(clock_) {}

Simulation::~Simulation() {
  daemon_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void Simulation::note(const std::string& what) {
  const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(
      clock_.now().mono.time_since_epoch() - std::chrono::hours(1));
  trace_.push_back(std::to_string(at.count()) + " ms: " + what);
  if (trace_.size() > kTraceLines) trace_.pop_front();
}

void Simulation::violate(const std::string& what) {
  if (!result_.violation.empty()) return;
  result_.violation = what;
  note("VIOLATION " + what);
}

void Simulation::start_daemon() {
  while (!daemon_ && result_.violation.empty()) {
    try {
      daemon_ = std::make_unique<Daemon>(Surroundings{clock_, machine_, remote_, dice_, odds_,
                                                      directory_});
      if (!daemon_->failure().empty()) return violate(daemon_->failure());
      watcher_.connect(daemon_->watched());
    } catch (const DaemonKilled&) {
      kill("while starting");
    }
  }
  if (options_.planted != Planted::killing_start || result_.kills == 0) return;
  while (machine_.end_one(dice_)) note("planted: a container is ended by the start");
}

// Everything in the daemon's memory is gone: its facts, its queue, events nobody took.
void Simulation::kill(const char* where) {
  watcher_.disconnect();
  daemon_.reset();
  machine_.events.clear();
  machine_.forget_pace();
  ++result_.kills;
  note(std::string("the daemon is killed ") + where);
  // A shim may die while nobody looks.
  if (dice_.hits(odds_.shim_dies * kUnwatched) && machine_.lose_shim(dice_)) {
    ++result_.shim_deaths;
    note("a shim dies unwatched");
    machine_.events.clear();
  }
}

// Daemon and machine are gone, and of the store what was not synced may be.
void Simulation::cut_power() {
  if (!daemon_) return;
  const auto files = daemon_->cut_power();
  kill("by a power cut");
  machine_.reboot();
  ++result_.power_cuts;
  std::error_code ignored;
  for (const char* name : {"moored.db", "moored.db-wal", "moored.db-shm"}) {
    std::filesystem::remove(directory_ + "/store/" + name, ignored);
  }
  for (const auto& [name, bytes] : files) {
    const auto written = write_file(directory_ + "/store/" + name, bytes, true);
    if (!written) return violate("a file cannot be put back: " + written.error().text());
  }
}

void Simulation::push_commit(bool final) {
  Wish wish = random_wish(dice_, final);
  if (patience_ > 0) wish.min_ready_seconds = patience_;
  remote_.commits.push_back(make_commit(wish, remote_.commits.size() + 1));
  ++result_.commits;
  note("commit " + std::to_string(remote_.commits.size()) + ": " + wish.image + " x" +
       std::to_string(wish.replicas) + " surge " + std::to_string(wish.surge) + " unavailable " +
       std::to_string(wish.unavailable) + (wish.broken ? " BROKEN" : ""));
  if (wish.broken) return;
  if (floor_) floor_ = std::min(*floor_, std::max(wish.replicas - wish.unavailable, 0));
  if (ceiling_) ceiling_ = std::max(*ceiling_, wish.replicas + wish.surge);
}

void Simulation::set_odds() {
  odds_ = {};
  odds_.sandbox_fails = static_cast<unsigned>(dice_.below(120));
  odds_.network_fails = static_cast<unsigned>(dice_.below(120));
  odds_.fetch_fails = static_cast<unsigned>(dice_.below(300));
  odds_.load_fails = static_cast<unsigned>(dice_.below(200));
  if (options_.deaths) {
    odds_.kill_in_port = static_cast<unsigned>(dice_.below(25));
    odds_.kill_between = static_cast<unsigned>(dice_.below(15));
  }
  odds_.disk_fails = static_cast<unsigned>(dice_.below(20));
  if (watches_floor_) return;
  odds_.container_dies = static_cast<unsigned>(dice_.below(15));
  odds_.shim_dies = static_cast<unsigned>(dice_.below(20));
  odds_.power_fails = static_cast<unsigned>(dice_.below(6));
}

// ---- time and steps -----------------------------------------------------------------------------

void Simulation::advance_to_next() {
  const MonoTime now = clock_.now().mono;
  MonoTime due = now + kMaxJump;
  if (daemon_) due = std::min(due, daemon_->find_due().value_or(due));
  if (const auto end = machine_.find_next_end()) due = std::min(due, *end);
  clock_.advance(std::max<Duration>(due - now, std::chrono::milliseconds(1)));
  machine_.run_until_now();
}

void Simulation::tick() {
  ++result_.ticks;
  start_daemon();
  if (!result_.violation.empty()) return;
  try {
    if (!daemon_->run_one()) advance_to_next();
  } catch (const DaemonKilled&) {
    kill("in the middle of a call");
  }
  check();
  check_calm();
}

// What happens to the machine and its daemon between two steps.
void Simulation::strike() {
  if (dice_.hits(odds_.kill_between)) kill("between two steps");
  if (dice_.hits(odds_.container_dies) && machine_.end_one(dice_)) note("a container dies");
  if (dice_.hits(odds_.shim_dies) && machine_.lose_shim(dice_)) {
    ++result_.shim_deaths;
    note("a shim dies");
    if (!daemon_) machine_.events.clear();
  }
  if (dice_.hits(odds_.power_fails)) cut_power();
  if (daemon_ && dice_.hits(odds_.disk_fails)) {
    ++result_.disk_failures;
    note("a write of the store fails");
    daemon_->break_disk();
  }
}

void Simulation::bad_luck() {
  set_odds();
  for (int n = 0; n < options_.ticks && result_.violation.empty(); ++n) {
    if (dice_.hits(15)) push_commit(false);
    strike();
    if (dice_.hits(150)) {
      clock_.advance(std::chrono::milliseconds(dice_.below(900)));
      machine_.run_until_now();
    }
    tick();
  }
}

// No more bad luck: everything must become as the last commit wants it.
void Simulation::rest() {
  odds_ = {};
  if (daemon_) daemon_->heal_disk();
  // Often without a commit that would sweep away what is stuck.
  if (!remote_.commits.back().wish.is_healthy() || dice_.below(2) == 0) push_commit(true);
  const MonoTime start = clock_.now().mono;
  std::string unsettled = "nothing was looked at";
  for (int n = 0; n < kMaxRestTicks && clock_.now().mono < start + kMaxRest; ++n) {
    tick();
    if (!result_.violation.empty()) return;
    if (!daemon_ || n % 20 != 0) continue;
    unsettled = find_unsettled();
    if (unsettled.empty()) break;
  }
  if (!unsettled.empty()) return violate("does not come to rest: " + unsettled);
  const Wish& wish = remote_.commits.back().wish;
  floor_ = std::max(wish.replicas - wish.unavailable, 0);
  ceiling_ = wish.replicas + wish.surge;
  const std::string audit = daemon_->check_audit();
  if (!audit.empty()) violate(audit);
  note("at rest");
}

SimResult Simulation::run() {
  watches_floor_ = dice_.below(2) == 0;
  patience_ = dice_.below(3) == 0 ? 1 + static_cast<int>(dice_.below(8)) : 0;
  push_commit(true);
  rest();
  for (int round = 0; round < options_.rounds && result_.violation.empty(); ++round) {
    bad_luck();
    if (result_.violation.empty()) rest();
  }
  if (result_.violation.empty()) {
    const auto view = daemon_->view();
    result_.resource_version = view->resource_version();
    for (const Kind* kind : all_kinds()) {
      for (const Object& object : view->list(*kind)) {
        result_.outline += object.key().text() + ' ' + object.meta().resource_version + '\n';
      }
    }
  }
  result_.lists = watcher_.lists();
  for (const std::string& line : trace_) result_.trace += line + '\n';
  return result_;
}

// ---- invariants ---------------------------------------------------------------------------------

void Simulation::check() {
  for (const std::string& broken : machine_.broken) violate(broken);
  if (!daemon_ || !result_.violation.empty()) return;
  const auto view = daemon_->view();
  if (view->resource_version() < version_) violate("resource versions run backwards");
  const bool is_news = view->resource_version() != version_;
  version_ = view->resource_version();
  const std::string wrong = is_news ? witness_.look(view, machine_) : std::string();
  if (!wrong.empty()) violate(wrong);
  // A watch sleeps now and then, so that it also finds several changes, or that it is too late.
  if (result_.ticks >= watch_at_) {
    const bool nap = dice_.below(kNapOneIn) == 0;
    watch_at_ = result_.ticks + (nap ? kNap : kWatchEvery);
    const std::string missed = watcher_.look(*view);
    if (!missed.empty()) violate(missed);
  }
  if (watches_floor_) check_floor(*view);
  check_ceiling(*view);
}

// Work must end at some point: two decisions that undo each other never do.
void Simulation::check_calm() {
  ticks_at_moment_ = clock_.now().mono == moment_ ? ticks_at_moment_ + 1 : 0;
  moment_ = clock_.now().mono;
  if (ticks_at_moment_ > kMaxTicksAtOnce) violate("work goes on for ever at one moment");
}

// Pods that serve, and that the Service still sends to.
void Simulation::check_floor(const StateView& view) {
  if (!floor_) return;
  int serving = 0;
  int available = 0;
  for (const Object& object : view.list(kind_of<Pod>(), "default")) {
    const Pod& pod = object.as<Pod>();
    const auto labels = pod.metadata.labels.find("app");
    if (labels == pod.metadata.labels.end() || labels->second != "web") continue;
    const auto found = machine_.pods.find(pod.metadata.uid);
    const bool counts = !pod.metadata.deletion_timestamp && found != machine_.pods.end();
    if (!counts || !machine_.is_serving(found->second)) continue;
    ++serving;
    available += is_available(pod, patience_, clock_.now().wall) ? 1 : 0;
  }
  if (serving < *floor_) {
    violate("only " + std::to_string(serving) + " pods serve, " + std::to_string(*floor_) +
            " must");
  }
  if (patience_ > 0 && available < *floor_) {
    violate("only " + std::to_string(available) + " pods have been ready for long enough, " +
            std::to_string(*floor_) + " must");
  }
}

void Simulation::check_ceiling(const StateView& view) {
  if (!ceiling_) return;
  int active = 0;
  for (const Object& object : view.list(kind_of<Pod>(), "default")) {
    const auto& labels = object.meta().labels;
    const auto app = labels.find("app");
    if (app == labels.end() || app->second != "web") continue;
    active += is_active(object.as<Pod>()) ? 1 : 0;
  }
  if (active > *ceiling_) {
    violate(std::to_string(active) + " pods are active, at most " + std::to_string(*ceiling_) +
            " may be");
  }
}

std::string Simulation::find_unsettled() const {
  const auto view = daemon_->view();
  const SimCommit& head = remote_.commits.back();
  const auto unit = view->find(key_of<Kustomization>("moored-system", "default"));
  if (!unit) return "there is no unit";
  const auto& status = unit->as<Kustomization>().status;
  const Condition* ready = find_condition(status.conditions, "Ready");
  if (status.last_applied_revision.find(head.sha) == std::string::npos) {
    return "the last commit is not applied but " + status.last_applied_revision + ": " +
           (ready == nullptr ? std::string() : ready->message);
  }
  if (ready == nullptr || ready->status != "True") {
    return "not ready: " + (ready == nullptr ? std::string() : ready->message);
  }
  std::set<std::string> maps;
  for (const Object& map : view->list(kind_of<ConfigMap>(), "default")) {
    maps.insert(map.meta().name);
  }
  if (maps.size() != static_cast<std::size_t>(head.wish.maps) + 2) return "ConfigMaps differ";
  const std::string pods = find_unsettled_pods(*view);
  return pods.empty() ? find_unsettled_machine(*view) : pods;
}

std::string Simulation::find_unsettled_pods(const StateView& view) const {
  const Wish& wish = remote_.commits.back().wish;
  const int wanted = wish.replicas + (wish.with_second ? 1 : 0);
  int ready = 0;
  for (const Object& object : view.list(kind_of<Pod>(), "default")) {
    const Pod& pod = object.as<Pod>();
    if (!is_active(pod)) return object.key().text() + " has not gone";
    if (!is_available(pod, wish.min_ready_seconds, clock_.now().wall)) {
      return object.key().text() + " is not available";
    }
    const bool web = pod.metadata.labels.at("app") == "web";
    if (web && pod.spec.containers.front().image != wish.image) {
      return object.key().text() + " runs " + pod.spec.containers.front().image;
    }
    const std::string differs = find_difference(pod);
    if (!differs.empty()) return differs;
    ++ready;
  }
  if (ready != wanted) return std::to_string(ready) + " of " + std::to_string(wanted) + " pods";
  const auto web = view.find(key_of<Deployment>("default", "web"));
  if (!web || web->as<Deployment>().status.available_replicas != wish.replicas) {
    return "the Deployment counts otherwise";
  }
  for (const Object& object : view.list(kind_of<ReplicaSet>(), "default")) {
    const auto& set = object.as<ReplicaSet>();
    if (set.status.available_replicas != set.spec.replicas.value_or(1)) {
      return object.key().text() + " counts otherwise";
    }
  }
  std::size_t listed = 0;
  std::size_t endpoints = 0;
  for (const Object& slice : view.list(kind_of<EndpointSlice>(), "default")) {
    for (const SliceEndpoint& endpoint : slice.as<EndpointSlice>().endpoints) {
      ++listed;
      endpoints += endpoint.conditions.ready == true ? 1U : 0U;
    }
  }
  if (listed != endpoints) return std::to_string(listed - endpoints) + " endpoints of gone pods";
  if (endpoints != static_cast<std::size_t>(wish.replicas)) {
    return std::to_string(endpoints) + " ready endpoints for " + std::to_string(wish.replicas);
  }
  return {};
}

// What the status says of the container is what the machine says of it.
std::string Simulation::find_difference(const Pod& pod) const {
  const auto found = machine_.pods.find(pod.metadata.uid);
  if (found == machine_.pods.end()) return pod.metadata.name + " has no sandbox";
  for (const auto& [key, report] : found->second.containers) {
    if (report.phase != ContainerPhase::running) continue;
    const ContainerStatus& status = pod.status.container_statuses.at(0);
    if (status.restart_count != key.second) return pod.metadata.name + " counts other restarts";
    const std::string id = status.container_id.substr(status.container_id.find("//") + 2);
    if (id != report.container_id) return pod.metadata.name + " names another container";
  }
  return {};
}

// What exists on the machine is what is recorded, no more and no less.
std::string Simulation::find_unsettled_machine(const StateView& view) const {
  std::set<std::string> recorded;
  for (const Object& pod : view.list(kind_of<Pod>(), "default")) recorded.insert(pod.meta().uid);
  for (const auto& [uid, pod] : machine_.pods) {
    if (recorded.count(uid) == 0) return "sandbox of " + pod.spec.name + " is an orphan";
    if (!machine_.is_serving(pod)) return "sandbox of " + pod.spec.name + " does not serve";
    int running = 0;
    if (!pod.shim_alive) return "the shim of " + pod.spec.name + " is dead";
    for (const auto& [key, report] : pod.containers) {
      running += report.phase == ContainerPhase::running ? 1 : 0;
    }
    if (running != 1) return pod.spec.name + " runs " + std::to_string(running) + " containers";
  }
  if (machine_.pods.size() != recorded.size()) return "a recorded pod has no sandbox";
  for (const auto& [uid, address] : machine_.addresses) {
    if (recorded.count(uid) == 0) return "address " + address + " is an orphan";
  }
  return {};
}

}  // namespace moored::sim
