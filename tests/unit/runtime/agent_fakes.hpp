// The agent's surroundings in memory: a store, a sandbox, a network and images without a machine.
#pragma once

#include <stdlib.h>

#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/agent/agent.hpp"
#include "schema/model/pod.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/image_store.hpp"
#include "schema/ports/pod_network.hpp"
#include "schema/ports/sandbox_watch.hpp"
#include "schema/ports/sandbox.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::test {

// Time that moves only when told to.
class FakeClock final : public Clock {
 public:
  Now now() const override { return now_; }
  void advance(Duration by) {
    now_.wall += by;
    now_.mono += by;
  }

 private:
  Now now_{*parse_time("2026-01-02T03:04:05Z"), MonoTime(std::chrono::hours(1))};
};

// A store that takes the agent's facts as the core would.
class FakeStore final : public StateSource, public FactSink {
 public:
  class View final : public StateView {
   public:
    View(std::int64_t version, std::map<ObjectKey, Object> objects)
        : version_(version), objects_(std::move(objects)) {}
    std::int64_t resource_version() const override { return version_; }
    std::optional<Object> find(const ObjectKey& key) const override {
      const auto found = objects_.find(key);
      return found == objects_.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<Object> list(const Kind& kind, const std::string& name_space) const override {
      std::vector<Object> found;
      for (const auto& [key, object] : objects_) {
        const bool fits = name_space.empty() || key.namespace_name == name_space;
        if (key.kind == &kind && fits) found.push_back(object);
      }
      return found;
    }
    std::vector<Object> list_owned(const Kind&, const std::string&) const override { return {}; }

   private:
    std::int64_t version_;
    std::map<ObjectKey, Object> objects_;
  };

  std::shared_ptr<const StateView> view() const override {
    return std::make_shared<View>(version_, objects_);
  }
  Result<std::vector<Change>> changes_since(const Kind*, std::int64_t after,
                                            std::size_t limit) const override {
    std::vector<Change> found;
    for (const auto& change : changes_) {
      if (change.resource_version > after && found.size() < limit) found.push_back(change);
    }
    return found;
  }
  Result<std::shared_ptr<const StateView>> view_at(std::int64_t) const override {
    return fail(Code::exhausted, "not kept");
  }

  void put(const Object& object) {
    const bool known = objects_.count(object.key()) != 0;
    objects_[object.key()] = object;
    changes_.push_back({known ? Change::Type::modified : Change::Type::added, ++version_, object,
                        std::nullopt});
  }
  void remove(const ObjectKey& key) {
    const auto found = objects_.find(key);
    if (found == objects_.end()) return;
    changes_.push_back({Change::Type::deleted, ++version_, found->second, found->second});
    objects_.erase(found);
  }

  void post(Fact fact, Cause) override {
    if (auto* pod = std::get_if<PodObserved>(&fact)) {
      take(*pod);
    } else if (auto* event = std::get_if<EventObserved>(&fact)) {
      events.push_back(*event);
    } else if (auto* drift = std::get_if<DriftObserved>(&fact)) {
      drifts.push_back(drift->record);
    } else if (auto* node = std::get_if<NodeObserved>(&fact)) {
      nodes.push_back(node->node_json);
      const auto value = read_json(node->node_json);
      if (value) put(decode_stored(kind_of<Node>(), *value).value_or(Object{}));
    }
  }

  Pod pod(const std::string& name) const {
    const auto found = objects_.find(key_of<Pod>("default", name));
    return found == objects_.end() ? Pod{} : found->second.as<Pod>();
  }
  bool has_pod(const std::string& name) const {
    return objects_.count(key_of<Pod>("default", name)) != 0;
  }
  // How often an event with this reason was told.
  int count_events(const std::string& reason) const {
    int count = 0;
    for (const auto& event : events) count += event.reason == reason ? 1 : 0;
    return count;
  }
  std::string event_text(const std::string& reason) const {
    for (const auto& event : events) {
      if (event.reason == reason) return event.message;
    }
    return "no event " + reason;
  }

  std::vector<EventObserved> events;
  std::vector<DriftRecord> drifts;
  std::vector<std::string> nodes;
  std::vector<PodStatus> statuses;   // in the order in which they were posted
  bool records = true;               // false: facts about pods are lost

 private:
  void take(const PodObserved& fact) {
    statuses.push_back(fact.status);
    const auto found = objects_.find(fact.pod);
    if (!records || found == objects_.end()) return;
    if (fact.gone) return remove(fact.pod);
    Pod pod = found->second.as<Pod>();
    pod.status = fact.status;
    put(make_object(std::move(pod)));
  }

  std::int64_t version_ = 1;
  std::map<ObjectKey, Object> objects_;
  std::vector<Change> changes_;
};

// Containers that exist only as records. Every call is written down.
class FakeSandbox final : public Sandbox {
 public:
  struct Running {
    PodSandboxSpec spec;
    std::map<std::pair<std::string, int>, ContainerReport> containers;
    std::map<std::pair<std::string, int>, ContainerSpec> specs;
    std::map<std::string, CgroupLimits> limits;
  };

  explicit FakeSandbox(const Clock& clock) : clock_(clock) {}

  Status create_pod(const PodSandboxSpec& spec, const std::string& net_namespace) override {
    calls.push_back("create_pod " + spec.name + (net_namespace.empty() ? " host" : ""));
    if (auto error = take_failure("create_pod")) return Unexpected(*error);
    pods[spec.uid].spec = spec;
    pods[spec.uid].limits[""] = spec.limits;
    return {};
  }
  Status create_container(const std::string& uid, const ContainerSpec& spec) override {
    calls.push_back("create " + spec.name + " " + std::to_string(spec.attempt));
    if (pods.count(uid) == 0) return fail(Code::not_found, "no such pod");
    if (auto error = take_failure("create")) return Unexpected(*error);
    ContainerReport report;
    report.name = spec.name;
    report.attempt = spec.attempt;
    report.container_id = spec.container_id;
    report.phase = ContainerPhase::created;
    pods[uid].containers[{spec.name, spec.attempt}] = report;
    pods[uid].specs[{spec.name, spec.attempt}] = spec;
    pods[uid].limits[spec.name] = spec.limits;
    return {};
  }
  Result<ContainerReport> start_container(const std::string& uid, const std::string& name,
                                          int attempt) override {
    calls.push_back("start " + name + " " + std::to_string(attempt));
    if (auto error = take_failure("start")) return Unexpected(*error);
    auto& report = pods[uid].containers[{name, attempt}];
    report.phase = ContainerPhase::running;
    report.pid = 100;
    report.started_at = clock_.now().wall;
    return report;
  }
  Status signal_container(const std::string& uid, const std::string& name, int attempt, int signal,
                          bool all) override {
    calls.push_back("signal " + name + " " + std::to_string(signal) + (all ? " all" : ""));
    if (pods.count(uid) == 0 || pods[uid].containers.count({name, attempt}) == 0) {
      return fail(Code::not_found, "no such container");
    }
    if (auto error = take_failure("signal")) return Unexpected(*error);
    if (signal == 9) end(uid, name, 137, 9);
    if (signal != 9 && obeys) end(uid, name, 0, 0);
    return {};
  }
  Status remove_container(const std::string& uid, const std::string& name, int attempt) override {
    calls.push_back("remove " + name + " " + std::to_string(attempt));
    if (pods.count(uid) == 0) return fail(Code::not_found, "no such pod");
    pods[uid].containers.erase({name, attempt});
    return {};
  }
  Status remove_pod(const std::string& uid) override {
    calls.push_back("remove_pod");
    if (auto error = take_failure("remove_pod")) return Unexpected(*error);
    pods.erase(uid);
    return {};
  }
  Status update_limits(const std::string& uid, const std::string& container,
                       const CgroupLimits& limits) override {
    calls.push_back("update_limits " + container);
    pods[uid].limits[container] = limits;
    return {};
  }
  Result<CgroupLimits> read_limits(const std::string& uid, const std::string& container) override {
    if (pods.count(uid) == 0) return fail(Code::not_found, "no such pod");
    return pods[uid].limits[container];
  }
  Result<std::vector<ContainerReport>> list_containers(const std::string& uid) override {
    std::vector<ContainerReport> found;
    if (pods.count(uid) == 0) return fail(Code::not_found, "no such pod");
    for (const auto& [key, report] : pods[uid].containers) found.push_back(report);
    return found;
  }
  Result<ProbeResult> run_probe(const std::string&, const ProbeRequest& request) override {
    probes.push_back(request);
    if (answers.empty()) return ProbeResult{ProbeResult::Outcome::success, "", 0};
    ProbeResult result = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return result;
  }
  Result<std::vector<SandboxReport>> adopt() override {
    std::vector<SandboxReport> reports;
    for (const auto& [uid, pod] : pods) {
      SandboxReport report;
      report.spec = pod.spec;
      report.shim_alive = dead_shims.count(uid) == 0;
      for (const auto& [key, container] : pod.containers) report.containers.push_back(container);
      reports.push_back(std::move(report));
    }
    return reports;
  }
  std::vector<SandboxEvent> wait_events(std::chrono::milliseconds) override {
    std::vector<SandboxEvent> came;
    came.swap(events);
    return came;
  }

  // Ends the newest attempt of a container as the kernel would. silent: while nobody listens.
  void end(const std::string& uid, const std::string& name, int code, int signal = 0,
           bool silent = false) {
    ContainerReport* newest = nullptr;
    if (pods.count(uid) == 0) return;
    for (auto& [key, report] : pods[uid].containers) {
      if (key.first == name) newest = &report;
    }
    if (newest == nullptr || newest->phase == ContainerPhase::exited) return;
    newest->phase = ContainerPhase::exited;
    newest->exit_code = code;
    newest->signal = signal;
    newest->finished_at = clock_.now().wall;
    newest->termination_message = message;
    if (!silent) events.push_back({SandboxEvent::Type::exited, uid, *newest});
  }
  void lose_shim(const std::string& uid) {
    events.push_back({SandboxEvent::Type::shim_lost, uid, {}});
  }
  // The next call of this verb fails.
  void fail_next(const std::string& verb, Error error) { failures_[verb] = std::move(error); }

  int count(const std::string& call) const {
    int count = 0;
    for (const auto& made : calls) count += made == call ? 1 : 0;
    return count;
  }

  std::map<std::string, Running> pods;
  std::vector<SandboxEvent> events;
  std::vector<std::string> calls;
  std::vector<ProbeRequest> probes;
  std::deque<ProbeResult> answers;   // the last one stays
  std::set<std::string> dead_shims;
  std::string message;               // termination message of whatever ends next
  bool obeys = true;                 // programs end when they are asked to

 private:
  std::optional<Error> take_failure(const std::string& verb) {
    const auto found = failures_.find(verb);
    if (found == failures_.end()) return std::nullopt;
    Error error = found->second;
    failures_.erase(found);
    return error;
  }

  const Clock& clock_;
  std::map<std::string, Error> failures_;
};

class FakeNetwork final : public PodNetwork {
 public:
  Result<PodNetworkReport> create(const std::string& uid) override {
    if (full) return fail(Code::exhausted, "no address is free");
    made.insert(uid);
    return PodNetworkReport{uid, "/run/ns/" + uid, "10.209.0." + std::to_string(made.size() + 1)};
  }
  Status remove(const std::string& uid) override {
    made.erase(uid);
    return {};
  }
  Result<std::vector<PodNetworkReport>> list() override { return std::vector<PodNetworkReport>{}; }
  Result<std::vector<NetworkDrift>> correct(const NetworkModes&) override {
    std::vector<NetworkDrift> found;
    found.swap(drift);
    return found;
  }
  std::string node_address() const override { return "192.0.2.1"; }

  std::set<std::string> made;
  std::vector<NetworkDrift> drift;
  bool full = false;
};

// Says what it is told to, once it is asked.
class FakeWatch final : public SandboxWatch {
 public:
  void remember(const std::string& uid, const std::string& container, int attempt) override {
    remembered.push_back(uid + "/" + container + "/" + std::to_string(attempt));
  }
  void forget(const std::string&, const std::string&) override {}
  std::vector<SandboxDrift> look(const std::vector<WatchOrder>& pods) override {
    ++looks;
    orders = pods;
    std::vector<SandboxDrift> found;
    for (const auto& one : drift) {
      for (const auto& order : pods) {
        if (order.uid == one.uid) found.push_back(one);
      }
    }
    return found;
  }
  int descriptor() const override { return -1; }
  std::vector<WatchHint> take_hints() override { return std::exchange(hints, {}); }

  std::vector<SandboxDrift> drift;
  std::vector<WatchHint> hints;
  std::vector<WatchOrder> orders;
  std::vector<std::string> remembered;
  int looks = 0;
};

class FakeImages final : public ImageStore {
 public:
  FakeImages() {
    ImageReport image;
    image.name = "docker.io/library/busybox:1";
    image.digest = "sha256:" + std::string(64, 'a');
    image.command = {"sh"};
    images["busybox:1"] = image;
  }
  Result<ImageReport> find(const std::string& reference) override {
    const auto found = images.find(reference);
    if (found != images.end()) return found->second;
    if (reference.find(' ') != std::string::npos) {
      return Unexpected(fail(Code::invalid, "bad name").take().because("InvalidImageName"));
    }
    return fail(Code::not_found, "image \"" + reference + "\" is not on this machine");
  }
  Result<std::vector<ImageReport>> list() override { return std::vector<ImageReport>{}; }
  // With a registry: what is absent is under way until settle() was told of it.
  Result<ObtainedImage> obtain(const ImageRequest& request) override {
    requests.push_back(request);
    const auto answer = answers.find(request.requester);
    if (answer != answers.end()) {
      auto result = std::move(answer->second);
      answers.erase(answer);
      return result;
    }
    if (has_registry && (request.policy == "Always" || !find(request.reference))) {
      return Unexpected(Error{Code::unavailable, "on its way", kPullingReason, {}, {}});
    }
    return ImageStore::obtain(request);
  }

  bool has_registry = false;
  std::vector<ImageRequest> requests;
  std::map<std::string, Result<ObtainedImage>> answers;
  std::map<std::string, ImageReport> images;
};

// A directory that goes away with the test.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "moored-agent-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// An agent with everything around it.
class AgentBench {
 public:
  AgentBench() : sandbox(clock) { restart_daemon(); }

  // A new agent over what is there, as after a restart of the daemon.
  void restart_daemon() {
    AgentOptions options;
    options.state_dir = scratch.path() + "/state";
    options.run_dir = scratch.path() + "/run";
    options.log_dir = scratch.path() + "/log";
    options.resolv_conf = scratch.path() + "/resolv.conf";
    options.node.name = "node-1";
    options.node.address = "192.0.2.1";
    options.node.cpu = {4000};
    options.node.memory = {1LL << 33};
    options.node.max_pods = max_pods;
    options.node.architecture = "amd64";
    agent = std::make_unique<Agent>(
        options, AgentPorts{store, sandbox, network, images, store, clock, &watch}, executor);
  }
  // Lets time pass, stepping whenever something is due.
  void run_for(Duration span) {
    const MonoTime end = clock.now().mono + span;
    while (true) {
      MonoTime next = agent->step(clock.now());
      // What the step itself reported is news to the store, so the agent looks again.
      for (int i = 0; i < 20; ++i) next = agent->step(clock.now());
      if (next >= end) break;
      clock.advance(std::max<Duration>(next - clock.now().mono, std::chrono::milliseconds(1)));
    }
    if (clock.now().mono < end) clock.advance(end - clock.now().mono);
    agent->step(clock.now());
  }
  void settle() { run_for(Duration{}); }

  FakeClock clock;
  FakeStore store;
  FakeSandbox sandbox;
  FakeNetwork network;
  FakeWatch watch;
  FakeImages images;
  InlineExecutor executor;
  ScratchDirectory scratch;
  int max_pods = 500;
  std::unique_ptr<Agent> agent;
};

// A pod with one container, bound to the node.
inline Pod make_pod(const std::string& name) {
  Pod pod;
  pod.metadata.name = name;
  pod.metadata.namespace_name = "default";
  pod.metadata.uid = "uid-" + name;
  pod.metadata.resource_version = "7";
  pod.spec.node_name = "node-1";
  pod.spec.restart_policy = "Always";
  pod.spec.dns_policy = "Default";
  pod.spec.termination_grace_period_seconds = 30;
  Container container;
  container.name = "main";
  container.image = "busybox:1";
  container.image_pull_policy = "IfNotPresent";
  pod.spec.containers.push_back(std::move(container));
  return pod;
}

}  // namespace moored::test
