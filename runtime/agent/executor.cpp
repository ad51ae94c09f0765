#include "runtime/agent/executor.hpp"

#include <utility>

namespace moored {

ThreadExecutor::ThreadExecutor(std::size_t work_threads, std::size_t probe_threads) {
  for (std::size_t i = 0; i < work_threads; ++i) {
    threads_.emplace_back([this] { serve(work_); });
  }
  for (std::size_t i = 0; i < probe_threads; ++i) {
    threads_.emplace_back([this] { serve(probe_); });
  }
}

ThreadExecutor::~ThreadExecutor() {
  close(work_);
  close(probe_);
  for (auto& thread : threads_) thread.join();
}

void ThreadExecutor::submit(Lane lane, Job job) {
  Queue& queue = lane == Lane::work ? work_ : probe_;
  {
    const std::lock_guard lock(queue.mutex);
    queue.jobs.push_back(std::move(job));
  }
  queue.filled.notify_one();
}

std::size_t ThreadExecutor::size(Lane lane) const {
  const Queue& queue = lane == Lane::work ? work_ : probe_;
  const std::lock_guard lock(queue.mutex);
  return queue.jobs.size();
}

// The life of one thread.
void ThreadExecutor::serve(Queue& queue) {
  while (true) {
    Job job;
    {
      std::unique_lock lock(queue.mutex);
      queue.filled.wait(lock, [&] { return queue.closed || !queue.jobs.empty(); });
      if (queue.closed) return;
      job = std::move(queue.jobs.front());
      queue.jobs.pop_front();
    }
    job();
  }
}

void ThreadExecutor::close(Queue& queue) {
  {
    const std::lock_guard lock(queue.mutex);
    queue.closed = true;
  }
  queue.filled.notify_all();
}

}  // namespace moored
