#include "runtime/container/host_step.hpp"

#include <array>

#include "schema/base/assert.hpp"

namespace moored::container {
namespace {

struct Name {
  HostStepType type;
  const char* word;
};
constexpr std::array<Name, 9> kNames{{{HostStepType::directory, "directory"},
                                       {HostStepType::file, "file"},
                                       {HostStepType::group, "group"},
                                       {HostStepType::limits, "limits"},
                                       {HostStepType::devices, "devices"},
                                       {HostStepType::shared_memory, "shared-memory"},
                                       {HostStepType::shim, "shim"},
                                       {HostStepType::sysctls, "sysctls"},
                                       {HostStepType::create, "create"}}};

std::string number_or_max(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "max";
}

// Goes on after a failure: what can be removed is removed. Files and directories stay then: they
// tell whoever tries again what there is to remove.
Status undo_range(const std::vector<HostStep>& steps, std::size_t count, StepHost& host) {
  Status first;
  for (std::size_t i = count; i-- > 0;) {
    const bool record = steps[i].type == HostStepType::file ||
                        steps[i].type == HostStepType::directory;
    if (!first && record) continue;
    auto undone = host.undo(steps[i]);
    if (!undone && first) first = std::move(undone);
  }
  return first;
}

}  // namespace

const char* host_step_name(HostStepType type) {
  const auto index = static_cast<std::size_t>(type);
  MOORED_ASSERT(index < kNames.size() && kNames[index].type == type);
  return kNames[index].word;
}

// Only what tells two steps apart; contents of files are left to their own tests.
std::string describe(const HostStep& step) {
  std::string out = std::string(host_step_name(step.type)) + " " + step.path;
  if (step.type == HostStepType::limits) {
    out += " cpu " + std::to_string(step.limits.cpu_request_milli) + "m/" +
           number_or_max(step.limits.cpu_limit_milli) + " memory " +
           number_or_max(step.limits.memory_limit_bytes) + " pids " +
           number_or_max(step.limits.pids_limit) + (step.leaf ? " leaf" : "");
  }
  for (const auto& word : step.list)
    out += " " + word;
  if (step.type == HostStepType::create) {
    out += " " + step.text + "/" + std::to_string(step.number);
  }
  return out;
}

// The failing step is undone as well: it may have been carried out half way.
Status run_steps(const std::vector<HostStep>& steps, StepHost& host) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto done = host.carry_out(steps[i]);
    if (done) continue;
    // What cannot be undone now is found again by its directory; the cause is the first failure.
    static_cast<void>(undo_range(steps, i + 1, host));
    return Unexpected(std::move(done).error().context(host_step_name(steps[i].type)));
  }
  return {};
}

Status undo_steps(const std::vector<HostStep>& steps, StepHost& host) {
  return undo_range(steps, steps.size(), host);
}

}  // namespace moored::container
