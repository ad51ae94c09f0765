// The one page: facts and keys in, recorded plans out.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "reconciler/core/controller.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/diff/memo.hpp"
#include "reconciler/loop/event_damper.hpp"
#include "reconciler/loop/inbox.hpp"
#include "reconciler/store/store.hpp"
#include "schema/base/keyed_queue.hpp"

namespace moored {

struct LoopOptions {
  std::string node_name;
  std::string service_cidr = "10.210.0.0/16";
  ReduceOptions reduce;
  std::optional<Duration> relook = std::chrono::seconds(60);  // nothing: never; simulations only
  std::optional<CompactOptions> compact = CompactOptions{};   // once an hour; nothing: never
  std::size_t facts_at_once = 200;                            // in one transaction
  std::size_t keys_at_once = 200;
  const Clock* clock = nullptr;    // for the end of a decision; none: the time of the step
  std::size_t max_events = 1'000;  // Event objects; the oldest go, a tenth of this at a time
};

// Decides and records, on one thread. Everything else reads views and posts facts.
class Loop {
 public:
  using Reduce = Plan (*)(const Fact&, const PlanContext&, const ReduceOptions&);

  // Enqueues every object of every controller's kind. Store, inbox and random must outlive it.
  Loop(Store& store, Inbox& inbox, std::vector<std::unique_ptr<Controller>> controllers,
       Reduce reduce, Random& random, LoopOptions options);

  // Takes one batch of facts and one batch of keys. When to be called again at the latest, if no
  // fact comes: at once while there is work, nothing when only a fact can bring some.
  std::optional<MonoTime> step(Now now);
  // Steps until a stop is asked for; waits on the inbox in between.
  void run(const Clock& clock, std::stop_token stop);
  // Steps that run() has finished, for a watchdog. Any thread.
  std::uint64_t rounds() const { return rounds_; }

  // As they were after the newest step; any thread.
  std::size_t queue_size() const { return queue_size_; }
  std::size_t failing_count() const { return failing_count_; }

 private:
  struct Key {
    std::size_t controller;
    ObjectKey object;
    bool operator<(const Key& other) const;
  };

  void look_again(Now now);
  void take_facts(Now now);
  void take_keys(Now now);
  void wake_owners(const RecordResult& recorded);
  void count_events(const RecordResult& recorded);
  void wake_for(const Object& object, const StateView& view);
  void schedule(std::size_t controller, const Plan& plan, Now now);
  void schedule_any(const Plan& plan, Now now);
  void stamp_decision(Plan& plan, Now now) const;
  Plan& with_events(Plan& plan, const StateView& view, Now now);
  void keep_receipts(Now now);
  void keep_events(Now now);
  void keep_house(Now now);
  void load_receipts();
  PlanContext context(const StateView& view, Now now) const;

  Store& store_;
  Inbox& inbox_;
  std::vector<std::unique_ptr<Controller>> controllers_;
  Reduce reduce_;
  Random& random_;
  LoopOptions options_;
  ComparisonMemo memo_;
  KeyedQueue<Key> queue_;
  std::atomic<std::size_t> queue_size_{0};
  std::atomic<std::size_t> failing_count_{0};
  BackOff back_off_;
  EventDamper damper_;
  std::size_t events_ = 0;       // Event objects recorded
  std::int64_t counted_ = 0;     // the version up to which they were counted
  std::size_t new_events_ = 0;   // made in this step
  MonoTime events_due_{};        // of the next try to remove some
  unsigned failed_commits_ = 0;  // of facts, in a row
  MonoTime facts_due_{};         // facts wait until then after a failed commit
  std::optional<MonoTime> relook_due_;
  std::optional<MonoTime> compact_due_;
  std::atomic<std::uint64_t> rounds_{0};
  bool changed_ = true;                                       // since receipts were looked at last
  std::map<std::string, std::set<std::string>> known_steps_;  // by revision
};

}  // namespace moored
