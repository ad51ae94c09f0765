// Where the agent's blocking work runs: threads in the daemon, the caller's own in simulation.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace moored {

// A seam of the simulation. Jobs must not throw.
class Executor {
 public:
  enum class Lane {
    work,   // starts, stops, removals: few at a time
    probe,  // probes and hooks, which wait for somebody else
  };
  using Job = std::function<void()>;

  virtual ~Executor() = default;
  // Runs the job now or later, in the order of submission of its lane. Thread safe.
  virtual void submit(Lane lane, Job job) = 0;
};

// Runs every job at once, before submit returns: single threaded and repeatable.
class InlineExecutor final : public Executor {
 public:
  void submit(Lane, Job job) override { job(); }
};

// A fixed number of threads for each lane. The queues are bounded by the agent, which has at most
// one batch of work, and one probe of each kind and container, under way.
class ThreadExecutor final : public Executor {
 public:
  ThreadExecutor(std::size_t work_threads, std::size_t probe_threads);
  // Waits for the jobs that run; those still queued are dropped.
  ~ThreadExecutor() override;
  void submit(Lane lane, Job job) override;
  // Jobs that no thread has taken yet.
  std::size_t size(Lane lane) const;

 private:
  struct Queue {
    mutable std::mutex mutex;
    std::condition_variable filled;
    std::deque<Job> jobs;
    bool closed = false;
  };
  static void serve(Queue& queue);
  static void close(Queue& queue);

  Queue work_;
  Queue probe_;
  std::vector<std::thread> threads_;
};

}  // namespace moored
