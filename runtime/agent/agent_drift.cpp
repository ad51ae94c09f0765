// How the agent finds drift, by hints and by the sweep, and what it does about it.
#include <algorithm>

#include "runtime/agent/agent_parts.hpp"
#include "runtime/agent/drift_ledger.hpp"
#include "runtime/agent/pod_action.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/model/recovered.hpp"

namespace moored {
namespace {

// Changes often come in company: one look answers all of them.
constexpr Duration kGather = std::chrono::milliseconds(200);
// Whoever keeps changing things is looked at no more often than this.
constexpr Duration kLookPause = std::chrono::seconds(1);
// A hint names whoever caused what is found at once, not what a much later sweep finds.
constexpr Duration kActorTime = std::chrono::seconds(5);
// A link that is gone took its address and routes along, an address its routes: that is one change
// and told as one.
void fold_consequences(std::vector<DriftRecord>& records) {
  const auto find_cause = [&](std::string_view field) {
    return std::find_if(records.begin(), records.end(),
                        [&](const auto& record) { return record.field == field; });
  };
  auto cause = find_cause("link");
  if (cause == records.end()) cause = find_cause("address");
  if (cause == records.end()) return;
  std::vector<DriftRecord> kept;
  std::size_t folded = 0;
  for (auto& record : records) {
    const bool follows = record.field == "route" || record.field == "neighbour" ||
                         (record.field == "address" && cause->field == "link");
    if (follows) {
      ++folded;
    } else {
      kept.push_back(record);
    }
  }
  if (folded == 0) return;
  for (auto& record : kept) {
    if (record.field != cause->field) continue;
    record.observed += ", with " + std::to_string(folded) + " more that need it";
    break;
  }
  records = std::move(kept);
}

constexpr const char* kLedgerFile = "/drift.json";

}  // namespace

// ---- modes ----

DriftMode Agent::drift_mode(const Entry& entry) const {
  return get_drift_mode(entry.pod().metadata.annotations, options_.drift);
}

// A pod that comes or goes is changed by ourselves.
bool Agent::is_looked_at(const Entry& entry) const {
  const bool leaving = entry.vanished || entry.foreign || entry.memory.stop_since ||
                       entry.pod().metadata.deletion_timestamp;
  return !entry.gone && !leaving && entry.memory.sandbox == agent::SandboxStage::ready &&
         drift_mode(entry) != DriftMode::off;
}

// ---- hints ----

// News of the kernel, each with whom it names. They wait a moment for their company.
void Agent::take_hints(Now now) {
  const auto due = std::max(now.mono + kGather, last_look_ + kLookPause);
  if (ports_.watch != nullptr && !look_at_ && !look_busy_) {
    for (const auto& hint : ports_.watch->take_hints()) {
      for (auto& [uid, entry] : pods_) {
        if (!hint.uid.empty() && hint.uid != uid) continue;
        entry.look_wanted = true;
        if (!hint.actor.empty()) {
          entry.actor = hint.actor;
          entry.actor_since = now.mono;
        }
        look_at_ = due;
      }
    }
  }
  if (network_look_at_ || network_busy_) return;
  if (auto actor = ports_.network.take_hint()) {
    network_actor_ = *std::move(actor);
    network_look_at_ = due;
  }
}

void Agent::look_when_due(Now now) {
  if (network_look_at_ && *network_look_at_ <= now.mono && !network_busy_) submit_network_look();
  if (!look_at_ || *look_at_ > now.mono || look_busy_) return;
  look_at_.reset();
  last_look_ = now.mono;
  std::vector<std::string> uids;
  for (auto& [uid, entry] : pods_) {
    if (!std::exchange(entry.look_wanted, false) || !is_looked_at(entry)) continue;
    uids.push_back(uid);
    entry.limits_due = true;
    submit_upkeep(entry);
  }
  submit_look(uids);
}

// ---- the sweep ----

// Looks at everything: for what no event tells, and for events that were missed.
void Agent::sweep(Now now) {
  if (next_sweep_ && now.mono < *next_sweep_) return;
  next_sweep_ = now.mono + options_.sweep;
  report_node(now);
  std::vector<std::string> uids;
  for (auto& [uid, entry] : pods_) {
    if (entry.gone || entry.memory.sandbox != agent::SandboxStage::ready) continue;
    entry.limits_due = true;  // also for what a volume may hold
    submit_upkeep(entry);
    if (is_looked_at(entry)) uids.push_back(uid);
  }
  submit_look(uids);
  submit_network_look();
}

// ---- looks, as jobs ----

// Volumes that changed and cgroup values that are due, when nothing else is done to the pod.
void Agent::submit_upkeep(Entry& entry) {
  if (entry.memory.busy || entry.memory.sandbox != agent::SandboxStage::ready) return;
  // After a lost store what a volume should hold is not known before Git was read.
  if (is_recovered(entry.object.meta())) entry.volumes_stale = false;
  if (!entry.volumes_stale && !entry.limits_due) return;
  const bool volumes = std::exchange(entry.volumes_stale, false);
  const bool limits = std::exchange(entry.limits_due, false);
  const agent::ActorPod pod{entry.object, entry.memory.address, {}, entry.memory.sandboxes_made};
  const DriftMode mode = drift_mode(entry);
  std::vector<std::string> running;
  for (const auto& [name, of] : entry.memory.containers) {
    if (of.stage == agent::ContainerStage::running) running.push_back(name);
  }
  entry.memory.busy = true;
  executor_.submit(Executor::Lane::work, [shared = shared_, pod, volumes, limits, running, mode] {
    News news;
    news.uid = pod.object.meta().uid;
    news.batch = true;
    if (volumes) {
      auto done = shared->actor.refresh_volumes(pod);
      if (!done) news.error = std::move(done).error();
    }
    if (limits && mode != DriftMode::off) {
      auto found =
          shared->actor.compare_group_limits(pod, running, mode == DriftMode::correct);
      if (found) {
        news.limits = *std::move(found);
      } else {
        news.error = std::move(found).error();
      }
    }
    if (limits) news.exceeded = shared->volumes.find_exceeded(pod.object.as<Pod>());
    shared->put(std::move(news));
  });
}

// One job for all pods: the processes of the machine are listed once.
void Agent::submit_look(const std::vector<std::string>& uids) {
  if (ports_.watch == nullptr || look_busy_ || uids.empty()) return;
  std::vector<WatchOrder> orders;
  for (const auto& uid : uids) {
    orders.push_back({uid, drift_mode(pods_.at(uid)) == DriftMode::correct});
  }
  look_busy_ = true;
  executor_.submit(Executor::Lane::work, [shared = shared_, watch = ports_.watch, orders] {
    News news;
    for (const auto& order : orders) news.looked.push_back(order.uid);
    news.found = watch->look(orders);
    shared->put(std::move(news));
  });
}

void Agent::submit_network_look() {
  if (network_busy_) return;
  network_busy_ = true;
  network_look_at_.reset();
  NetworkModes modes;
  modes.node = options_.drift;
  for (const auto& [uid, entry] : pods_) modes.pods[uid] = drift_mode(entry);
  executor_.submit(Executor::Lane::work, [shared = shared_, &network = ports_.network, modes] {
    News news;
    auto found = network.correct(modes);
    if (found) {
      news.network = *std::move(found);
    } else {
      news.network.emplace();
      news.error = std::move(found).error();
    }
    shared->put(std::move(news));
  });
}

// What only a new attempt puts right: the container is ended, and its restart policy does the rest.
void Agent::submit_restarts(Entry& entry) {
  if (entry.restarts.empty() || entry.memory.busy || !is_looked_at(entry)) return;
  std::vector<agent::Action> actions;
  for (const auto& name : std::exchange(entry.restarts, {})) {
    auto& of = entry.memory.containers[name];
    if (of.stage != agent::ContainerStage::running) continue;
    of.killed_by_us = true;
    agent::Action action;
    action.type = agent::Action::Type::kill;
    action.container = name;
    action.attempt = of.attempt;
    actions.push_back(action);
  }
  if (actions.empty()) return;
  entry.memory.busy = true;
  submit(entry, actions);
}

// ---- what they found ----

// The end of a look at pods or at the network.
void Agent::take_look(const News& news, Now now) {
  if (news.network) return take_network_drift(news, now);
  look_busy_ = false;
  for (const auto& uid : news.looked) {
    const auto known = pods_.find(uid);
    if (known == pods_.end() || !is_looked_at(known->second)) continue;
    Entry& entry = known->second;
    std::vector<DriftRecord> found;
    std::vector<const SandboxDrift*> waiting;
    for (const auto& drift : news.found) {
      if (drift.uid != uid) continue;
      DriftRecord record;
      record.field = drift.field;
      record.desired = drift.desired;
      record.observed = drift.observed;
      record.correction = drift.correction;
      found.push_back(std::move(record));
      if (drift.remedy == SandboxDrift::Remedy::restart) waiting.push_back(&drift);
    }
    settle(entry, static_cast<int>(agent::DriftScope::sandbox), std::move(found), now);
    if (drift_mode(entry) != DriftMode::correct) continue;
    for (const auto* drift : waiting) {
      const Container* container = agent::find_container(entry.pod().spec, drift->container);
      if (container == nullptr) continue;
      const bool init = agent::is_init_container(entry.pod().spec, drift->container);
      if (agent::get_restart_policy(entry.pod().spec, *container, init) == "Never") continue;
      ledger_->await_restart(uid, drift->field, drift->container);
      entry.restarts.insert(drift->container);
      entry.dirty = true;
    }
  }
}

// What a look at one pod found is news or known. The hint that led to it names the actor.
void Agent::settle(const Entry& entry, int scope, std::vector<DriftRecord> found, Now now) {
  if (entry.foreign) return;
  for (auto& record : found) {
    const bool cgroup = record.field.rfind("cgroup.", 0) == 0 ||
                        record.field.rfind("process[", 0) == 0;
    const bool fresh = now.mono - entry.actor_since < kActorTime;
    if (record.actor.empty() && cgroup && fresh) record.actor = entry.actor;
  }
  post_all(ledger_->settle(entry.object, static_cast<agent::DriftScope>(scope), std::move(found),
                           now.wall));
}

// The network names pods by uid; what it cannot name is the node's own.
void Agent::take_network_drift(const News& news, Now now) {
  network_busy_ = false;
  if (news.error) return;  // nothing is known: what is open stays open
  const Object node = make_object(make_node(options_.node, nullptr, now.wall));
  std::map<std::string, std::vector<DriftRecord>> found{{std::string(), {}}};
  for (const auto& [uid, entry] : pods_) found[uid];
  for (const auto& part : *news.network) {
    DriftRecord record;
    record.field = part.field;
    record.desired = part.desired;
    record.observed = part.observed;
    record.actor = part.actor.empty() ? network_actor_ : part.actor;
    if (part.corrected) record.correction = "made again";
    const auto known = found.find(part.uid);
    (known == found.end() ? found[std::string()] : known->second).push_back(std::move(record));
  }
  network_actor_.clear();
  for (auto& [uid, records] : found) {
    fold_consequences(records);
    const Object& object = uid.empty() ? node : pods_.at(uid).object;
    post_all(ledger_->settle(object, agent::DriftScope::network, std::move(records), now.wall));
  }
}

// ---- the record ----

// Told, and kept for a later daemon so that what lasts is not told again.
void Agent::post_all(std::vector<DriftRecord> records) {
  if (records.empty()) return;
  for (const auto& record : records) post_drift(record);
  const auto written = write_file_durably(options_.state_dir + kLedgerFile, ledger_->text());
  if (written) return;
  log(LogLevel::warning, "open drift is not kept, a restart of the daemon may tell it again",
      {{"error", written.error().text()}});
}

// A file that cannot be read costs at most a second word about the same difference.
void Agent::read_ledger() {
  const auto text = read_file(options_.state_dir + kLedgerFile);
  if (!text) return;
  auto ledger = agent::DriftLedger::parse(*text);
  if (ledger) {
    *ledger_ = *std::move(ledger);
  } else {
    log(LogLevel::warning, "open drift of an earlier daemon is not known",
        {{"error", ledger.error().text()}});
  }
}

// Drift goes to the record and, as the person on call wants to know, to the log.
void Agent::post_drift(const DriftRecord& record) {
  ports_.facts.post(DriftObserved{record},
                    {Cause::Actor::kernel, "moored-agent", "drift of " + record.field});
  log(LogLevel::warning, record.corrected_at ? "drift put right" : "drift seen",
      {{"object", record.object.text()},
       {"field", record.field},
       {"desired", record.desired},
       {"observed", record.observed},
       {"actor", record.actor},
       {"correction", record.correction}});
}

}  // namespace moored
