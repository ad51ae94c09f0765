// The loop with small controllers: what it takes, records, wakes and repeats.
#include "reconciler/loop/loop.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "reconciler/core/plan.hpp"
#include "schema/model/cluster.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

// A controller made of two functions.
class TestController final : public Controller {
 public:
  using PlanFunction = std::function<Plan(const ObjectKey&, const PlanContext&)>;
  using WakeFunction = std::function<std::vector<ObjectKey>(const Object&)>;

  TestController(const Kind& kind, PlanFunction plan, WakeFunction wakes = {})
      : kind_(kind), plan_(std::move(plan)), wakes_(std::move(wakes)) {}
  const Kind& kind() const override { return kind_; }
  std::string name() const override { return "test-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override {
    return plan_(key, context);
  }
  std::vector<ObjectKey> wakes(const Object& changed, const StateView&) const override {
    return wakes_ ? wakes_(changed) : std::vector<ObjectKey>{};
  }

 private:
  const Kind& kind_;
  PlanFunction plan_;
  WakeFunction wakes_;
};

// Facts of the tests: an event writes a ConfigMap named after its object; an operator is recorded.
Plan reduce_for_test(const Fact& fact, const PlanContext&, const ReduceOptions&) {
  Plan plan;
  if (const auto* event = std::get_if<EventObserved>(&fact)) {
    if (event->reason == "Write") {
      plan = put_plan(make_config(event->object.name, event->message));
    } else if (event->reason == "Bad") {
      plan = put_plan(ConfigMap{});
    } else {
      plan.events.push_back(
          {event->object, event->warning, event->reason, event->message, event->component});
    }
  }
  if (const auto* acted = std::get_if<OperatorActed>(&fact)) plan.operators.push_back(*acted);
  return plan;
}

EventObserved write_fact(const std::string& name, const std::string& text) {
  EventObserved fact;
  fact.object.kind = "ConfigMap";
  fact.object.name = name;
  fact.object.namespace_name = "default";
  fact.reason = "Write";
  fact.message = text;
  return fact;
}

// A store, an inbox and a loop over controllers.
struct House {
  explicit House(std::vector<std::unique_ptr<Controller>> controllers = {},
                 LoopOptions options = quiet())
      : store(open_store(fast())),
        loop(*store, inbox, std::move(controllers), &reduce_for_test, random, options) {}

  StoreOptions fast() {
    StoreOptions options = store_options(directory);
    options.durable = false;
    return options;
  }
  static LoopOptions quiet() {
    LoopOptions options;
    options.node_name = "node";
    options.relook.reset();
    options.compact.reset();
    return options;
  }
  // Steps until nothing is due any more at this time.
  int settle(Now now, int most = 100) {
    int steps = 0;
    for (;;) {
      const auto due = loop.step(now);
      ++steps;
      if (!due || *due > now.mono || steps >= most) return steps;
    }
  }
  std::string text_of(const std::string& name) {
    const auto found = store->view()->find(key_of<ConfigMap>("default", name));
    return found ? found->as<ConfigMap>().data.at("key") : "(absent)";
  }

  TestDirectory directory;
  Inbox inbox;
  SeededRandom random{1};
  std::unique_ptr<Store> store;
  Loop loop;
};

template <class... Made>
std::vector<std::unique_ptr<Controller>> controllers_of(Made... made) {
  std::vector<std::unique_ptr<Controller>> out;
  (out.push_back(std::move(made)), ...);
  return out;
}

std::unique_ptr<Controller> make(const Kind& kind, TestController::PlanFunction plan,
                                 TestController::WakeFunction wakes = {}) {
  return std::make_unique<TestController>(kind, std::move(plan), std::move(wakes));
}

TEST_CASE("a loop without work asks to be left alone") {
  House house;
  REQUIRE_FALSE(house.loop.step(at(0)).has_value());
  REQUIRE(house.store->view()->resource_version() == 0);
}

TEST_CASE("facts of one batch are recorded in one transaction, each with its cause") {
  House house;
  std::vector<std::int64_t> commits;
  house.store->subscribe(
      [](void* context, std::int64_t version) {
        static_cast<std::vector<std::int64_t>*>(context)->push_back(version);
      },
      &commits);
  house.inbox.post(write_fact("a", "1"), {Cause::Actor::kernel, "first", "x"});
  house.inbox.post(write_fact("b", "2"), {Cause::Actor::kernel, "second", "x"});
  house.settle(at(0));
  REQUIRE(commits == std::vector<std::int64_t>{2});
  REQUIRE(house.text_of("a") == "1");
  const auto rows = house.store->read_audit("", 10);
  REQUIRE(rows->size() == 2);
  REQUIRE(rows->at(0).canonical_json.find("second") != std::string::npos);
  REQUIRE(rows->at(1).canonical_json.find("first") != std::string::npos);
}

TEST_CASE("a fact that cannot be recorded is left out, the others are taken") {
  House house;
  auto bad = write_fact("bad", "");
  bad.reason = "Bad";
  house.inbox.post(write_fact("a", "1"), test_cause());
  house.inbox.post(bad, test_cause());
  house.inbox.post(write_fact("b", "2"), test_cause());
  house.settle(at(0));
  REQUIRE(house.store->view()->resource_version() == 2);
  REQUIRE(house.inbox.size() == 0);
}

TEST_CASE("a change wakes its own key, and the writer reads its own writes") {
  std::vector<std::string> looked;
  House house(controllers_of(
      make(kind_of<ConfigMap>(), [&](const ObjectKey& key, const PlanContext& context) {
        const auto object = context.view.find(key);
        looked.push_back(key.name + (object ? object->as<ConfigMap>().data.at("key") : "-"));
        return Plan{};
      })));
  house.inbox.post(write_fact("a", "1"), test_cause());
  house.settle(at(0));
  REQUIRE(looked == std::vector<std::string>{"a1"});
  record(*house.store, put_plan(make_config("b", "1")));
  house.settle(at(0));
  REQUIRE(looked.size() == 1);  // written past the loop: only a look again finds it
}

TEST_CASE("owners of the old and the new version are woken") {
  std::vector<std::string> looked;
  const auto plan = [&](const ObjectKey& key, const PlanContext&) {
    looked.push_back(key.name);
    return Plan{};
  };
  const auto wakes = [](const Object& changed) {
    std::vector<ObjectKey> keys;
    if (changed.is<ConfigMap>()) {
      keys.push_back(key_of<Deployment>("default", changed.as<ConfigMap>().data.at("key")));
    }
    return keys;
  };
  House house(controllers_of(make(kind_of<Deployment>(), plan, wakes)));
  house.inbox.post(write_fact("a", "old"), test_cause());
  house.settle(at(0));
  REQUIRE(looked == std::vector<std::string>{"old"});
  looked.clear();
  house.inbox.post(write_fact("a", "new"), test_cause());
  house.settle(at(0));
  std::sort(looked.begin(), looked.end());
  REQUIRE(looked == std::vector<std::string>{"new", "old"});
}

TEST_CASE("a chain of controllers comes to rest") {
  // Counts a number up to five, one step at a time.
  House house(controllers_of(
      make(kind_of<ConfigMap>(), [](const ObjectKey& key, const PlanContext& context) {
        const auto object = context.view.find(key);
        const int count = object ? std::stoi(object->as<ConfigMap>().data.at("key")) : 5;
        if (count >= 5) return Plan{};
        return put_plan(make_config(key.name, std::to_string(count + 1)));
      })));
  house.inbox.post(write_fact("a", "0"), test_cause());
  const int steps = house.settle(at(0));
  REQUIRE(house.text_of("a") == "5");
  REQUIRE(steps < 20);
  REQUIRE(house.store->view()->resource_version() == 6);
  REQUIRE_FALSE(house.loop.step(at(0)).has_value());
}

TEST_CASE("at the start every object of every controller is looked at") {
  const TestDirectory directory;
  StoreOptions options = store_options(directory);
  auto store = open_store(options);
  record(*store, put_plan(make_config("a", "1")));
  record(*store, put_plan(make_config("b", "1")));
  record(*store, put_plan(make_deployment("web", 1)));
  std::set<std::string> looked;
  Inbox inbox;
  SeededRandom random(1);
  const auto plan = [&](const ObjectKey& key, const PlanContext&) {
    looked.insert(key.text());
    return Plan{};
  };
  Loop loop(*store, inbox,
            controllers_of(make(kind_of<ConfigMap>(), plan), make(kind_of<Deployment>(), plan)),
            &reduce_for_test, random, House::quiet());
  loop.step(at(0));
  REQUIRE(looked == std::set<std::string>{"ConfigMap/default/a", "ConfigMap/default/b",
                                          "Deployment/default/web"});
}

TEST_CASE("a look again comes round by the clock, and can be switched off") {
  int looks = 0;
  const auto plan = [&](const ObjectKey&, const PlanContext&) {
    ++looks;
    return Plan{};
  };
  LoopOptions options = House::quiet();
  const bool on = GENERATE(true, false);
  if (on) options.relook = std::chrono::seconds(60);
  House house(controllers_of(make(kind_of<ConfigMap>(), plan)), options);
  house.inbox.post(write_fact("a", "1"), test_cause());
  house.settle(at(0));
  REQUIRE(looks == 1);
  const auto due = house.loop.step(at(1));
  REQUIRE(due.has_value() == on);
  if (on) REQUIRE(*due == at(60).mono);
  house.settle(at(59));
  REQUIRE(looks == 1);
  house.settle(at(60));
  REQUIRE(looks == (on ? 2 : 1));
  house.settle(at(125));
  REQUIRE(looks == (on ? 3 : 1));
}

TEST_CASE("a plan asks to be called again at a time") {
  std::vector<std::int64_t> times;
  House house(controllers_of(
      make(kind_of<ConfigMap>(), [&](const ObjectKey& key, const PlanContext& context) {
        times.push_back(context.now.mono.time_since_epoch() / std::chrono::seconds(1));
        Plan plan;
        if (times.size() < 3) plan.requeues.push_back({key, std::chrono::seconds(10)});
        return plan;
      })));
  house.inbox.post(write_fact("a", "1"), test_cause());
  Now now = at(0);
  for (int guard = 0; guard < 10; ++guard) {
    const auto due = house.loop.step(now);
    if (!due) break;
    now = {now.wall + (*due - now.mono), *due};
  }
  REQUIRE(times == std::vector<std::int64_t>{0, 10, 20});
}

TEST_CASE("a refused plan backs off alone and is tried again") {
  int tries = 0;
  bool broken = true;
  House house(
      controllers_of(make(kind_of<ConfigMap>(), [&](const ObjectKey& key, const PlanContext&) {
        if (key.name != "bad") return put_plan(make_config("good", "done"));
        ++tries;
        return broken ? put_plan(ConfigMap{}) : Plan{};
      })));
  house.inbox.post(write_fact("bad", "1"), test_cause());
  house.inbox.post(write_fact("good", "1"), test_cause());
  house.settle(at(0));
  REQUIRE(house.text_of("good") == "done");
  REQUIRE(tries == 1);
  REQUIRE(house.loop.failing_count() == 1);
  const auto due = house.loop.step(at(0));
  REQUIRE(due.has_value());
  REQUIRE(*due >= at(1).mono);
  house.settle(at(2));
  REQUIRE(tries == 2);
  broken = false;
  house.settle(at(10));
  REQUIRE(tries == 3);
  REQUIRE(house.loop.failing_count() == 0);
}

TEST_CASE("one step takes a bounded number of facts and keys") {
  int looks = 0;
  LoopOptions options = House::quiet();
  options.facts_at_once = 3;
  options.keys_at_once = 2;
  House house(controllers_of(make(kind_of<ConfigMap>(),
                                  [&](const ObjectKey&, const PlanContext&) {
                                    ++looks;
                                    return Plan{};
                                  })),
              options);
  for (int i = 0; i < 10; ++i) {
    house.inbox.post(write_fact("a" + std::to_string(i), "1"), test_cause());
  }
  REQUIRE(house.loop.step(at(0)) == at(0).mono);
  REQUIRE(house.inbox.size() == 7);
  REQUIRE(looks == 2);
  house.settle(at(0));
  REQUIRE(looks == 10);
}

TEST_CASE("notes become counted events in the transaction of their plan") {
  House house;
  EventObserved event;
  event.object = {"Pod", "default", "web", "uid-1", "v1", "", ""};
  event.reason = "Pulled";
  event.message = "image is there";
  event.component = "moored-agent";
  house.inbox.post(event, test_cause());
  house.settle(at(0));
  auto events = house.store->view()->list(kind_of<Event>());
  REQUIRE(events.size() == 1);
  REQUIRE(events[0].as<Event>().count == 1);
  for (int i = 0; i < 50; ++i)
    house.inbox.post(event, test_cause());
  house.settle(at(0));
  REQUIRE(house.store->view()->resource_version() == 1);
  house.inbox.post(event, test_cause());
  house.settle(at(5));
  events = house.store->view()->list(kind_of<Event>());
  REQUIRE(events.size() == 1);
  REQUIRE(events[0].as<Event>().count == 52);
  REQUIRE(house.store->view()->resource_version() == 2);
  REQUIRE(house.store->read_audit("", 10)->empty());
}

TEST_CASE("events are bounded: those that were last seen longest ago go") {
  LoopOptions options = House::quiet();
  options.max_events = 3;
  House house({}, options);
  const auto post = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      EventObserved event;
      event.object = {"Pod", "default", "web" + std::to_string(i), "", "v1", "", ""};
      event.reason = "Pulled";
      house.inbox.post(event, test_cause());
    }
  };
  const auto names = [&] {
    std::vector<std::string> out;
    for (const Object& event : house.store->view()->list(kind_of<Event>()))
      out.push_back(event.as<Event>().involved_object.name);
    return out;
  };
  post(0, 3);
  house.settle(at(0));
  post(0, 1);  // seen again, so that it is newer than the other two
  house.settle(at(5));
  post(3, 4);
  house.settle(at(10));
  const auto kept = names();
  REQUIRE(kept.size() == 3);
  REQUIRE(std::count(kept.begin(), kept.end(), "web0") == 1);
  REQUIRE(std::count(kept.begin(), kept.end(), "web3") == 1);
  post(4, 20);
  house.settle(at(15));
  REQUIRE(names().size() == 3);
  REQUIRE(house.store->read_audit("", 10)->empty());
}

TEST_CASE("a storm of different notes is bounded") {
  EventDamper damper;
  for (std::size_t i = 0; i < 3 * EventDamper::kMaxNotes; ++i) {
    EventNote note;
    note.message = std::to_string(i);
    REQUIRE(damper.admit({note}, at(static_cast<std::int64_t>(i)).mono).size() == 1);
  }
  EventNote note;
  note.message = "again";
  REQUIRE(damper.admit({note, note, note}, at(0).mono).size() == 1);
  for (std::size_t i = 0; i < 2 * EventDamper::kMaxRepeats; ++i)
    damper.admit({note}, at(0).mono);
  REQUIRE(damper.admit({note}, at(9).mono).size() == EventDamper::kMaxRepeats);
}

TEST_CASE("a note that brings no count along is forgotten after its pause") {
  EventDamper damper;
  const auto note_of = [](const char* message) {
    EventNote note;
    note.message = message;
    return note;
  };
  REQUIRE(damper.admit({note_of("a"), note_of("b"), note_of("b")}, at(0).mono).size() == 2);
  REQUIRE(damper.size() == 2);
  REQUIRE(damper.admit({note_of("c")}, at(5).mono).size() == 1);
  REQUIRE(damper.size() == 2);  // b waits with one more, which its next one brings along
  REQUIRE(damper.admit({note_of("b")}, at(5).mono).size() == 2);
}

TEST_CASE("a loop that runs on a thread takes what is posted and stops when told") {
  House house;
  const SystemClock clock;
  std::jthread runner([&](std::stop_token stop) { house.loop.run(clock, stop); });
  std::mutex mutex;
  std::condition_variable recorded;
  std::int64_t version = 0;
  struct Heard {
    std::mutex& mutex;
    std::condition_variable& recorded;
    std::int64_t& version;
  } heard{mutex, recorded, version};
  house.store->subscribe(
      [](void* context, std::int64_t now) {
        auto& out = *static_cast<Heard*>(context);
        const std::lock_guard lock(out.mutex);
        out.version = now;
        out.recorded.notify_all();
      },
      &heard);
  for (int i = 1; i <= 20; ++i) {
    house.inbox.post(write_fact("a" + std::to_string(i), "1"), test_cause());
  }
  {
    std::unique_lock lock(mutex);
    REQUIRE(recorded.wait_for(lock, std::chrono::seconds(30), [&] { return version == 20; }));
  }
  runner.request_stop();
  runner.join();
  REQUIRE(house.text_of("a20") == "1");
}

// ---- inbox --------------------------------------------------------------------------------------

PodObserved pod_fact(const std::string& uid, const std::string& phase) {
  PodObserved fact;
  fact.pod = key_of<Pod>("default", "web");
  fact.uid = uid;
  fact.status.phase = phase;
  return fact;
}

TEST_CASE("facts come out in order; a newer level takes the place of an older one") {
  Inbox inbox;
  inbox.post(pod_fact("1", "Pending"), test_cause());
  inbox.post(write_fact("a", "1"), test_cause());
  inbox.post(pod_fact("2", "Pending"), test_cause());
  inbox.post(pod_fact("1", "Running"), test_cause());
  REQUIRE(inbox.size() == 3);
  const auto facts = inbox.take(10);
  REQUIRE(std::get<PodObserved>(facts[0].fact).status.phase == "Running");
  REQUIRE(std::get<EventObserved>(facts[1].fact).message == "1");
  REQUIRE(std::get<PodObserved>(facts[2].fact).uid == "2");
  REQUIRE(inbox.take(10).empty());
}

TEST_CASE("the first start of a pod and its end are not lost to newer facts") {
  Inbox inbox;
  auto started = pod_fact("1", "Running");
  started.started_at = at(3).wall;
  inbox.post(started, test_cause());
  inbox.post(pod_fact("1", "Running"), test_cause());
  auto gone = pod_fact("1", "Succeeded");
  gone.gone = true;
  inbox.post(gone, test_cause());
  inbox.post(pod_fact("1", "Running"), test_cause());
  const auto facts = inbox.take(10);
  REQUIRE(facts.size() == 2);
  REQUIRE(std::get<PodObserved>(facts[0].fact).gone);
  REQUIRE(std::get<PodObserved>(facts[0].fact).started_at == at(3).wall);
}

TEST_CASE("facts that are put back keep their order and give way to newer levels") {
  Inbox inbox;
  inbox.post(pod_fact("1", "Pending"), test_cause());
  inbox.post(write_fact("a", "1"), test_cause());
  inbox.post(write_fact("b", "1"), test_cause());
  auto facts = inbox.take(3);
  inbox.post(pod_fact("1", "Running"), test_cause());
  inbox.put_back(std::move(facts));
  facts = inbox.take(10);
  REQUIRE(facts.size() == 3);
  REQUIRE(std::get<EventObserved>(facts[0].fact).object.name == "a");
  REQUIRE(std::get<EventObserved>(facts[1].fact).object.name == "b");
  REQUIRE(std::get<PodObserved>(facts[2].fact).status.phase == "Running");
}

TEST_CASE("facts that wait for the store do not keep the loop awake") {
  Inbox inbox;
  const SystemClock clock;
  const auto soon = [&] { return clock.now().mono + std::chrono::milliseconds(2); };
  inbox.post(write_fact("a", "1"), test_cause());
  REQUIRE(inbox.wait_until(std::nullopt, clock, {}));
  auto facts = inbox.take(1);
  inbox.put_back(std::move(facts));
  REQUIRE_FALSE(inbox.wait_until(soon(), clock, {}));
  REQUIRE(inbox.size() == 1);
  inbox.wake();
  REQUIRE(inbox.wait_until(std::nullopt, clock, {}));
  inbox.post(write_fact("b", "1"), test_cause());
  REQUIRE(inbox.wait_until(clock.now().mono - std::chrono::seconds(1), clock, {}));
  std::stop_source stop;
  stop.request_stop();
  REQUIRE_FALSE(inbox.wait_until(std::nullopt, clock, stop.get_token()));
}

TEST_CASE("the inbox is bounded: stories give way first") {
  Inbox inbox;
  for (std::size_t i = 0; i < Inbox::kMaxStories + 10; ++i) {
    inbox.post(write_fact("a", std::to_string(i)), test_cause());
  }
  REQUIRE(inbox.size() == Inbox::kMaxStories);
  REQUIRE(inbox.left_out() == 10);
  inbox.post(OperatorActed{"sync", "", 0, "moorctl[1]", "done"}, test_cause());
  REQUIRE(inbox.size() == Inbox::kMaxStories + 1);
  for (std::size_t i = inbox.size(); i < Inbox::kMaxFacts + 5; ++i) {
    inbox.post(OperatorActed{}, test_cause());
  }
  REQUIRE(inbox.size() == Inbox::kMaxFacts);
  REQUIRE(inbox.left_out() == 15);
}

OperatorActed asked(const std::string& subject) {
  return {"exec", subject, 0, "moorctl[1]", "asked"};
}

TEST_CASE("who waits for a fact is told when it is durable, and not before") {
  Inbox inbox;
  std::atomic<int> returned{0};
  std::thread first([&] {
    if (inbox.post_and_wait(asked("one"), test_cause(), std::chrono::seconds(60))) ++returned;
  });
  while (inbox.size() == 0) std::this_thread::yield();
  auto facts = inbox.take(10);
  REQUIRE(facts.size() == 1);
  // The store did not take it: it goes back with whoever waits for it.
  inbox.put_back(std::move(facts));
  REQUIRE(inbox.size() == 1);
  REQUIRE(returned == 0);
  facts = inbox.take(10);
  REQUIRE(std::get<OperatorActed>(facts[0].fact).subject == "one");
  inbox.settle(facts, {});
  first.join();
  REQUIRE(returned == 1);
  inbox.settle(facts, {});  // nobody waits any more
}

TEST_CASE("a refused fact, a silent store and an ended loop are told apart") {
  Inbox inbox;
  SECTION("refused") {
    std::thread loop([&] {
      while (inbox.size() == 0) std::this_thread::yield();
      inbox.settle(inbox.take(10), fail(Code::invalid, "not like this"));
    });
    const auto outcome = inbox.post_and_wait(asked("x"), test_cause(), std::chrono::seconds(60));
    loop.join();
    REQUIRE(outcome.error().message == "not like this");
  }
  SECTION("silent") {
    const auto outcome =
        inbox.post_and_wait(asked("x"), test_cause(), std::chrono::milliseconds(1));
    REQUIRE(outcome.error().reason == "NotRecorded");
    REQUIRE(inbox.size() == 1);  // it is recorded when that is possible
  }
  SECTION("ended") {
    std::thread loop([&] {
      while (inbox.size() == 0) std::this_thread::yield();
      inbox.close();
    });
    const auto outcome = inbox.post_and_wait(asked("x"), test_cause(), std::chrono::seconds(60));
    loop.join();
    REQUIRE(outcome.error().reason == "NotRecorded");
    REQUIRE_FALSE(inbox.post_and_wait(asked("y"), test_cause(), std::chrono::seconds(60)));
  }
  SECTION("full") {
    for (std::size_t i = 0; i < Inbox::kMaxFacts; ++i) inbox.post(asked("x"), test_cause());
    REQUIRE(inbox.post_and_wait(asked("x"), test_cause(), std::chrono::seconds(60)).error().code ==
            Code::exhausted);
  }
}

TEST_CASE("the loop answers who waits with the row on the disk") {
  const TestDirectory directory;
  auto store = open_store(store_options(directory));
  Inbox inbox;
  SeededRandom random(1);
  LoopOptions options;
  options.relook.reset();
  options.compact.reset();
  const auto keep = [](const Fact& fact, const PlanContext&, const ReduceOptions&) {
    Plan plan;
    plan.operators.push_back(std::get<OperatorActed>(fact));
    return plan;
  };
  Loop loop(*store, inbox, {}, keep, random, std::move(options));
  SystemClock clock;
  std::jthread running([&](std::stop_token stop) { loop.run(clock, stop); });
  for (const char* subject : {"one", "two"}) {
    REQUIRE(inbox.post_and_wait(asked(subject), test_cause(), std::chrono::seconds(60)));
    const auto rows = store->read_audit("", 1);
    REQUIRE(rows->at(0).canonical_json.find(subject) != std::string::npos);
  }
}

}  // namespace
}  // namespace moored::test
