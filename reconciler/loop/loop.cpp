#include "reconciler/loop/loop.hpp"

#include <algorithm>

#include "reconciler/loop/receipts.hpp"
#include "schema/base/log.hpp"
#include "schema/model/cluster.hpp"

namespace moored {
namespace {

constexpr Duration kCompactInterval = std::chrono::hours(1);
constexpr Duration kMoreInterval = std::chrono::seconds(1);  // while history is left to forget

std::optional<MonoTime> earlier(std::optional<MonoTime> a, std::optional<MonoTime> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

void log_failure(std::string_view what, const Error& error) {
  log(LogLevel::error, what, {{"error", error.text()}, {"reason", error.reason}});
}

}  // namespace

bool Loop::Key::operator<(const Key& other) const {
  if (controller != other.controller) return controller < other.controller;
  return object < other.object;
}

Loop::Loop(Store& store, Inbox& inbox, std::vector<std::unique_ptr<Controller>> controllers,
           Reduce reduce, Random& random, LoopOptions options)
    : store_(store),
      inbox_(inbox),
      controllers_(std::move(controllers)),
      reduce_(reduce),
      random_(random),
      options_(std::move(options)) {
  options_.reduce.memo = &memo_;
  const auto view = store_.view();
  events_ = view->list(kind_of<Event>()).size();
  counted_ = view->resource_version();
  memo_.follow({}, view->resource_version());
  load_receipts();
}

// ---- the page -----------------------------------------------------------------------------------

std::optional<MonoTime> Loop::step(Now now) {
  new_events_ = 0;
  look_again(now);
  take_facts(now);
  // Before the keys, which may find a revision ready, and after them for what they have made.
  keep_receipts(now);
  take_keys(now);
  keep_receipts(now);
  keep_events(now);
  keep_house(now);
  queue_size_ = queue_.size();
  failing_count_ = queue_.failing_count();
  std::optional<MonoTime> due = earlier(queue_.next_due(now.mono), compact_due_);
  if (inbox_.size() > 0) due = earlier(due, std::max(now.mono, facts_due_));
  return earlier(due, options_.relook ? relook_due_ : std::nullopt);
}

// Facts become plans on the state that the facts before them left behind.
void Loop::take_facts(Now now) {
  if (now.mono < facts_due_) return;
  std::vector<PostedFact> facts = inbox_.take(options_.facts_at_once);
  if (facts.empty()) return;
  Store::Batch batch = store_.begin(now);
  for (const PostedFact& posted : facts) {
    if (std::holds_alternative<TreeLoaded>(posted.fact)) {
      memo_.look_ahead(batch.changes(), batch.view().resource_version());
    }
    Plan plan = reduce_(posted.fact, context(batch.view(), now), options_.reduce);
    stamp_decision(plan, now);
    add_commit_step(posted.fact, plan);
    if (auto added = batch.add(with_events(plan, batch.view(), now), posted.cause); !added) {
      log_failure("a fact cannot be recorded and is left out", added.error());
      inbox_.settle({posted}, added);
    }
    schedule_any(plan, now);
  }
  auto recorded = batch.commit();
  if (!recorded) {
    log_failure("facts wait: the store did not take them", recorded.error());
    facts_due_ = now.mono + back_off_.after(++failed_commits_);
    return inbox_.put_back(std::move(facts));
  }
  failed_commits_ = 0;
  inbox_.settle(facts, {});
  wake_owners(*recorded);
}

// A large commit takes a while to compare: its receipt tells when that was done.
void Loop::stamp_decision(Plan& plan, Now now) const {
  if (options_.clock == nullptr) return;
  for (ReceiptStep& step : plan.receipt) {
    if (step.time == now.wall && step.step != "seen" && step.step != "fetched") {
      step.time = std::max(now.wall, options_.clock->now().wall);
    }
  }
}

// Keys become plans; one that is refused backs off and leaves the others alone.
void Loop::take_keys(Now now) {
  Store::Batch batch = store_.begin(now);
  std::vector<Key> planned;
  while (planned.size() < options_.keys_at_once) {
    const auto key = queue_.pop(now.mono);
    if (!key) break;
    const Controller& controller = *controllers_[key->controller];
    Plan plan = controller.plan(key->object, context(batch.view(), now));
    const Cause cause{Cause::Actor::controller, controller.name(), key->object.text()};
    if (auto added = batch.add(with_events(plan, batch.view(), now), cause); !added) {
      log_failure(controller.name() + " cannot record " + key->object.text(), added.error());
      queue_.failed(*key, now.mono, random_);
      continue;
    }
    schedule(key->controller, plan, now);
    planned.push_back(*key);
  }
  if (planned.empty()) return;
  auto recorded = batch.commit();
  for (const Key& key : planned) {
    recorded ? queue_.succeeded(key) : queue_.failed(key, now.mono, random_);
  }
  if (!recorded) return log_failure("plans wait: the store did not take them", recorded.error());
  wake_owners(*recorded);
}

// Both versions of a changed object wake: its old owner has lost something, its new one gained it.
void Loop::wake_owners(const RecordResult& recorded) {
  memo_.follow(recorded.changes, recorded.resource_version);
  count_events(recorded);
  if (recorded.changes.empty()) return;
  changed_ = true;
  const auto view = store_.view();
  for (const Change& change : recorded.changes) {
    wake_for(change.object, *view);
    if (change.previous) wake_for(*change.previous, *view);
  }
}

// A commit that seemed to fail may be found in the file later: then all are counted anew.
void Loop::count_events(const RecordResult& recorded) {
  const auto changes = static_cast<std::int64_t>(recorded.changes.size());
  const bool gap = counted_ + changes != recorded.resource_version;
  counted_ = recorded.resource_version;
  if (gap) {
    events_ = store_.view()->list(kind_of<Event>()).size();
    return;
  }
  for (const Change& change : recorded.changes) {
    if (!change.object.is<Event>()) continue;
    if (change.type == Change::Type::added) ++events_;
    if (change.type == Change::Type::deleted) --events_;
  }
}

// ---- around it ----------------------------------------------------------------------------------

void Loop::wake_for(const Object& object, const StateView& view) {
  for (std::size_t i = 0; i < controllers_.size(); ++i) {
    if (&controllers_[i]->kind() == &object.kind()) queue_.add({i, object.key()});
    for (ObjectKey& key : controllers_[i]->wakes(object, view))
      queue_.add({i, std::move(key)});
  }
}

void Loop::look_again(Now now) {
  const bool first = !relook_due_;
  if (!first && (!options_.relook || now.mono < *relook_due_)) return;
  relook_due_ = now.mono + options_.relook.value_or(Duration::zero());
  const auto view = store_.view();
  for (std::size_t i = 0; i < controllers_.size(); ++i) {
    for (const Object& object : view->list(controllers_[i]->kind()))
      queue_.add({i, object.key()});
  }
}

void Loop::schedule(std::size_t controller, const Plan& plan, Now now) {
  for (const Requeue& again : plan.requeues) {
    queue_.add_at({controller, again.key}, now.mono + again.after);
  }
}

// A fact's plan names keys, not controllers: whoever takes the kind looks again.
void Loop::schedule_any(const Plan& plan, Now now) {
  for (const Requeue& again : plan.requeues) {
    for (std::size_t i = 0; i < controllers_.size(); ++i) {
      if (&controllers_[i]->kind() != again.key.kind) continue;
      queue_.add_at({i, again.key}, now.mono + again.after);
    }
  }
}

// Notes become Event objects in the transaction of the plan that made them; one step makes no more
// new ones than are kept.
Plan& Loop::with_events(Plan& plan, const StateView& view, Now now) {
  if (plan.events.empty()) return plan;
  const auto notes = damper_.admit(plan.events, now.mono);
  for (Write& write : make_event_writes(notes, context(view, now))) {
    if (!view.find(write.key) && ++new_events_ > options_.max_events) continue;
    plan.writes.push_back(std::move(write));
  }
  return plan;
}

// What earlier runs have said about the revisions that units are at.
void Loop::load_receipts() {
  const auto view = store_.view();
  for (const std::string& revision : current_revisions(*view)) {
    const auto steps = store_.read_receipt(sha_of_revision(revision));
    if (!steps) continue;
    for (const ReceiptEntry& entry : *steps)
      known_steps_[revision].insert(entry.step);
  }
}

void Loop::keep_receipts(Now now) {
  if (!changed_) return;
  changed_ = false;
  const auto view = store_.view();
  const Plan plan = plan_receipts(*view, known_steps_, now);
  if (plan.empty()) return;
  const Cause cause{Cause::Actor::clock, "receipt", "steps seen in the recorded state"};
  if (auto recorded = store_.record(plan, cause, now); !recorded) {
    changed_ = true;
    return log_failure("a receipt waits: the store did not take it", recorded.error());
  }
  std::erase_if(known_steps_, [current = current_revisions(*view)](const auto& entry) {
    return current.count(entry.first) == 0;
  });
  for (const ReceiptStep& step : plan.receipt)
    known_steps_[step.revision].insert(step.step);
}

void Loop::keep_events(Now now) {
  const bool few = events_ <= options_.max_events + options_.max_events / 10;
  if (few || now.mono < events_due_) return;
  const Plan plan = plan_event_removal(*store_.view(), options_.max_events);
  const Cause cause{Cause::Actor::clock, "event", "more than are kept"};
  auto recorded = store_.record(plan, cause, now);
  if (!recorded) {
    events_due_ = now.mono + back_off_.after(1);
    return log_failure("old events stay: the store did not take it", recorded.error());
  }
  wake_owners(*recorded);
}

void Loop::keep_house(Now now) {
  if (!options_.compact || (compact_due_ && now.mono < *compact_due_)) return;
  const auto more = store_.compact(*options_.compact, now);
  if (!more) log_failure("history stays: it could not be compacted", more.error());
  compact_due_ = now.mono + (more && *more ? kMoreInterval : kCompactInterval);
}

PlanContext Loop::context(const StateView& view, Now now) const {
  return {view, now, store_.store_id(), options_.node_name, options_.service_cidr};
}

void Loop::run(const Clock& clock, std::stop_token stop) {
  while (!stop.stop_requested()) {
    const auto due = step(clock.now());
    ++rounds_;
    inbox_.wait_until(due, clock, stop);
  }
}

}  // namespace moored
