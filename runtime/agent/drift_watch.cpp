#include "runtime/agent/drift_watch.hpp"

#include <algorithm>
#include <utility>

#include "runtime/agent/drift_ledger.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/model/core.hpp"

namespace moored::agent {
namespace {

// Changes often come in company: one look answers all of them.
constexpr Duration kGather = std::chrono::milliseconds(200);
// Whoever keeps changing things is looked at no more often than this.
constexpr Duration kLookPause = std::chrono::seconds(1);
// A hint names whoever caused what is found at once, not what a much later sweep finds.
constexpr Duration kActorTime = std::chrono::seconds(5);
constexpr const char* kLedgerFile = "/drift.json";

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

// What one look found of one pod.
std::vector<DriftRecord> records_of(const std::string& uid,
                                    const std::vector<SandboxDrift>& found) {
  std::vector<DriftRecord> records;
  for (const auto& drift : found) {
    if (drift.uid != uid) continue;
    DriftRecord record;
    record.field = drift.field;
    record.desired = drift.desired;
    record.observed = drift.observed;
    record.correction = drift.correction;
    records.push_back(std::move(record));
  }
  return records;
}

// What only a restart puts right stays as it is when the restart policy forbids it.
bool may_restart(const Pod& pod, const std::string& name) {
  const Container* container = find_container(pod.spec, name);
  if (container == nullptr) return false;
  const bool init = is_init_container(pod.spec, name);
  return get_restart_policy(pod.spec, *container, init) != "Never";
}

}  // namespace

DriftWatch::DriftWatch(DriftWatchOptions options, DriftWatchPorts ports)
    : options_(std::move(options)),
      ports_(std::move(ports)),
      ledger_(std::make_unique<DriftLedger>()) {}

DriftWatch::~DriftWatch() = default;

// ---- looks --------------------------------------------------------------------------------------

void DriftWatch::take_hints(Now now) {
  const auto due = std::max(now.mono + kGather, last_look_ + kLookPause);
  if (ports_.watch != nullptr && !look_at_ && !look_busy_) {
    const auto hints = ports_.watch->take_hints();
    const auto subjects = hints.empty() ? DriftSubjects{} : ports_.subjects();
    for (const auto& hint : hints) {
      for (const auto& [uid, subject] : subjects) {
        if (!hint.uid.empty() && hint.uid != uid) continue;
        auto& known = hints_[uid];
        known.wanted = true;
        if (!hint.actor.empty()) {
          known.actor = hint.actor;
          known.actor_since = now.mono;
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

std::vector<std::string> DriftWatch::look_when_due(Now now) {
  if (network_look_at_ && *network_look_at_ <= now.mono && !network_busy_) {
    look_at_network(ports_.subjects());
  }
  if (!look_at_ || *look_at_ > now.mono || look_busy_) return {};
  look_at_.reset();
  last_look_ = now.mono;
  const auto subjects = ports_.subjects();
  std::vector<std::string> uids;
  for (auto& [uid, hint] : hints_) {
    const auto subject = subjects.find(uid);
    if (!std::exchange(hint.wanted, false) || subject == subjects.end()) continue;
    if (subject->second.looked_at) uids.push_back(uid);
  }
  look_at(subjects, uids);
  return uids;
}

void DriftWatch::look_at_all() {
  const auto subjects = ports_.subjects();
  for (auto it = hints_.begin(); it != hints_.end();) {
    it = subjects.count(it->first) == 0 ? hints_.erase(it) : std::next(it);
  }
  std::vector<std::string> uids;
  for (const auto& [uid, subject] : subjects) {
    if (subject.looked_at) uids.push_back(uid);
  }
  look_at(subjects, uids);
  look_at_network(subjects);
}

// One job for all pods: the processes of the machine are listed once.
void DriftWatch::look_at(const DriftSubjects& subjects, const std::vector<std::string>& uids) {
  if (ports_.watch == nullptr || look_busy_ || uids.empty()) return;
  std::vector<WatchOrder> orders;
  for (const auto& uid : uids) {
    orders.push_back({uid, subjects.at(uid).mode == DriftMode::correct});
  }
  look_busy_ = true;
  ports_.executor.submit(Executor::Lane::work, [put = ports_.put, watch = ports_.watch, orders] {
    DriftNews news;
    for (const auto& order : orders)
      news.looked.push_back(order.uid);
    news.found = watch->look(orders);
    put(std::move(news));
  });
}

void DriftWatch::look_at_network(const DriftSubjects& subjects) {
  if (network_busy_) return;
  network_busy_ = true;
  network_look_at_.reset();
  NetworkModes modes;
  modes.node = options_.drift;
  for (const auto& [uid, subject] : subjects)
    modes.pods[uid] = subject.mode;
  const auto look = [put = ports_.put, &network = ports_.network, modes] {
    DriftNews news;
    news.network.emplace();
    auto found = network.correct(modes);
    news.failed = !found;
    if (found) {
      news.network = *std::move(found);
    } else {
      log(LogLevel::warning, "the network was not looked at, the next sweep tries again",
          {{"error", found.error().text()}});
    }
    put(std::move(news));
  };
  ports_.executor.submit(Executor::Lane::work, look);
}

// ---- what they found ----------------------------------------------------------------------------

std::vector<DriftRestart> DriftWatch::take(const DriftNews& news, Now now) {
  std::vector<DriftRestart> restarts;
  if (news.network) {
    take_network(news, now);
    return restarts;
  }
  look_busy_ = false;
  const auto subjects = ports_.subjects();
  for (const auto& uid : news.looked) {
    const auto known = subjects.find(uid);
    if (known == subjects.end() || !known->second.looked_at) continue;
    const auto& subject = known->second;
    settle(subject.object, DriftScope::sandbox, records_of(uid, news.found), now);
    if (subject.mode != DriftMode::correct) continue;
    for (const auto& drift : news.found) {
      if (drift.uid != uid || drift.remedy != SandboxDrift::Remedy::restart) continue;
      if (!may_restart(subject.object.as<Pod>(), drift.container)) continue;
      ledger_->await_restart(uid, drift.field, drift.container);
      restarts.push_back({uid, drift.container});
    }
  }
  return restarts;
}

// The network names pods by uid; what it cannot name is the node's own.
void DriftWatch::take_network(const DriftNews& news, Now now) {
  network_busy_ = false;
  if (news.failed) return;
  const Object node = make_object(make_node(options_.node, nullptr, now.wall));
  const auto subjects = ports_.subjects();
  std::map<std::string, std::vector<DriftRecord>> found{{std::string(), {}}};
  for (const auto& [uid, subject] : subjects)
    found[uid];
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
    const Object& object = uid.empty() ? node : subjects.at(uid).object;
    post_all(ledger_->settle(object, DriftScope::network, std::move(records), now.wall));
  }
}

// What a look at one pod found is news or known. The hint that led to it names the actor.
void DriftWatch::settle(const Object& pod, DriftScope scope, std::vector<DriftRecord> found,
                        Now now) {
  const auto hint = hints_.find(pod.meta().uid);
  const bool fresh = hint != hints_.end() && now.mono - hint->second.actor_since < kActorTime;
  for (auto& record : found) {
    const bool cgroup =
        record.field.rfind("cgroup.", 0) == 0 || record.field.rfind("process[", 0) == 0;
    if (record.actor.empty() && cgroup && fresh) record.actor = hint->second.actor;
  }
  post_all(ledger_->settle(pod, scope, std::move(found), now.wall));
}

void DriftWatch::settle_limits(const Object& pod, std::vector<DriftRecord> found, Now now) {
  settle(pod, DriftScope::limits, std::move(found), now);
}

void DriftWatch::open_process(const Object& pod, const ContainerReport& report, bool restarts,
                              Now now) {
  post_all({ledger_->open_process(pod, report, restarts, now.wall)});
}

void DriftWatch::close_container(const std::string& uid, const std::string& container, Now now) {
  post_all(ledger_->close_container(uid, container, now.wall));
}

void DriftWatch::forget(const std::string& uid, Now now) {
  hints_.erase(uid);
  post_all(ledger_->forget(uid, now.wall));
}

void DriftWatch::forget_unknown(Now now) {
  const auto subjects = ports_.subjects();
  for (const auto& uid : ledger_->list_uids()) {
    if (subjects.count(uid) == 0) forget(uid, now);
  }
}

// ---- waiting ------------------------------------------------------------------------------------

// Hints that wait for their time do not wake.
int DriftWatch::watch_descriptor() const {
  const bool looking = look_busy_ || look_at_.has_value();
  return ports_.watch == nullptr || looking ? -1 : ports_.watch->descriptor();
}

int DriftWatch::network_descriptor() const {
  return network_busy_ || network_look_at_ ? -1 : ports_.network.descriptor();
}

std::optional<MonoTime> DriftWatch::find_next() const {
  std::optional<MonoTime> next;
  if (look_at_ && !look_busy_) next = look_at_;
  if (network_look_at_ && !network_busy_)
    next = std::min(next.value_or(*network_look_at_), *network_look_at_);
  return next;
}

// ---- the record --------------------------------------------------------------------------------

// Told, and kept for a later daemon so that what lasts is not told again.
void DriftWatch::post_all(const std::vector<DriftRecord>& records) {
  if (records.empty()) return;
  for (const auto& record : records)
    post(record);
  const auto written = write_file_durably(options_.state_dir + kLedgerFile, ledger_->text());
  if (written) return;
  log(LogLevel::warning, "open drift is not kept, a restart of the daemon may tell it again",
      {{"error", written.error().text()}});
}

// A file that cannot be read costs at most a second word about the same difference.
void DriftWatch::read_ledger() {
  const auto text = read_file(options_.state_dir + kLedgerFile);
  if (!text) return;
  auto ledger = DriftLedger::parse(*text);
  if (ledger) {
    *ledger_ = *std::move(ledger);
  } else {
    log(LogLevel::warning, "open drift of an earlier daemon is not known",
        {{"error", ledger.error().text()}});
  }
}

// Drift goes to the record and, as the person on call wants to know, to the log.
void DriftWatch::post(const DriftRecord& record) {
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

}  // namespace moored::agent
