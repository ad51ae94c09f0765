#include "reconciler/loop/reports.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "reconciler/controllers/health.hpp"
#include "reconciler/core/recovery.hpp"
#include "reconciler/loop/receipts.hpp"
#include "reconciler/store/store.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

void put_text(Value& map, std::string_view name, const std::string& text) {
  map.put(name, Value::of_text(text));
}

void put_if(Value& map, std::string_view name, const std::string& text) {
  if (!text.empty()) put_text(map, name, text);
}

std::string full_name(const ObjectMeta& meta) {
  return meta.namespace_name + "/" + meta.name;
}

void put_condition(Value& map, const std::vector<Condition>& conditions) {
  const Condition* ready = find_condition(conditions, "Ready");
  map.put("ready", Value::of_boolean(ready != nullptr && ready->status == "True"));
  put_if(map, "reason", ready == nullptr ? "" : ready->reason);
  put_if(map, "message", ready == nullptr ? "" : ready->message);
}

Value source_row(const GitRepository& source) {
  Value row = Value::make_map();
  put_text(row, "name", full_name(source.metadata));
  put_text(row, "url", mask_url(source.spec.url));
  const auto& artifact = source.status.artifact;
  put_if(row, "revision", artifact ? artifact->revision : "");
  if (artifact && artifact->last_update_time) {
    put_text(row, "fetched", format_time(*artifact->last_update_time));
  }
  put_condition(row, source.status.conditions);
  if (source.spec.suspend) row.put("suspended", Value::of_boolean(true));
  return row;
}

Value unit_row(const Kustomization& unit) {
  Value row = Value::make_map();
  put_text(row, "name", full_name(unit.metadata));
  const auto& reference = unit.spec.source_ref;
  put_text(
      row, "source",
      (reference.namespace_name.empty() ? unit.metadata.namespace_name : reference.namespace_name) +
          "/" + reference.name);
  put_text(row, "path", unit.spec.path);
  put_if(row, "revision", unit.status.last_applied_revision);
  put_if(row, "attempted", unit.status.last_attempted_revision);
  const auto& inventory = unit.status.inventory;
  row.put("objects",
          Value::of_integer(inventory ? static_cast<std::int64_t>(inventory->entries.size()) : 0));
  put_condition(row, unit.status.conditions);
  if (unit.spec.suspend) row.put("suspended", Value::of_boolean(true));
  return row;
}

struct Unwell {
  std::string object;
  HealthReport report;
};

// What units declare and is not well, failed before progressing.
std::vector<Unwell> list_unwell(const StateView& view) {
  std::vector<Unwell> out;
  for (const Kind* kind : all_kinds()) {
    for (const Object& object : view.list(*kind)) {
      const bool declared =
          !object.provenance().unit.empty() && find_controller(object.meta()) == nullptr;
      if (!declared) continue;
      HealthReport report = judge(object, view);
      if (report.health != Health::ready) out.push_back({object.key().text(), std::move(report)});
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Unwell& a, const Unwell& b) {
    return a.report.health > b.report.health;
  });
  return out;
}

Value unwell_row(const Unwell& unwell) {
  Value row = Value::make_map();
  put_text(row, "object", unwell.object);
  put_text(row, "state", unwell.report.health == Health::failed ? "failed" : "progressing");
  const std::string reason = reason_in_text(unwell.report.message);
  put_text(row, "reason", reason.empty() ? "Progressing" : reason);
  put_text(row, "message", unwell.report.message);
  return row;
}

Value times_row(const DriftRecord& record) {
  Value row = Value::make_map();
  put_text(row, "id", record.id);
  put_text(row, "object", record.object.text());
  put_if(row, "uid", record.uid);
  put_text(row, "field", record.field);
  put_text(row, "desired", record.desired);
  put_text(row, "observed", record.observed);
  put_if(row, "actor", record.actor);
  put_text(row, "onset", format_micro_time(record.onset));
  row.put("open", Value::of_boolean(!record.corrected_at.has_value()));
  put_if(row, "correction", record.correction);
  if (record.corrected_at) {
    put_text(row, "corrected", format_micro_time(*record.corrected_at));
    put_text(row, "duration", format_duration(*record.corrected_at - record.onset));
  }
  return row;
}

std::string text_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value == nullptr ? std::string() : value->scalar;
}

// Copies members that are there.
void copy(const Value& from, Value& to, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const Value* value = from.find(name)) to.put(name, *value);
  }
}

// What all items of one audit row have in common.
Value history_item(const Value& row, std::int64_t seq) {
  Value item = Value::make_map();
  item.put("seq", Value::of_integer(seq));
  copy(row, item, {"time", "actor", "name"});
  put_text(item, "cause", text_in(row, "reason"));
  put_text(item, "result", text_in(row, "result"));
  return item;
}

Value changed_item(const Value& row, std::int64_t seq, const Value& change) {
  Value item = history_item(row, seq);
  copy(change, item, {"resourceVersion", "verb", "object", "uid", "why"});
  const Value* fields = change.find("fields");
  item.put("changes", fields == nullptr ? Value::make_list() : *fields);
  copy(change, item, {"fieldsLeftOut", "source"});
  return item;
}

Value drift_item(const Value& row, std::int64_t seq, const Value& drift) {
  Value item = history_item(row, seq);
  const bool corrected = !text_in(drift, "correction").empty();
  put_text(item, "verb", corrected ? "corrected" : "drifted");
  copy(drift, item, {"object"});
  put_text(item, "why", corrected ? text_in(drift, "correction") : text_in(drift, "actor"));
  Value field = Value::make_map();
  put_text(field, "path", text_in(drift, "field"));
  put_text(field, "before", text_in(drift, corrected ? "observed" : "desired"));
  put_text(field, "after", text_in(drift, corrected ? "desired" : "observed"));
  item.put("changes", Value::make_list()).items.push_back(std::move(field));
  return item;
}

Value operator_item(const Value& row, std::int64_t seq, const Value& acted) {
  Value item = history_item(row, seq);
  copy(acted, item, {"verb"});
  put_text(item, "object", text_in(acted, "subject"));
  put_text(item, "why", text_in(acted, "process") + " uid " + text_in(acted, "uid"));
  item.put("changes", Value::make_list());
  put_text(item, "outcome", text_in(acted, "result"));
  return item;
}

// The items of one audit row; with an object only those that speak of it.
void add_items(const AuditEntry& entry, const std::string& object, std::size_t limit, Value& out) {
  const auto row = read_json(entry.canonical_json);
  if (!row) return;
  const auto add = [&](std::string_view part, auto make) {
    const Value* list = row->find(part);
    if (list == nullptr) return;
    for (const Value& value : list->items) {
      if (out.items.size() >= limit) return;
      if (object.empty() || text_in(value, "object") == object) {
        out.items.push_back(make(*row, entry.seq, value));
      }
    }
  };
  add("changes", &changed_item);
  add("drift", &drift_item);
  add("operators", &operator_item);
}

Value items_of(Value list) {
  Value out = Value::make_map();
  out.put("items", std::move(list));
  return out;
}

// What is still open after a loss of the store.
std::optional<Value> recovering_row(const StateView& view) {
  for (const Object& node : view.list(kind_of<Node>())) {
    const Condition* found =
        find_condition(node.as<Node>().status.conditions, kRecoveringCondition);
    if (found == nullptr || found->status != "True") continue;
    Value row = Value::make_map();
    put_text(row, "reason", found->reason);
    put_text(row, "message", found->message);
    return row;
  }
  return std::nullopt;
}

// The declared objects that a commit touched, as its audit rows say.
Value touched_objects(const std::vector<AuditEntry>& rows) {
  Value out = Value::make_list();
  for (auto entry = rows.rbegin(); entry != rows.rend(); ++entry) {
    const auto row = read_json(entry->canonical_json);
    const Value* changes = row ? row->find("changes") : nullptr;
    if (changes == nullptr) continue;
    for (const Value& change : changes->items) {
      const std::string object = text_in(change, "object");
      const bool own =
          object.rfind("Kustomization/", 0) == 0 || object.rfind("GitRepository/", 0) == 0;
      if (own && text_in(change, "verb") == "updated") continue;
      Value item = Value::make_map();
      copy(change, item, {"object", "verb", "resourceVersion"});
      out.items.push_back(std::move(item));
    }
  }
  return out;
}

// The place of a step in the order of the work, for those that are seen in one moment.
std::size_t place_of_step(const std::string& step) {
  constexpr std::array<std::string_view, 9> kWork{
      "seen", "fetched", "rendered", "validated", "held",
      "planned", "committed", "scheduled", "started"};
  return static_cast<std::size_t>(std::find(kWork.begin(), kWork.end(), step) - kWork.begin());
}

Value step_rows(std::vector<ReceiptEntry> steps) {
  std::stable_sort(steps.begin(), steps.end(), [](const ReceiptEntry& a, const ReceiptEntry& b) {
    return std::pair(a.time, place_of_step(a.step)) < std::pair(b.time, place_of_step(b.step));
  });
  Value out = Value::make_list();
  for (const ReceiptEntry& entry : steps) {
    if (entry.step == kCommitStep) continue;
    Value row = Value::make_map();
    put_text(row, "name", entry.step);
    put_text(row, "time", format_micro_time(entry.time));
    put_if(row, "detail", entry.detail);
    out.items.push_back(std::move(row));
  }
  return out;
}

Value commit_row(const std::vector<ReceiptEntry>& steps) {
  for (const ReceiptEntry& entry : steps) {
    if (entry.step != kCommitStep) continue;
    if (auto commit = read_json(entry.detail)) return *std::move(commit);
  }
  Value commit = Value::make_map();
  put_text(commit, "sha", steps.front().sha);
  return commit;
}

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) ==
                  std::tolower(static_cast<unsigned char>(y));
         });
}

const Kind* find_kind_by_any_name(std::string_view name) {
  for (const Kind* kind : all_kinds()) {
    if (same_word(name, kind->kind) || same_word(name, kind->plural) ||
        same_word(name, kind->singular)) {
      return kind;
    }
    for (const std::string_view alias : kind->short_names) {
      if (same_word(name, alias)) return kind;
    }
  }
  return nullptr;
}

}  // namespace

Result<Value> StoreReports::read_status() const {
  const auto view = store_.view();
  Value out = Value::make_map();
  out.put("resourceVersion", Value::of_integer(view->resource_version()));
  Value sources = Value::make_list();
  for (const Object& object : view->list(kind_of<GitRepository>())) {
    sources.items.push_back(source_row(object.as<GitRepository>()));
  }
  Value units = Value::make_list();
  bool ready = true;
  for (const Object& object : view->list(kind_of<Kustomization>())) {
    Value row = unit_row(object.as<Kustomization>());
    ready = ready && row.find("ready")->scalar == "true";
    units.items.push_back(std::move(row));
  }
  const auto unwell = list_unwell(*view);
  Value not_ready = Value::make_list();
  for (std::size_t i = 0; i < unwell.size() && i < kMaxNotReady; ++i) {
    not_ready.items.push_back(unwell_row(unwell[i]));
  }
  const auto home = view->find(key_of<Kustomization>("moored-system", "default"));
  put_text(out, "revision",
           home                  ? home->as<Kustomization>().status.last_applied_revision
           : units.items.empty() ? ""
                                 : text_in(units.items[0], "revision"));
  auto recovering = recovering_row(*view);
  out.put("ready", Value::of_boolean(ready && unwell.empty() && !recovering));
  if (recovering) out.put("recovering", *std::move(recovering));
  out.put("sources", std::move(sources));
  out.put("units", std::move(units));
  out.put("notReady", std::move(not_ready));
  out.put("notReadyCount", Value::of_integer(static_cast<std::int64_t>(unwell.size())));
  return out;
}

Result<Value> StoreReports::read_receipt(const std::string& sha) const {
  constexpr std::size_t kMaxRows = 100;
  MOORED_TRY(const auto steps, store_.read_receipt(sha));
  const std::string& revision = steps.front().revision;
  const auto view = store_.view();
  const bool current = current_revisions(*view).count(revision) > 0;
  // What units at this revision are now counts more than what was seen first.
  const auto now = judge_units(*view, revision);
  const ReceiptOutcome outcome = now ? *now : judge_receipt(steps, current);
  MOORED_TRY(const auto rows, store_.read_audit(revision, kMaxRows));
  Value out = Value::make_map();
  put_text(out, "revision", revision);
  out.put("commit", commit_row(steps));
  out.put("steps", step_rows(steps));
  put_text(out, "outcome", outcome.word);
  put_if(out, "reason", outcome.reason);
  put_if(out, "message", outcome.message);
  out.put("objects", touched_objects(rows));
  return out;
}

Result<Value> StoreReports::read_history(const std::string& object, std::size_t limit) const {
  std::string subject;
  if (!object.empty()) {
    MOORED_TRY(subject, parse_object_name(object));
  }
  MOORED_TRY(const auto rows, store_.read_audit(subject, limit));
  Value list = Value::make_list();
  for (const AuditEntry& entry : rows)
    add_items(entry, subject, limit, list);
  return items_of(std::move(list));
}

Result<Value> StoreReports::read_drift(std::size_t limit) const {
  MOORED_TRY(const auto records, store_.read_drift(limit));
  Value list = Value::make_list();
  for (const DriftRecord& record : records)
    list.items.push_back(times_row(record));
  return items_of(std::move(list));
}

Result<std::string> parse_object_name(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char letter : text) {
    if (letter == '/') {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  const bool empty =
      std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (empty || parts.size() < 2 || parts.size() > 3) {
    return fail(Code::invalid, "an object is named KIND/NAME or KIND/NAMESPACE/NAME");
  }
  const Kind* kind = find_kind_by_any_name(parts[0]);
  if (kind == nullptr) return fail(Code::not_found, "there is no kind " + parts[0]);
  if (!kind->namespaced) {
    if (parts.size() == 3) return fail(Code::invalid, parts[0] + " is not in a namespace");
    return ObjectKey{kind, {}, parts[1]}.text();
  }
  if (parts.size() == 2) parts.insert(parts.begin() + 1, "default");
  return ObjectKey{kind, parts[1], parts[2]}.text();
}

std::string mask_url(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const auto begin = scheme + 3;
  const auto end = std::min(url.find('/', begin), url.size());
  const auto at = url.rfind('@', end);
  if (at == std::string::npos || at < begin || at > end) return url;
  return url.substr(0, begin) + "***" + url.substr(at);
}

std::string reason_in_text(const std::string& text) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(": ", begin), text.size());
    // "ErrImagePull in container web" says the reason first.
    const std::string whole = text.substr(begin, end - begin);
    std::string part = whole.substr(0, whole.find(" in container "));
    const bool word = !part.empty() && std::isupper(static_cast<unsigned char>(part[0])) != 0 &&
                      std::all_of(part.begin(), part.end(),
                                  [](unsigned char letter) { return std::isalnum(letter) != 0; });
    if (word) return part;
    begin = end + 2;
  }
  return {};
}

}  // namespace moored
