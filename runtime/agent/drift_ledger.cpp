#include "runtime/agent/drift_ledger.hpp"

#include "schema/host/sha256.hpp"

namespace moored::agent {
namespace {

constexpr int kKillSignal = 9;
constexpr std::size_t kIdDigits = 16;

// The same difference since the same moment has the same id.
std::string make_id(const DriftRecord& record) {
  const auto micros = record.onset.time_since_epoch().count();
  return sha256_hex(record.uid + "/" + record.field + "/" + std::to_string(micros))
      .substr(0, kIdDigits);
}

}  // namespace

bool is_killed_from_outside(const ContainerReport& report, const ContainerMemory& before) {
  return report.signal == kKillSignal && !report.oom_killed && report.start_error.empty() &&
         !before.killed_by_us;
}

DriftRecord DriftLedger::open_process(const Object& pod, const ContainerReport& report,
                                      bool restarts, Time now) {
  DriftRecord record;
  record.object = pod.key();
  record.uid = pod.meta().uid;
  record.field = "process[" + report.name + "]";
  record.desired = "running";
  record.observed = "killed by signal " + std::to_string(report.signal);
  record.onset = report.finished_at.value_or(now);
  record.id = make_id(record);
  if (restarts) {
    open_[{record.uid, report.name}] = record;
  } else {
    record.correction = "none: the restart policy leaves it ended";
    record.corrected_at = now;
  }
  return record;
}

std::optional<DriftRecord> DriftLedger::close_process(const std::string& uid,
                                                      const std::string& container, Time now) {
  const auto found = open_.find({uid, container});
  if (found == open_.end()) return std::nullopt;
  DriftRecord record = std::move(found->second);
  open_.erase(found);
  record.correction = "restarted";
  record.corrected_at = now;
  return record;
}

DriftRecord DriftLedger::make_corrected(const Object& pod, DriftRecord found, Time now) {
  found.object = pod.key();
  found.uid = pod.meta().uid;
  found.onset = now;
  found.corrected_at = now;
  found.id = make_id(found);
  return found;
}

void DriftLedger::forget(const std::string& uid) {
  auto it = open_.lower_bound({uid, std::string()});
  while (it != open_.end() && it->first.first == uid) it = open_.erase(it);
}

}  // namespace moored::agent
