// The node agent: makes this machine run the pods that are bound to it, and says how they are.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/agent/executor.hpp"
#include "runtime/agent/node_report.hpp"
#include "schema/model/drift_mode.hpp"

namespace moored {

class FactSink;
class ImageStore;
class PodNetwork;
class Sandbox;
class SandboxWatch;
struct ContainerReport;
struct SandboxEvent;
struct SandboxReport;
struct PodStatus;

namespace agent {
class DriftWatch;
struct Action;
struct DriftNews;
struct DriftSubject;
struct Note;
}  // namespace agent

struct AgentOptions {
  std::string state_dir;        // volumes and pod files: <state_dir>/pods/<uid>
  std::string run_dir;          // must be a tmpfs: secret volumes
  std::string log_dir;
  std::string resolv_conf = "/etc/resolv.conf";  // the node's own
  std::string hosts = "/etc/hosts";
  NodeFacts node;               // name, address, capacity, max_pods
  Duration back_off_base = std::chrono::seconds(10);
  Duration back_off_cap = std::chrono::seconds(300);
  Duration sweep = std::chrono::seconds(30);     // drift is seen at the latest after this
  DriftMode drift = DriftMode::correct;          // of pods that do not say it themselves
};

// Everything the agent touches. All of it outlives the agent and the executor's last job.
struct AgentPorts {
  StateSource& state;
  Sandbox& sandbox;
  PodNetwork& network;
  ImageStore& images;
  FactSink& facts;
  const Clock& clock;
  SandboxWatch* watch = nullptr;  // none: only limits, ends and networks are compared
};

// A follower: reads Pods, observes sandboxes, decides with pure functions, acts, posts facts.
// step() and run() belong to one thread; wake(), retry_images() and settle_image() may be called
// from any.
class Agent {
 public:
  Agent(AgentOptions options, AgentPorts ports, Executor& executor);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Does everything that is due. Gives the time at which something is due next; news (a commit, an
  // event, the end of a job) makes it due earlier. The first call adopts what runs already.
  MonoTime step(Now now);
  // Steps until stop is set and wake() was called. Starts a thread of its own that waits for
  // sandbox events.
  void run(const std::atomic<bool>& stop);
  // Steps that run() has finished, for a watchdog. Any thread.
  std::uint64_t rounds() const { return rounds_; }
  // Makes run() look again. Never blocks.
  void wake();
  // A RevisionSignal listener; context is the Agent.
  static void on_revision(void* context, std::int64_t resource_version);
  // An image came in: containers that wait for one try again at once.
  void retry_images();
  // The pull of an image has ended: containers that wait for it ask for what came of it.
  void settle_image(const std::string& reference);

 private:
  struct Entry;
  struct Shared;
  struct News;

  bool adopt(Now now);
  void take_foreign(const SandboxReport& report, Now now);
  void read_state(Now now);
  void read_everything(const StateView& view, Now now);
  void read_change(const Change& change, Now now);
  void take_pod(const Object& object, Now now);
  void note_vanished(const std::string& uid);
  void touch_references(const Object& object);
  void take_events(Now now);
  void take_event(const SandboxEvent& event, Now now);
  void take_settled_images();
  void take_exit(Entry& entry, ContainerReport report, Now now);
  bool take_news(Now now);
  void take_piece(News& news, Now now);
  void plan_due(Now now);
  void plan_entry(Entry& entry, Now now);
  void submit(Entry& entry, const std::vector<agent::Action>& actions);
  void submit_upkeep(Entry& entry);
  void sweep(Now now);
  void look_when_due(Now now);
  void submit_restarts(Entry& entry);
  void take_look(const agent::DriftNews& news, Now now);
  DriftMode drift_mode(const Entry& entry) const;
  bool is_looked_at(const Entry& entry) const;
  std::map<std::string, agent::DriftSubject> list_subjects() const;
  void report_node(Now now);
  void post_status(Entry& entry, const PodStatus& status, bool gone);
  void post_notes(const Entry& entry, const std::vector<agent::Note>& notes);
  std::size_t count_live() const;
  MonoTime find_next(Now now) const;
  void wait_until(MonoTime next);

  AgentOptions options_;
  AgentPorts ports_;
  Executor& executor_;
  std::shared_ptr<Shared> shared_;           // outlives jobs that are still under way
  std::map<std::string, Entry> pods_;        // by uid
  std::unique_ptr<agent::DriftWatch> drift_;
  bool adopted_ = false;
  bool threaded_ = false;
  std::atomic<std::uint64_t> rounds_{0};
  std::optional<std::int64_t> read_version_;
  std::optional<MonoTime> next_sweep_;
  bool node_reported_ = false;
};

}  // namespace moored
