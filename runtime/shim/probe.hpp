// Probes and hooks from inside the pod: exec in a container, or a request over its network.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/shim/loop.hpp"
#include "runtime/shim/record.hpp"
#include "runtime/shim/step.hpp"

namespace moored::shim {

class ContainerRun;

// Output beyond this is read and thrown away (bytes).
constexpr std::size_t kMaxProbeOutput = 10U << 10U;
// Probes of one pod that may run at once.
constexpr std::size_t kMaxProbes = 64;

struct ProbeAnswer {
  std::string outcome;  // success, failure, unknown
  std::string output;
  int exit_code = 0;  // exec only
};
using ProbeDone = std::function<void(const ProbeAnswer&)>;

// A probe under way. Destroying it stops it without an answer.
class Probe {
 public:
  virtual ~Probe() = default;
  // The child of an exec probe ended. False: not its child.
  virtual bool reap(pid_t) { return false; }
  // The time is over. Answers.
  virtual void expire() = 0;
};

// Runs probes side by side, each with its deadline.
class ProbeRunner {
 public:
  explicit ProbeRunner(Loop& loop) : loop_(loop) {}

  // request: type (exec, http, tcp, grpc), timeoutMillis and what the type needs. run: the running
  // container named by the request, or null. done is called exactly once, later.
  void start(const Record& request, const ContainerRun* run, ProbeDone done);
  bool reap(pid_t pid);

 private:
  using Id = std::uint64_t;
  void finish(Id id, const ProbeAnswer& answer, const ProbeDone& done);

  struct Running {
    std::unique_ptr<Probe> probe;
    Loop::Token timer = 0;
  };
  Loop& loop_;
  Id next_ = 1;
  std::map<Id, Running> running_;
};

// The steps of a process that joins a container: the container's own rights, another program.
std::vector<Step> plan_exec(const std::vector<Step>& container_steps,
                            const std::vector<std::string>& command);

// Each starts its probe or answers at once with unknown; done is never called inside.
std::unique_ptr<Probe> start_exec_probe(Loop& loop, const Record& request, const ContainerRun& run,
                                        ProbeDone done);
std::unique_ptr<Probe> start_net_probe(Loop& loop, const Record& request, ProbeDone done);

}  // namespace moored::shim
