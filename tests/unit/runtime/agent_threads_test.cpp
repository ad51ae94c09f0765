// The agent's threads and their lanes.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/unit/runtime/agent_drive.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
using std::chrono::seconds;

TEST_CASE("threads run every job, and jobs of one lane do not wait for the other", "[agent]") {
  std::atomic<int> done{0};
  {
    ThreadExecutor executor(1, 1);
    std::atomic<bool> release{false};
    executor.submit(Executor::Lane::probe, [&] {
      while (!release) std::this_thread::yield();
      ++done;
    });
    for (int i = 0; i < 100; ++i) executor.submit(Executor::Lane::work, [&] { ++done; });
    while (done < 100) std::this_thread::yield();  // the probe still waits
    release = true;
    while (done < 101) std::this_thread::yield();
  }
  CHECK(done == 101);
}
