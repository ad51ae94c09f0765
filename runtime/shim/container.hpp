// One attempt of one container in the shim: its process, its log, its end.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/shim/log_file.hpp"
#include "runtime/shim/loop.hpp"
#include "runtime/shim/order.hpp"
#include "schema/base/result.hpp"
#include "schema/host/spawn.hpp"

namespace moored::shim {

// Moves from creating over created and running to exited; never back. Everything it does is driven
// by the loop's events; answers to CREATE and START come through the callbacks given with them.
class ContainerRun {
 public:
  using Answer = std::function<void(const Status&)>;
  // Called once when the attempt has ended and its exit is on disk.
  using Ended = std::function<void(const ContainerState&)>;
  // Called when the kernel killed something for lack of memory while the container goes on.
  using OutOfMemory = std::function<void(const ContainerState&)>;

  ContainerRun(Loop& loop, ContainerOrder order, int shared_pid_namespace);
  ContainerRun(const ContainerRun&) = delete;
  ContainerRun& operator=(const ContainerRun&) = delete;
  ~ContainerRun();

  // Starts the child; answers when it waits for START and state.json is durable.
  void create(Answer answer, Ended ended, OutOfMemory out_of_memory);
  // Releases the child; answers when exec succeeded or failed.
  void start(Answer answer);
  // pid 1 only, or everything in the cgroup. Errors: conflict (it has ended).
  Status signal(int number, bool all);
  // The process has changed state: reaps it if it ended. False: it still runs.
  bool reap();
  // Writes down that the daemon knows of the end.
  Status acknowledge();
  void rotate_log();

  const ContainerState& state() const { return state_; }
  const ContainerOrder& order() const { return order_; }
  int pidfd() const { return child_.pidfd.get(); }

 private:
  struct Stream {
    UniqueFd fd;
    Loop::Token token = 0;
    LogFramer framer;
    explicit Stream(const std::string& name) : framer(name) {}
  };

  Status begin();
  Status watch_streams();
  void read_stream(Stream& stream);
  void close_stream(Stream& stream);
  void read_control();
  void control_closed();
  void child_failed(const std::string& why);
  Status write_state() const;
  void ended_process(const ExitStatus& status);
  void finish();
  std::int64_t read_oom_kills() const;
  void read_termination_message();
  void watch_memory();
  void memory_changed();
  void tell_oom_kills();
  void settle(const Status& status);

  Loop& loop_;
  ContainerOrder order_;
  ContainerState state_;
  int shared_pid_namespace_;
  Child child_;
  UniqueFd control_;
  UniqueFd input_;
  Loop::Token control_token_ = 0;
  Loop::Token drain_timer_ = 0;
  std::unique_ptr<LogFile> log_;
  Stream out_{"stdout"};
  Stream err_{"stderr"};
  Answer answer_;
  Ended ended_;
  OutOfMemory out_of_memory_;
  std::int64_t oom_kills_at_start_ = 0;
  std::int64_t oom_kills_told_ = 0;
  UniqueFd memory_watch_;
  Loop::Token memory_token_ = 0;
  bool process_gone_ = false;
  bool start_asked_ = false;
  bool durable_ = false;  // state.json is written: a later daemon will find this attempt
};

// Whether a process of the v2 cgroup directory (or below) still exists.
bool cgroup_is_populated(const std::string& directory);
// Kills everything in a v2 cgroup and below it. Errors: not_found (no such cgroup).
Status kill_cgroup(const std::string& directory);

}  // namespace moored::shim
