#include "reconciler/loop/receipts.hpp"

#include "reconciler/loop/readiness.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxDetail = 512;  // bytes

std::string unit_name(const Object& unit) {
  return unit.meta().namespace_name + "/" + unit.meta().name;
}

class Steps {
 public:
  Steps(Plan& plan, std::string revision, const std::set<std::string>& known, Now now)
      : plan_(plan), revision_(std::move(revision)), known_(known), now_(now) {}

  bool knows(std::string_view step) const { return known_.count(std::string(step)) > 0; }
  void reached(std::string_view step, std::string detail = {}) {
    if (knows(step) || !said_.insert(std::string(step)).second) return;
    plan_.receipt.push_back(
        {revision_, std::string(step), now_.wall, detail.substr(0, kMaxDetail)});
  }

 private:
  Plan& plan_;
  std::string revision_;
  const std::set<std::string>& known_;
  Now now_;
  std::set<std::string> said_;
};

std::string detail_of(const Readiness& readiness, const Object& object) {
  return readiness.reason + ": " + object.key().text() + ": " + readiness.message;
}

// The way of an applied revision: the slowest object of all units that are at it decides.
void follow_applied(const StateView& view, const std::vector<Object>& objects, Steps& steps) {
  if (steps.knows(kStepReady)) return;
  bool scheduled = true;
  bool started = true;
  bool ready = true;
  for (const Object& object : objects) {
    const PodProgress pods = pod_progress(object, view);
    scheduled = scheduled && pods.scheduled;
    started = started && pods.started;
    const Readiness readiness = readiness_of(object, view);
    ready = ready && readiness.ready();
    if (readiness.state == Readiness::State::failed) {
      steps.reached(kStepFailed, detail_of(readiness, object));
    }
  }
  if (scheduled || ready) steps.reached(kStepScheduled);
  if ((scheduled && started) || ready) steps.reached(kStepStarted);
  if (ready) steps.reached(kStepReady);
}

// A revision that was tried and not applied: the unit's condition says why.
void follow_refused(const KustomizationStatus& status, Steps& steps) {
  const Condition* ready = find_condition(status.conditions, "Ready");
  if (ready == nullptr || ready->status != "False") return;
  steps.reached(kStepFailed, ready->reason + ": " + ready->message);
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

Plan plan_receipts(const StateView& view,
                   const std::map<std::string, std::set<std::string>>& known, Now now) {
  Plan plan;
  const std::set<std::string> nothing;
  const auto known_of = [&](const std::string& revision) -> const std::set<std::string>& {
    const auto found = known.find(revision);
    return found == known.end() ? nothing : found->second;
  };
  std::map<std::string, std::vector<Object>> applied;
  for (const Object& unit : view.list(kind_of<Kustomization>())) {
    const KustomizationStatus& status = unit.as<Kustomization>().status;
    const std::string& tried = status.last_attempted_revision;
    if (!tried.empty() && tried != status.last_applied_revision) {
      Steps steps(plan, tried, known_of(tried), now);
      follow_refused(status, steps);
    }
    if (status.last_applied_revision.empty()) continue;
    auto& objects = applied[status.last_applied_revision];
    for (Object& object : objects_of_unit(view, unit_name(unit))) {
      objects.push_back(std::move(object));
    }
  }
  for (const auto& [revision, objects] : applied) {
    Steps steps(plan, revision, known_of(revision), now);
    follow_applied(view, objects, steps);
  }
  return plan;
}

std::vector<Object> objects_of_unit(const StateView& view, const std::string& unit) {
  std::vector<Object> out;
  for (const Kind* kind : all_kinds()) {
    for (Object& object : view.list(*kind)) {
      if (object.provenance().unit == unit) out.push_back(std::move(object));
    }
  }
  return out;
}

}  // namespace moored
