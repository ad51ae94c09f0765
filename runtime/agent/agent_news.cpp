// How the agent learns of things: recorded state, what runs already, sandbox events, ends of jobs.
#include <algorithm>

#include "runtime/agent/agent_parts.hpp"
#include "runtime/agent/drift_ledger.hpp"
#include "runtime/agent/log_reader.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/resources.hpp"
#include "runtime/agent/volume_files.hpp"
#include "schema/base/log.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/core.hpp"

namespace moored {
namespace {

constexpr std::size_t kChangesAtOnce = 1000;
constexpr std::int64_t kFallbackLines = 80;
constexpr std::size_t kFallbackBytes = 2048;

// A Pod of which only the sandbox's own record is left.
Object make_foreign_pod(const SandboxReport& report) {
  const auto value = read_json(report.spec.pod_json);
  if (value) {
    auto object = decode_stored(kind_of<Pod>(), *value);
    if (object) return *std::move(object);
  }
  Pod pod;
  pod.metadata.uid = report.spec.uid;
  pod.metadata.name = report.spec.name;
  pod.metadata.namespace_name = report.spec.namespace_name;
  pod.spec.restart_policy = "Never";
  std::set<std::string> names;
  for (const auto& container : report.containers) names.insert(container.name);
  for (const auto& name : names) {
    Container container;
    container.name = name;
    pod.spec.containers.push_back(std::move(container));
  }
  return make_object(std::move(pod));
}

// FallbackToLogsOnError: the end of the log, 80 lines or 2048 bytes, whichever is less.
std::string read_log_end(const std::string& directory, int attempt) {
  LogQuery query;
  query.tail_lines = kFallbackLines;
  auto reader = LogReader::open(directory, attempt, query);
  std::string text;
  while (reader && !reader->at_end()) {
    const auto got = reader->read_more(text);
    if (!got) break;
    if (text.size() > kFallbackBytes) text.erase(0, text.size() - kFallbackBytes);
  }
  return text;
}

}  // namespace

// ---- recorded state ----

// Takes over what was committed since the last look: change by change, or as a whole the first
// time and when the history is gone.
void Agent::read_state(Now now) {
  const auto view = ports_.state.view();
  if (read_version_ == view->resource_version()) return;
  bool complete = !read_version_.has_value();
  while (!complete && *read_version_ < view->resource_version()) {
    const auto changes = ports_.state.changes_since(nullptr, *read_version_, kChangesAtOnce);
    if (!changes) {
      complete = true;  // older than the kept history: look at everything
      break;
    }
    for (const auto& change : *changes) {
      read_change(change, now);
      read_version_ = std::max(*read_version_, change.resource_version);
    }
    if (changes->size() < kChangesAtOnce) break;
  }
  if (complete) read_everything(*view, now);
  read_version_ = std::max(read_version_.value_or(0), view->resource_version());
}

// Every pod of this node, and the end of those that are not there any more.
void Agent::read_everything(const StateView& view, Now now) {
  std::set<std::string> present;
  for (const auto& object : view.list(kind_of<Pod>())) {
    if (object.as<Pod>().spec.node_name != options_.node.name) continue;
    present.insert(object.meta().uid);
    take_pod(object, now);
  }
  std::vector<std::string> missing;
  for (auto& [uid, entry] : pods_) {
    entry.volumes_stale = true;
    if (present.count(uid) == 0 && !entry.foreign) missing.push_back(uid);
  }
  for (const auto& uid : missing) note_vanished(uid);
  // What an earlier daemon left and nobody asks for.
  for (const auto& [uid, report] : shared_->found) take_foreign(report, now);
  shared_->found.clear();
  drift_->forget_unknown(now);
}

// One change of the store, if it concerns this node at all.
void Agent::read_change(const Change& change, Now now) {
  if (change.object.is<Pod>()) {
    const Pod& pod = change.object.as<Pod>();
    if (pod.spec.node_name != options_.node.name) return;
    if (change.type == Change::Type::deleted) {
      note_vanished(pod.metadata.uid);
    } else {
      take_pod(change.object, now);
    }
  } else if (change.object.is<ConfigMap>() || change.object.is<Secret>()) {
    touch_references(change.object);
  }
}

// A new pod is recalled from its status and from what runs already; a known one has news.
void Agent::take_pod(const Object& object, Now now) {
  const std::string& uid = object.meta().uid;
  const auto known = pods_.find(uid);
  if (known != pods_.end()) {
    Entry& entry = known->second;
    // Labels and annotations may be files of a downwardAPI volume.
    entry.volumes_stale |= entry.object.meta().labels != object.meta().labels ||
                           entry.object.meta().annotations != object.meta().annotations;
    entry.object = object;
    entry.dirty = true;
    return;
  }
  const auto found = shared_->found.find(uid);
  const SandboxReport* report = found == shared_->found.end() ? nullptr : &found->second;
  Entry entry;
  entry.object = object;
  entry.memory = agent::recall(object.as<Pod>(), report, now);
  if (report != nullptr && entry.memory.address.empty() && !object.as<Pod>().spec.host_network) {
    const auto address = shared_->addresses.find(uid);
    if (address != shared_->addresses.end()) entry.memory.address = address->second;
  }
  entry.posted = object.as<Pod>().status;
  entry.volumes_stale = report != nullptr;
  const auto live = count_live();
  const auto most = static_cast<std::size_t>(std::max(options_.node.max_pods, 1));
  if (report == nullptr && !entry.memory.start_time && live >= most) {
    entry.memory.failed_reason = "OutOfpods";
    entry.memory.failed_message = "Node didn't have enough resource: pods, requested: 1, used: " +
                                  std::to_string(live) + ", capacity: " + std::to_string(most);
  }
  pods_.emplace(uid, std::move(entry));
  if (found != shared_->found.end()) shared_->found.erase(found);
}

// Pods that take one of the node's places.
std::size_t Agent::count_live() const {
  return static_cast<std::size_t>(std::count_if(pods_.begin(), pods_.end(), [](const auto& pod) {
    return !pod.second.gone && !agent::is_final_phase(pod.second.memory.status.phase);
  }));
}

// The object is gone. What is left of the pod is stopped as after a deletion.
void Agent::note_vanished(const std::string& uid) {
  const auto known = pods_.find(uid);
  if (known == pods_.end()) return;
  if (known->second.gone) {
    pods_.erase(known);
    return;
  }
  known->second.vanished = true;
  known->second.dirty = true;
}

// A ConfigMap or Secret changed: volumes take it over, containers that wait for it try again.
void Agent::touch_references(const Object& object) {
  for (auto& [uid, entry] : pods_) {
    if (entry.gone || entry.object.meta().namespace_name != object.meta().namespace_name) continue;
    for (const auto& volume : entry.pod().spec.volumes) {
      if (!agent::refers_to(volume, object.kind(), object.meta().name)) continue;
      entry.volumes_stale = true;
      entry.dirty = true;
      if (entry.memory.problem) entry.memory.problem->retry_at = MonoTime::min();
    }
    for (auto& [name, of] : entry.memory.containers) {
      if (!of.problem || of.problem->reason != "CreateContainerConfigError") continue;
      of.problem->retry_at = MonoTime::min();
      entry.dirty = true;
    }
  }
}

// ---- what runs already ----

// Runs once, before anything else: what an earlier daemon left is matched with the store.
bool Agent::adopt(Now now) {
  auto found = ports_.sandbox.adopt();
  if (!found) {
    log(LogLevel::error, "cannot look for running pods, trying again",
        {{"error", found.error().text()}});
    return false;
  }
  const auto networks = ports_.network.list();
  if (!networks) {
    log(LogLevel::error, "cannot look for networks of running pods, trying again",
        {{"error", networks.error().text()}});
    return false;
  }
  for (auto& report : *found) {
    std::string uid = report.spec.uid;
    shared_->found.emplace(std::move(uid), std::move(report));
  }
  for (const auto& network : *networks) shared_->addresses[network.uid] = network.address;
  adopted_ = true;
  drift_->read_ledger();
  read_state(now);
  return true;
}

// Runs here, and the store has never heard of it: it is killed and removed.
void Agent::take_foreign(const SandboxReport& report, Now now) {
  Entry entry;
  entry.object = make_foreign_pod(report);
  entry.foreign = true;
  entry.memory = agent::recall(entry.pod(), &report, now);
  log(LogLevel::warning, "removing a pod that nobody asks for",
      {{"pod", entry.object.key().text()}, {"uid", report.spec.uid}});
  pods_.emplace(report.spec.uid, std::move(entry));
}

// ---- events and ends of jobs ----

// Ends of containers and lost shims since the last look.
void Agent::take_events(Now now) {
  std::vector<SandboxEvent> events;
  if (threaded_) {
    shared_->events.with([&](auto& list) { events.swap(list); });
  } else {
    events = ports_.sandbox.wait_events(std::chrono::milliseconds(0));
  }
  for (const auto& event : events) take_event(event, now);
  take_settled_images();
  if (!shared_->images_changed.exchange(false)) return;
  for (auto& [uid, entry] : pods_) {
    for (auto& [name, of] : entry.memory.containers) {
      if (!of.problem || of.problem->reason.find("Image") == std::string::npos) continue;
      of.problem->retry_at = MonoTime::min();
      entry.dirty = true;
    }
  }
}

// A pull that has ended lets go of exactly those that wait for it: back-offs of others go on.
void Agent::take_settled_images() {
  std::set<std::string> settled;
  shared_->settled_images.with([&](auto& references) { settled.swap(references); });
  if (settled.empty()) return;
  for (auto& [uid, entry] : pods_) {
    for (auto& [name, of] : entry.memory.containers) {
      const Container* declared = agent::find_container(entry.pod().spec, name);
      if (declared == nullptr || settled.count(declared->image) == 0) continue;
      if (of.stage == agent::ContainerStage::starting) of.settled_early = true;
      if (!of.pulling) continue;
      of.pulling = false;
      entry.dirty = true;
    }
  }
}

void Agent::take_event(const SandboxEvent& event, Now now) {
  const auto known = pods_.find(event.uid);
  if (known == pods_.end()) return;
  Entry& entry = known->second;
  if (event.type == SandboxEvent::Type::exited) {
    take_exit(entry, event.container, now);
  } else if (event.type == SandboxEvent::Type::shim_lost) {
    agent::absorb_loss(entry.pod(), entry.memory, now);
    entry.dirty = true;
    post_notes(entry, {{true, "SandboxChanged",
                        "Pod sandbox changed, it will be killed and re-created.", {}}});
  } else {
    post_notes(entry, {{true, "OOMKilling",
                        "Memory limit reached in container " + event.container.name,
                        event.container.name}});
  }
}

// An end is recorded, and judged: whether somebody outside brought it about.
void Agent::take_exit(Entry& entry, ContainerReport report, Now now) {
  const Pod& pod = entry.pod();
  const Container* container = agent::find_container(pod.spec, report.name);
  if (container == nullptr) return;
  const bool fallback = container->termination_message_policy == "FallbackToLogsOnError";
  if (fallback && report.exit_code != 0 && report.termination_message.empty()) {
    const std::string logs = pod_log_directory(options_.log_dir, pod.metadata);
    report.termination_message = read_log_end(logs + "/" + report.name, report.attempt);
  }
  const bool from_outside =
      agent::is_killed_from_outside(report, entry.memory.containers[report.name]);
  if (!agent::absorb_exit(pod, entry.memory, report, now)) return;
  entry.dirty = true;
  if (ports_.watch != nullptr) ports_.watch->forget(pod.metadata.uid, report.name);
  if (!from_outside || entry.foreign || drift_mode(entry) == DriftMode::off) return;
  const bool init = agent::is_init_container(pod.spec, report.name);
  const std::string policy = agent::get_restart_policy(pod.spec, *container, init);
  const bool leaving = entry.vanished || pod.metadata.deletion_timestamp || entry.memory.stop_since;
  drift_->open_process(entry.object, report, policy != "Never" && !leaving, now);
}

// Ends of jobs. True when there were any, so that plans may have changed.
bool Agent::take_news(Now now) {
  std::vector<News> pieces;
  shared_->news.with([&](auto& list) { pieces.swap(list); });
  for (auto& piece : pieces) take_piece(piece, now);
  return !pieces.empty();
}

// Takes one job's end into the memory of its pod and tells what it means.
void Agent::take_piece(News& news, Now now) {
  if (news.error) {
    log(LogLevel::warning, "upkeep failed, the next sweep tries again",
        {{"uid", news.uid}, {"error", news.error->text()}});
  }
  if (news.look) return take_look(*news.look, now);
  const auto known = pods_.find(news.uid);
  if (known == pods_.end()) return;
  Entry& entry = known->second;
  if (news.batch) entry.memory.busy = false;
  entry.dirty = true;
  for (const auto& outcome : news.outcomes) {
    post_notes(entry, agent::absorb(entry.desired(), entry.memory, outcome, now,
                                    make_plan_options(options_)));
    const bool started = outcome.action.type == agent::Action::Type::start && !outcome.error;
    if (!started) continue;
    drift_->close_container(news.uid, outcome.action.container, now);
  }
  if (news.exceeded && !agent::is_over(entry.pod(), entry.memory)) {
    entry.memory.failed_reason = "Evicted";
    entry.memory.failed_message = *news.exceeded;
    post_notes(entry, {{true, "Evicted", *news.exceeded, {}}});
  }
  if (news.limits && !entry.foreign) {
    drift_->settle_limits(entry.object, *std::move(news.limits), now);
  }
}

}  // namespace moored
