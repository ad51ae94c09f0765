// What the machine tells: pods, the node, drift, operators, packet rules.
#include <utility>

#include "reconciler/core/conditions.hpp"
#include "reconciler/core/identity.hpp"
#include "reconciler/core/recovery.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/core/reduce_parts.hpp"
#include "reconciler/diff/merge.hpp"
#include "schema/codec/codec.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

// From here a phase never goes back.
bool is_final(const std::string& phase) { return phase == "Succeeded" || phase == "Failed"; }

// The observed status with what the scheduler wrote kept.
PodStatus merge_status(const PodStatus& recorded, PodStatus observed) {
  if (find_condition(observed.conditions, "PodScheduled") == nullptr) {
    if (const Condition* kept = find_condition(recorded.conditions, "PodScheduled")) {
      observed.conditions.insert(observed.conditions.begin(), *kept);
    }
  }
  if (observed.qos_class.empty()) observed.qos_class = recorded.qos_class;
  return observed;
}

// Takes an observed Node over into the recorded one; lastTransitionTime moves with a status only.
Node merge_node(const Node& recorded, const Node& observed, Time now) {
  Node merged = recorded;
  merged.metadata.labels = observed.metadata.labels;
  for (const auto& [name, text] : observed.metadata.annotations) {
    merged.metadata.annotations[name] = text;
  }
  merged.spec = observed.spec;
  merged.status = observed.status;
  merged.status.conditions = recorded.status.conditions;
  for (const Condition& condition : observed.status.conditions) {
    set_condition(merged.status.conditions, condition, now);
  }
  return merged;
}

// Whether a held unit is the one that an operator means: by name, by revision, by both or any.
bool is_meant(const Kustomization& unit, const std::string& subject) {
  const Condition* ready = find_condition(unit.status.conditions, "Ready");
  if (ready == nullptr || ready->reason != "PruneGuard") return false;
  const std::string name = unit.metadata.namespace_name + '/' + unit.metadata.name;
  const std::string& revision = unit.status.last_attempted_revision;
  const auto is_revision = [&](const std::string& text) {
    constexpr std::size_t kShortSha = 7;
    const std::string sha = revision.substr(revision.rfind(':') + 1);
    return text == revision || (text.size() >= kShortSha && sha.rfind(text, 0) == 0);
  };
  if (const auto space = subject.find(' '); space != std::string::npos) {
    return subject.substr(0, space) == name && is_revision(subject.substr(space + 1));
  }
  return subject.empty() || subject == name || subject == unit.metadata.name ||
         is_revision(subject);
}

// "process[web] was killed by signal 9, desired is running; restarted after 1.2s"
std::string word_drift(const DriftRecord& record) {
  std::string text = record.field + " was " + record.observed + ", desired is " + record.desired;
  if (!record.corrected_at) return text;
  text += "; " + record.correction;
  // Finer than a millisecond is nothing to read.
  const auto took = std::chrono::floor<std::chrono::milliseconds>(*record.corrected_at -
                                                                  record.onset);
  return took.count() > 0 ? text + " after " + format_duration(took) : text;
}

}  // namespace

// The uid tells a late word about an earlier pod of the same name.
Plan reduce_pod(const PodObserved& fact, const PlanContext& context) {
  Plan plan;
  const auto recorded = context.view.find(fact.pod);
  if (!recorded || !recorded->is<Pod>() || recorded->meta().uid != fact.uid) return plan;
  if (fact.gone) {
    plan.remove(fact.pod, "everything of it is gone from the machine");
    return plan;
  }
  auto pod = recorded->as<Pod>();
  if (is_final(pod.status.phase) && !is_final(fact.status.phase)) return plan;
  PodStatus next = merge_status(pod.status, fact.status);
  if (next == pod.status) return plan;
  pod.status = std::move(next);
  plan.status(make_object(std::move(pod), recorded->provenance()), "observed");
  return plan;
}

// Our own JSON: what cannot be read is told, and nothing is changed.
Plan reduce_node(const NodeObserved& fact, const PlanContext& context) {
  Plan plan;
  const auto decoded = decode_stored_json(kind_of<Node>(), fact.node_json);
  if (!decoded) {
    plan.events.push_back({{"Node", "", fact.node.name, "", "v1", "", ""}, true, "InvalidNode",
                           decoded.error().text(), "moored"});
    return plan;
  }
  const auto recorded = context.view.find(fact.node);
  if (!recorded) {
    plan.put(make_recorded(*decoded, context), "node observed");
    return plan;
  }
  const Node& before = recorded->as<Node>();
  Node after = merge_node(before, decoded->as<Node>(), stamp(context.now));
  const bool body_changed = after.metadata != before.metadata || after.spec != before.spec;
  if (!body_changed && after.status == before.status) return plan;
  Object object = make_object(std::move(after), recorded->provenance());
  if (body_changed) {
    plan.put(std::move(object), "node observed");
  } else {
    plan.status(std::move(object), "node observed");
  }
  return plan;
}

// The record is kept whatever became of the object; the event only on the object it was about.
Plan reduce_drift(const DriftObserved& fact, const PlanContext& context) {
  Plan plan;
  const DriftRecord& record = fact.record;
  plan.drift.push_back(record);
  const auto object = record.object.kind == nullptr ? std::nullopt
                                                    : context.view.find(record.object);
  if (!object || (!record.uid.empty() && object->meta().uid != record.uid)) return plan;
  const bool corrected = record.corrected_at.has_value();
  plan.events.push_back({reference_to(*object), !corrected,
                         corrected ? "DriftCorrected" : "DriftDetected", word_drift(record),
                         "moored"});
  return plan;
}

std::vector<Object> list_held(const StateView& view, const std::string& subject) {
  std::vector<Object> held = view.list(kind_of<Kustomization>());
  std::erase_if(held, [&](const Object& unit) {
    return !is_meant(unit.as<Kustomization>(), subject);
  });
  return held;
}

namespace {

// An annotation on the Node, which its controller takes as the word of an operator.
void confirm_recovered(Plan& plan, const PlanContext& context) {
  const auto node = context.view.find(key_of<Node>({}, context.node_name));
  if (!node) return;
  plan.put(with_meta(*node,
                     [&](ObjectMeta& meta) {
                       meta.annotations[std::string(kConfirmedAnnotation)] =
                           std::string(kRecoveredSubject);
                     }),
           "removal of recovered pods confirmed");
}

}  // namespace

Plan reduce_operator(const OperatorActed& fact, const PlanContext& context) {
  Plan plan;
  plan.operators.push_back(fact);
  // Only a confirmation that was carried out counts, not one that was asked for or failed.
  const bool done = fact.result.empty() || fact.result == "done";
  if (fact.verb != "confirm" || !done) return plan;
  if (fact.subject == kRecoveredSubject) {
    confirm_recovered(plan, context);
    return plan;
  }
  for (const Object& object : list_held(context.view, fact.subject)) {
    const std::string& revision = object.as<Kustomization>().status.last_attempted_revision;
    plan.put(with_meta(object,
                       [&](ObjectMeta& meta) {
                         meta.annotations[std::string(kConfirmedAnnotation)] = revision;
                       }),
             "deletions of " + revision + " confirmed");
  }
  return plan;
}

// Success is silent: the rules are the same as the endpoints then.
Plan reduce_proxy(const ProxyApplied& fact, const PlanContext& context) {
  Plan plan;
  const auto node = context.view.find(key_of<Node>({}, context.node_name));
  if (!fact.error || !node) return plan;
  plan.events.push_back({reference_to(*node), true, "ProxyRulesFailed", fact.error->text(),
                         "moored-proxy"});
  return plan;
}

}  // namespace moored
