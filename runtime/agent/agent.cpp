#include "runtime/agent/agent.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "runtime/agent/agent_parts.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "runtime/agent/pod_status.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/base/log.hpp"
#include "schema/codec/codec.hpp"

namespace moored {
namespace {

constexpr const char* kComponent = "moored-agent";
// Rounds of one step: work that ends at once makes more work. A bound, never reached in practice.
constexpr int kMaxRounds = 10'000;
constexpr Duration kAdoptRetry = std::chrono::seconds(1);
constexpr std::chrono::milliseconds kEventWait{500};

// Everything the agent tells is an observation of this machine.
Cause make_cause(std::string reason) {
  return {Cause::Actor::kernel, kComponent, std::move(reason)};
}

// The parts of the options that a pod can notice.
agent::Machine make_machine(const AgentOptions& options) {
  agent::Machine machine;
  machine.node_name = options.node.name;
  machine.log_dir = options.log_dir;
  machine.resolv_conf = options.resolv_conf;
  machine.hosts = options.hosts;
  machine.cpu = options.node.cpu;
  machine.memory = options.node.memory;
  if (machine.memory.value <= 0) machine.memory.value = 1;
  return machine;
}

// The first container of the pod that ran, for the receipt.
std::optional<Time> find_first_start(const PodStatus& status) {
  std::optional<Time> first;
  for (const auto& container : status.container_statuses) {
    const auto& state = container.state;
    std::optional<Time> at;
    if (state.running) at = state.running->started_at;
    if (state.terminated) at = state.terminated->started_at;
    if (at && (!first || *at < *first)) first = at;
  }
  return first;
}

}  // namespace

agent::PlanOptions make_plan_options(const AgentOptions& options) {
  agent::PlanOptions plan;
  plan.host_ip = options.node.address;
  plan.back_off_base = options.back_off_base;
  plan.back_off_cap = options.back_off_cap;
  return plan;
}

Agent::Shared::Shared(const AgentOptions& options, const AgentPorts& ports)
    : volumes(options.state_dir, options.run_dir),
      actor(ports.sandbox, ports.network, ports.images, ports.state, ports.clock, volumes,
            make_machine(options), ports.watch),
      signal(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  MOORED_ASSERT(signal);
}

void Agent::Shared::put(News piece) {
  news.with([&](auto& list) { list.push_back(std::move(piece)); });
  wake();
}

void Agent::Shared::wake() const {
  const std::uint64_t one = 1;
  // A full counter means that a wake-up is pending already.
  (void)!::write(signal.get(), &one, sizeof one);
}

Agent::Agent(AgentOptions options, AgentPorts ports, Executor& executor)
    : options_(std::move(options)),
      ports_(ports),
      executor_(executor),
      shared_(std::make_shared<Shared>(options_, ports_)) {
  if (options_.node.address.empty()) options_.node.address = ports_.network.node_address();
  const auto put = [shared = shared_](agent::DriftNews look) {
    News news;
    news.look = std::move(look);
    shared->put(std::move(news));
  };
  drift_ = std::make_unique<agent::DriftWatch>(
      agent::DriftWatchOptions{options_.state_dir, options_.node, options_.drift},
      agent::DriftWatchPorts{ports_.watch, ports_.network, ports_.facts, executor_, put,
                             [this] { return list_subjects(); }});
}

agent::PodDesired Agent::Entry::desired() const { return {pod(), vanished, foreign}; }

Agent::~Agent() = default;

// Only writes an eventfd: may be called from the writer's thread.
void Agent::wake() { shared_->wake(); }

void Agent::on_revision(void* context, std::int64_t) { static_cast<Agent*>(context)->wake(); }

void Agent::retry_images() {
  shared_->images_changed = true;
  wake();
}

void Agent::settle_image(const std::string& reference) {
  shared_->settled_images.with([&](auto& settled) { settled.insert(reference); });
  wake();
}

MonoTime Agent::step(Now now) {
  if (!adopted_ && !adopt(now)) return now.mono + kAdoptRetry;
  if (!node_reported_) report_node(now);
  for (int round = 0; round < kMaxRounds; ++round) {
    read_state(now);
    take_events(now);
    plan_due(now);
    if (!take_news(now)) break;
  }
  look_when_due(now);
  sweep(now);
  while (take_news(now)) plan_due(now);
  return find_next(now);
}

void Agent::run(const std::atomic<bool>& stop) {
  threaded_ = true;
  std::thread events([&] {
    while (!stop) {
      auto came = ports_.sandbox.wait_events(kEventWait);
      if (came.empty()) continue;
      shared_->events.with([&](auto& list) {
        for (auto& event : came) list.push_back(std::move(event));
      });
      shared_->wake();
    }
  });
  while (!stop) {
    const auto next = step(ports_.clock.now());
    ++rounds_;
    wait_until(next);
  }
  events.join();
  threaded_ = false;
}

// Sleeps until a time or the next wake-up.
void Agent::wait_until(MonoTime next) {
  const MonoTime now = ports_.clock.now().mono;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
  const int timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  // Negative descriptors are left out by the kernel.
  pollfd wanted[] = {{shared_->signal.get(), POLLIN, 0},
                     {drift_->watch_descriptor(), POLLIN, 0},
                     {drift_->network_descriptor(), POLLIN, 0}};
  ::poll(wanted, std::size(wanted), timeout);
  std::uint64_t count = 0;
  (void)!::read(shared_->signal.get(), &count, sizeof count);
}

// The earliest thing that comes without news.
MonoTime Agent::find_next(Now now) const {
  MonoTime next = next_sweep_.value_or(now.mono + options_.sweep);
  next = std::min(next, drift_->find_next().value_or(next));
  for (const auto& [uid, entry] : pods_) {
    if (entry.gone) continue;
    if (entry.dirty) next = std::min(next, now.mono);
    if (entry.wake) next = std::min(next, *entry.wake);
  }
  return next;
}

// ---- plan and act ----

// Pods with news and pods whose time has come; the others cost nothing.
void Agent::plan_due(Now now) {
  for (auto& [uid, entry] : pods_) {
    const bool due = entry.dirty || (entry.wake && *entry.wake <= now.mono);
    if (!entry.gone && due) plan_entry(entry, now);
  }
  // What the store does not know either is not waited for.
  for (auto it = pods_.begin(); it != pods_.end();) {
    const bool forgotten = it->second.gone && (it->second.vanished || it->second.foreign);
    it = forgotten ? pods_.erase(it) : std::next(it);
  }
}

// One turn of one pod: decide, remember, tell, act.
void Agent::plan_entry(Entry& entry, Now now) {
  entry.dirty = false;
  auto plan = agent::plan_pod(entry.desired(), entry.memory, now, make_plan_options(options_));
  entry.memory = std::move(plan.memory);
  entry.wake = plan.wake;
  post_notes(entry, plan.notes);
  if (plan.gone) {
    entry.gone = true;
    drift_->forget(entry.pod().metadata.uid, now);
    post_status(entry, plan.status, true);
    return;
  }
  if (!(plan.status == entry.posted)) post_status(entry, plan.status, false);
  submit(entry, plan.actions);
  submit_restarts(entry);
  submit_upkeep(entry);
}

// Batches of one pod run one after the other; probes and hooks run beside them.
void Agent::submit(Entry& entry, const std::vector<agent::Action>& actions) {
  agent::ActorPod pod{entry.object, entry.memory.address, {}, entry.memory.sandboxes_made};
  for (const auto& [name, of] : entry.memory.containers) pod.stop_signals[name] = of.stop_signal;
  const std::string uid = entry.pod().metadata.uid;
  std::vector<agent::Action> batch;
  for (const auto& action : actions) {
    if (!agent::runs_beside(action.type)) {
      batch.push_back(action);
      continue;
    }
    executor_.submit(Executor::Lane::probe, [shared = shared_, pod, uid, action] {
      News news;
      news.uid = uid;
      news.outcomes.push_back(shared->actor.perform(pod, action));
      shared->put(std::move(news));
    });
  }
  if (batch.empty()) return;
  executor_.submit(Executor::Lane::work, [shared = shared_, pod, uid, batch] {
    News news;
    news.uid = uid;
    news.batch = true;
    for (const auto& action : batch) news.outcomes.push_back(shared->actor.perform(pod, action));
    shared->put(std::move(news));
  });
}

// ---- what the core is told ----

// Tells the Node at the first step, and again when the store turns out not to have it.
void Agent::report_node(Now now) {
  const auto view = ports_.state.view();
  const auto recorded = view->find(key_of<Node>({}, options_.node.name));
  if (node_reported_ && recorded) return;
  node_reported_ = true;
  const Node* before = recorded ? &recorded->as<Node>() : nullptr;
  const Object node = make_object(make_node(options_.node, before, now.wall));
  ports_.facts.post(NodeObserved{node.key(), encode_json(node)}, make_cause("node observed"));
}

// A status is told only when it differs from the one told before.
void Agent::post_status(Entry& entry, const PodStatus& status, bool gone) {
  entry.posted = status;
  if (entry.foreign) return;  // the store never knew it
  PodObserved fact;
  fact.pod = entry.object.key();
  fact.uid = entry.pod().metadata.uid;
  fact.status = status;
  fact.gone = gone;
  fact.started_at = find_first_start(status);
  ports_.facts.post(std::move(fact), make_cause(gone ? "pod removed" : "pod observed"));
}

// News becomes events of the pod, or of one of its containers by field path.
void Agent::post_notes(const Entry& entry, const std::vector<agent::Note>& notes) {
  if (entry.foreign) return;  // there is no object that an event could be about
  for (const auto& note : notes) {
    EventObserved fact;
    fact.object = reference_to(entry.object);
    if (!note.container.empty()) {
      const bool init = agent::is_init_container(entry.pod().spec, note.container);
      fact.object.field_path = std::string(init ? "spec.initContainers{" : "spec.containers{") +
                               note.container + "}";
    }
    fact.warning = note.warning;
    fact.reason = note.reason;
    fact.message = note.message;
    fact.component = kComponent;
    ports_.facts.post(std::move(fact), make_cause(note.reason));
  }
}

}  // namespace moored
