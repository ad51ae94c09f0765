#include "runtime/shim/probe.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace moored::shim {
namespace {

// Of a timeout that makes no sense (0 or negative): Kubernetes' default.
constexpr std::int64_t kDefaultMillis = 1000;

// What makes the container's rights, in the order it was planned for the container.
bool belongs_to_exec(StepType type) {
  switch (type) {
    case StepType::working_directory:
    case StepType::limits:
    case StepType::bounding:
    case StepType::seccomp_early:
    case StepType::ids:
    case StepType::capabilities:
    case StepType::no_new_privileges:
    case StepType::seccomp:
    case StepType::environment:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<Step> plan_exec(const std::vector<Step>& container_steps,
                            const std::vector<std::string>& command) {
  std::vector<Step> steps;
  Step first;
  first.type = StepType::session;
  steps.push_back(first);
  for (const auto& step : container_steps) {
    if (belongs_to_exec(step.type)) steps.push_back(step);
  }
  Step last;
  last.type = StepType::execute;
  last.list = command;
  steps.push_back(last);
  return steps;
}

void ProbeRunner::start(const Record& request, const ContainerRun* run, ProbeDone done) {
  const Id id = next_++;
  const auto refuse = [&](const std::string& why) {
    loop_.start_timer(Steady::now(), [done, why] { done({"unknown", why, 0}); });
  };
  if (running_.size() >= kMaxProbes) return refuse("too many probes at once");
  const bool exec = request.text_of("type") == "exec";
  if (exec && run == nullptr) {
    return refuse("container " + request.text_of("container") + " does not run");
  }
  const ProbeDone end = [this, id, done](const ProbeAnswer& answer) { finish(id, answer, done); };
  auto probe =
      exec ? start_exec_probe(loop_, request, *run, end) : start_net_probe(loop_, request, end);
  const auto asked = request.number_of("timeoutMillis");
  const std::chrono::milliseconds timeout(asked > 0 ? asked : kDefaultMillis);
  Running entry;
  entry.probe = std::move(probe);
  entry.timer = loop_.start_timer(Steady::now() + timeout, [this, id] {
    const auto found = running_.find(id);
    if (found != running_.end()) found->second.probe->expire();
  });
  running_[id] = std::move(entry);
}

// Late answers of a probe that is gone find no entry.
void ProbeRunner::finish(Id id, const ProbeAnswer& answer, const ProbeDone& done) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  loop_.stop_timer(found->second.timer);
  // The probe is in the middle of a call of its own: it goes when that has returned.
  const std::shared_ptr<Probe> ended = std::move(found->second.probe);
  running_.erase(found);
  loop_.start_timer(Steady::now(), [ended] {});
  ProbeAnswer cut = answer;
  if (cut.output.size() > kMaxProbeOutput) cut.output.resize(kMaxProbeOutput);
  done(cut);
}

bool ProbeRunner::reap(pid_t pid) {
  for (const auto& entry : running_) {
    if (entry.second.probe->reap(pid)) return true;
  }
  return false;
}

}  // namespace moored::shim
