// One life of the daemon: the real store, loop, agent and follower on simulated ports.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "gitsync/follow/follower.hpp"
#include "reconciler/loop/loop.hpp"
#include "runtime/agent/agent.hpp"
#include "tests/sim/planted.hpp"
#include "tests/sim/remote.hpp"
#include "tests/unit/reconciler/fault_vfs.hpp"

namespace moored::sim {

// Jobs wait here until the simulation lets one run.
class SimExecutor final : public Executor {
 public:
  void submit(Lane lane, Job job) override;
  bool empty() const { return lanes_[0].empty() && lanes_[1].empty(); }
  // Runs the first job of a random lane that has one.
  void run_one(Dice& dice);

 private:
  std::deque<Job> lanes_[2];
};

// Everything that is not the daemon and outlives it.
struct Surroundings {
  SimClock& clock;
  Machine& machine;
  Remote& remote;
  Dice& dice;
  Odds& odds;
  std::string directory;
};

class Daemon {
 public:
  // Opens the store that an earlier life left. May throw DaemonKilled.
  explicit Daemon(Surroundings around);
  ~Daemon();

  // Why the start failed; empty: it did not.
  const std::string& failure() const { return failure_; }
  // Lets one part that has something to do now do it. False: nothing has. May throw DaemonKilled.
  bool run_one();
  // When something is due next.
  std::optional<MonoTime> find_due() const;
  std::shared_ptr<const StateView> view() const { return store_->view(); }
  // What watches read.
  const StateSource& watched() const { return *watch_state_; }
  // Lets one of the next writes of the store fail.
  void break_disk();
  void heal_disk() { disk_.heal(); }
  // The store's files as a power cut now would leave them.
  std::map<std::string, std::string> cut_power() const;
  // The audit chain from its beginning.
  std::string check_audit() const;

 private:
  enum class Part { loop, agent, follower, job };
  std::vector<Part> list_ready() const;
  void run(Part part);
  void record_start();
  void read_disk();
  static void on_revision(void* context, std::int64_t resource_version);

  Surroundings around_;
  std::string failure_;
  test::FaultDisk disk_;
  std::vector<test::DiskStep> found_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PlantedState> agent_state_;
  std::unique_ptr<PlantedState> watch_state_;
  int token_ = 0;
  Inbox inbox_;
  PlantedSink sink_;
  SimSandbox sandbox_;
  SimNetwork network_;
  SimImages images_;
  SimReader reader_;
  SimExecutor executor_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<GitFollower> follower_;
  std::optional<MonoTime> loop_due_;
  MonoTime agent_due_{};
  MonoTime follower_due_{};
  bool news_for_agent_ = true;
  bool news_for_follower_ = true;
};

}  // namespace moored::sim
