#include "runtime/agent/drift_ledger.hpp"

#include <set>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"

namespace moored::agent {
namespace {

constexpr int kKillSignal = 9;
constexpr std::size_t kIdDigits = 16;
constexpr const char* kOver = "none: it is over without our doing";

// The same difference since the same moment has the same id.
std::string make_id(const DriftRecord& record) {
  const auto micros = record.onset.time_since_epoch().count();
  return sha256_hex(record.uid + "/" + record.field + "/" + record.desired + "/" +
                    std::to_string(micros))
      .substr(0, kIdDigits);
}

std::string text_of(const Value& map, std::string_view name) {
  const Value* found = map.find(name);
  return found == nullptr ? std::string() : found->scalar;
}

}  // namespace

bool is_killed_from_outside(const ContainerReport& report, const ContainerMemory& before) {
  return report.signal == kKillSignal && !report.oom_killed && report.start_error.empty() &&
         !before.killed_by_us;
}

DriftRecord DriftLedger::close(DriftRecord record, std::string correction, Time now) {
  record.correction = std::move(correction);
  record.corrected_at = now;
  return record;
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
  if (!restarts) return close(record, "none: the restart policy leaves it ended", now);
  open_[{record.uid, DriftScope::process, record.field, record.desired}] = {record, report.name};
  return record;
}

std::vector<DriftRecord> DriftLedger::close_container(const std::string& uid,
                                                      const std::string& container, Time now) {
  std::vector<DriftRecord> closed;
  for (auto it = open_.begin(); it != open_.end();) {
    if (it->first.uid != uid || it->second.container != container) {
      ++it;
      continue;
    }
    closed.push_back(close(std::move(it->second.record), "restarted", now));
    it = open_.erase(it);
  }
  return closed;
}

// A difference that is found and put right in one go is one record; one that lasts is two, with
// one id.
std::vector<DriftRecord> DriftLedger::settle(const Object& object, DriftScope scope,
                                             std::vector<DriftRecord> found, Time now) {
  std::vector<DriftRecord> news;
  std::set<Key> seen;
  const std::string& uid = object.meta().uid;
  const std::string scope_uid = object.is<Node>() ? std::string() : uid;
  for (auto& record : found) {
    const Key key{scope_uid, scope, record.field, record.desired};
    seen.insert(key);
    const auto known = open_.find(key);
    std::string correction = std::move(record.correction);
    if (known != open_.end()) {
      if (correction.empty()) continue;
      news.push_back(close(std::move(known->second.record), std::move(correction), now));
      open_.erase(known);
      continue;
    }
    record.correction.clear();
    record.object = object.key();
    record.uid = uid;
    record.onset = now;
    record.id = make_id(record);
    if (correction.empty()) {
      open_[key] = {record, {}};
    } else {
      record = close(std::move(record), std::move(correction), now);
    }
    news.push_back(std::move(record));
  }
  for (auto it = open_.begin(); it != open_.end();) {
    const bool ours = it->first.uid == scope_uid && it->first.scope == scope;
    if (!ours || seen.count(it->first) > 0 || !it->second.container.empty()) {
      ++it;
      continue;
    }
    news.push_back(close(std::move(it->second.record), kOver, now));
    it = open_.erase(it);
  }
  return news;
}

void DriftLedger::await_restart(const std::string& uid, const std::string& field,
                                const std::string& container) {
  for (auto& [key, open] : open_) {
    if (key.uid == uid && key.field == field) open.container = container;
  }
}

std::vector<DriftRecord> DriftLedger::forget(const std::string& uid, Time now) {
  std::vector<DriftRecord> closed;
  auto it = open_.lower_bound({uid, DriftScope::process, {}, {}});
  while (it != open_.end() && it->first.uid == uid) {
    closed.push_back(close(std::move(it->second.record), "none: the pod is gone", now));
    it = open_.erase(it);
  }
  return closed;
}

std::vector<std::string> DriftLedger::list_uids() const {
  std::set<std::string> uids;
  for (const auto& [key, open] : open_) uids.insert(key.uid);
  uids.erase(std::string());
  return {uids.begin(), uids.end()};
}

std::string DriftLedger::text() const {
  Value list = Value::make_list();
  for (const auto& [key, open] : open_) {
    Value row = Value::make_map();
    const auto& record = open.record;
    const auto put = [&](const char* name, const std::string& text) {
      row.put(name, Value::of_text(text));
    };
    put("scopeUid", key.uid);
    row.put("scope", Value::of_integer(static_cast<int>(key.scope)));
    put("id", record.id);
    put("kind", record.object.kind == &kind_of<Node>() ? "Node" : "Pod");
    put("namespace", record.object.namespace_name);
    put("name", record.object.name);
    put("uid", record.uid);
    put("field", record.field);
    put("desired", record.desired);
    put("observed", record.observed);
    put("actor", record.actor);
    row.put("onset", Value::of_integer(record.onset.time_since_epoch().count()));
    put("container", open.container);
    list.items.push_back(std::move(row));
  }
  return write_json(list) + "\n";
}

Result<DriftLedger> DriftLedger::parse(std::string_view text) {
  DriftLedger ledger;
  MOORED_TRY(const auto list, read_json(text));
  for (const auto& row : list.items) {
    Open open;
    auto& record = open.record;
    record.id = text_of(row, "id");
    const bool node = text_of(row, "kind") == "Node";
    record.object = {node ? &kind_of<Node>() : &kind_of<Pod>(), text_of(row, "namespace"),
                     text_of(row, "name")};
    record.uid = text_of(row, "uid");
    record.field = text_of(row, "field");
    record.desired = text_of(row, "desired");
    record.observed = text_of(row, "observed");
    record.actor = text_of(row, "actor");
    record.onset = Time(Duration(std::strtoll(text_of(row, "onset").c_str(), nullptr, 10)));
    open.container = text_of(row, "container");
    const auto scope = std::strtol(text_of(row, "scope").c_str(), nullptr, 10);
    if (record.id.empty() || scope < 0 || scope > static_cast<int>(DriftScope::network)) {
      return fail(Code::corrupt, "a row of open drift has no id or scope");
    }
    ledger.open_[{text_of(row, "scopeUid"), static_cast<DriftScope>(scope), record.field,
                  record.desired}] = std::move(open);
  }
  return ledger;
}

}  // namespace moored::agent
