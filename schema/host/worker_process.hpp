// A program of ours that meets foreign bytes for the daemon: its start, its socket, its end.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/confinement.hpp"
#include "schema/host/frame_channel.hpp"
#include "schema/host/spawn.hpp"

namespace moored {

// The descriptor on which a worker finds its socket to the daemon.
inline constexpr int kWorkerSocket = 3;

// Which program, as whom, and what it is told on its command line, the program's name not included.
struct WorkerOrder {
  std::string program;  // absolute path
  std::vector<std::string> arguments;
  WorkerUser user = {};  // it becomes this one itself: it is started with our rights
  // {ours, number in the worker}, beside its socket
  std::vector<std::pair<int, int>> descriptors = {};
};

// A running worker, or none. Its destructor kills the process group and reaps it.
class WorkerProcess {
 public:
  WorkerProcess() = default;
  // The worker gets nothing of our environment: no proxies, no credentials, no HOME with settings.
  // Its log is ours. stop (not owned, may be -1) makes receive() on the channel give up once it is
  // readable. Errors: exhausted; those of spawn().
  static Result<WorkerProcess> start(const WorkerOrder& order, int stop);

  ~WorkerProcess() { end(); }
  WorkerProcess(WorkerProcess&&) = default;
  WorkerProcess& operator=(WorkerProcess&& other) noexcept;

  // Kills the process, if there is one, and waits until it is gone.
  void end();

  explicit operator bool() const { return static_cast<bool>(channel_); }
  const FrameChannel& channel() const { return channel_; }

 private:
  Child child_;
  FrameChannel channel_;
};

// How a user stands on a worker's command line: written by the daemon behind all other words, and
// taken off again by the worker. Errors of taking: invalid (half a user, or no numbers).
void add_worker_user(std::vector<std::string>& arguments, const WorkerUser& user);
Result<WorkerUser> take_worker_user(std::vector<std::string>& arguments);

}  // namespace moored
