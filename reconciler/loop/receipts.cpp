#include "reconciler/loop/receipts.hpp"

#include <algorithm>

#include "reconciler/controllers/deployment_state.hpp"
#include "reconciler/loop/reports.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"
#include "schema/model/replication_controller.hpp"

namespace moored {
namespace {

// How far the pods of some objects are on their way.
struct PodProgress {
  bool scheduled = true;
  bool started = true;
};

bool has_started(const Pod& pod) {
  const auto& containers = pod.status.container_statuses;
  return std::any_of(containers.begin(), containers.end(), [](const ContainerStatus& container) {
    return container.state.running || container.state.terminated || container.last_state.terminated;
  });
}

PodProgress progress_of(const std::vector<Object>& pods, std::int32_t wanted) {
  std::int32_t scheduled = 0;
  std::int32_t started = 0;
  for (const Object& object : pods) {
    const Pod& pod = object.as<Pod>();
    if (pod.metadata.deletion_timestamp) continue;
    if (!pod.spec.node_name.empty()) ++scheduled;
    if (has_started(pod)) ++started;
  }
  return {scheduled >= wanted, started >= wanted};
}

PodProgress progress_of(const Object& object, const StateView& view) {
  const auto pods = [&](const Object& owner) {
    return view.list_owned(kind_of<Pod>(), owner.meta().uid);
  };
  if (object.is<Pod>()) return progress_of({object}, 1);
  if (object.is<ReplicaSet>()) {
    return progress_of(pods(object), object.as<ReplicaSet>().spec.replicas.value_or(1));
  }
  if (object.is<ReplicationController>()) {
    const auto& spec = object.as<ReplicationController>().spec;
    return progress_of(pods(object), spec.replicas.value_or(1));
  }
  if (!object.is<Deployment>()) return {};
  if (is_rolled_out(object.as<Deployment>())) return {};
  const std::int32_t wanted = object.as<Deployment>().spec.replicas.value_or(1);
  const auto set = find_new_set(object, view);
  return progress_of(set ? pods(*set) : std::vector<Object>{}, wanted);
}

ReceiptOutcome judge_unit_status(const KustomizationStatus& status, const Condition& ready) {
  if (ready.status == "True") return {"ready", {}, {}};
  if (ready.status != "False") return {"progressing", {}, {}};
  const bool taken = status.last_applied_revision == status.last_attempted_revision;
  const Condition* stalled = find_condition(status.conditions, "Stalled");
  if (taken && (stalled == nullptr || stalled->status != "True")) {
    return {"failed", reason_in_text(ready.message), ready.message};
  }
  return {ready.reason == "PruneGuard" ? "held" : "refused", ready.reason, ready.message};
}

int badness(const std::string& outcome) {
  return outcome == "ready" ? 0 : outcome == "progressing" ? 1 : 2;
}

std::string unit_name(const Object& unit) {
  return unit.meta().namespace_name + "/" + unit.meta().name;
}

// What a unit declares of the kinds that pods come from; the others are never on their way.
std::vector<Object> list_running(const StateView& view, const std::string& unit) {
  std::vector<Object> out;
  for (const Kind* kind : {&kind_of<Deployment>(), &kind_of<ReplicaSet>(),
                           &kind_of<ReplicationController>(), &kind_of<Pod>()}) {
    for (Object& object : view.list(*kind)) {
      const bool made = find_controller(object.meta()) != nullptr;
      if (!made && object.provenance().unit == unit) out.push_back(std::move(object));
    }
  }
  return out;
}

}  // namespace

std::set<std::string> current_revisions(const StateView& view) {
  std::set<std::string> out;
  for (const Object& object : view.list(kind_of<Kustomization>())) {
    const KustomizationStatus& status = object.as<Kustomization>().status;
    out.insert(status.last_applied_revision);
    out.insert(status.last_attempted_revision);
  }
  out.erase("");
  return out;
}

std::string sha_of_revision(const std::string& revision) {
  const auto colon = revision.rfind(':');
  return colon == std::string::npos ? revision : revision.substr(colon + 1);
}

Plan plan_receipts(const StateView& view, const std::map<std::string, std::set<std::string>>& known,
                   Now now) {
  std::map<std::string, PodProgress> reached;
  for (const Object& unit : view.list(kind_of<Kustomization>())) {
    const std::string& revision = unit.as<Kustomization>().status.last_applied_revision;
    const auto steps = known.find(revision);
    if (revision.empty() || (steps != known.end() && steps->second.count("started") > 0 &&
                             steps->second.count("scheduled") > 0)) {
      continue;
    }
    PodProgress& slowest = reached[revision];
    for (const Object& object : list_running(view, unit_name(unit))) {
      if (object.meta().deletion_timestamp) continue;  // on its way out, not on its way up
      const PodProgress one = progress_of(object, view);
      slowest.scheduled = slowest.scheduled && one.scheduled;
      slowest.started = slowest.started && one.scheduled && one.started;
    }
  }
  Plan plan;
  for (const auto& [revision, progress] : reached) {
    const auto steps = known.find(revision);
    const auto add = [&, name = revision](bool is_reached, const char* step) {
      if (!is_reached || (steps != known.end() && steps->second.count(step) > 0)) return;
      plan.receipt.push_back({name, step, now.wall, {}});
    };
    add(progress.scheduled, "scheduled");
    add(progress.started, "started");
  }
  return plan;
}

void add_commit_step(const Fact& fact, Plan& plan) {
  if (plan.receipt.empty()) return;
  const CommitInfo* commit = nullptr;
  if (const auto* source = std::get_if<SourceObserved>(&fact)) commit = &source->commit;
  if (const auto* tree = std::get_if<TreeLoaded>(&fact)) commit = &tree->commit;
  if (commit == nullptr || commit->sha.empty()) return;
  Value detail = Value::make_map();
  detail.put("sha", Value::of_text(commit->sha));
  detail.put("author", Value::of_text(commit->author));
  detail.put("subject", Value::of_text(commit->subject));
  if (commit->committed_at) {
    detail.put("committedAt", Value::of_text(format_time(*commit->committed_at)));
  }
  const ReceiptStep& first = plan.receipt.front();
  plan.receipt.push_back(
      {first.revision, std::string(kCommitStep), first.time, write_json(detail)});
}

ReceiptOutcome judge_receipt(const std::vector<ReceiptEntry>& steps, bool current) {
  const ReceiptEntry* last = nullptr;
  for (const ReceiptEntry& entry : steps) {
    const bool ends = entry.step == "ready" || entry.step == "failed" || entry.step == "refused" ||
                      entry.step == "held";
    if (ends && (last == nullptr || entry.time >= last->time)) last = &entry;
  }
  if (last == nullptr) return {current ? "progressing" : "superseded", {}, {}};
  if (last->step == "ready") return {"ready", {}, {}};
  return {last->step, reason_in_text(last->detail), last->detail};
}

std::optional<ReceiptOutcome> judge_units(const StateView& view, const std::string& revision) {
  std::optional<ReceiptOutcome> worst;
  for (const Object& object : view.list(kind_of<Kustomization>())) {
    const auto& status = object.as<Kustomization>().status;
    const Condition* ready = find_condition(status.conditions, "Ready");
    const bool tried = !revision.empty() && status.last_attempted_revision == revision;
    if (!tried || ready == nullptr) continue;
    ReceiptOutcome one = judge_unit_status(status, *ready);
    if (!worst || badness(one.word) > badness(worst->word)) worst = std::move(one);
  }
  return worst;
}

}  // namespace moored
