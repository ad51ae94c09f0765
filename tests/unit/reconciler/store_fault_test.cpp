// What the store does when the disk is full, fails, or the power goes, and when it is killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "reconciler/loop/loop.hpp"
#include "reconciler/store/connection.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fault_vfs.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

StoreOptions on_disk(const TestDirectory& directory, const FaultDisk& disk) {
  StoreOptions options = store_options(directory);
  options.vfs = disk.name();
  options.checkpoint_on_close = false;
  return options;
}

Plan step_plan(std::int64_t step) {
  Plan plan = put_plan(make_config("a", std::to_string(step)), "step");
  plan.put(make_object(make_config("b", std::to_string(step))), "step");
  return plan;
}

std::string text_of(const Store& store, const std::string& name) {
  const auto found = store.view()->find(key_of<ConfigMap>("default", name));
  return found ? found->as<ConfigMap>().data.at("key") : "(absent)";
}

// Fails every n-th changing call of a commit, for every n until the commit gets through unharmed.
void fail_every_step(FaultDisk::Fault fault, bool lasting) {
  for (int n = 0; n < 1'000; ++n) {
    INFO("failing call " << n);
    const TestDirectory directory;
    FaultDisk disk;
    auto store = open_store(on_disk(directory, disk));
    record(*store, step_plan(1));
    const auto before = store->view();
    disk.fail_at(n, fault, lasting);
    const auto outcome = store->record(step_plan(2), test_cause(), at(1));
    const bool reached = disk.has_failed();
    if (!outcome) {
      REQUIRE(outcome.error().code ==
              (fault == FaultDisk::Fault::full ? Code::exhausted : Code::unavailable));
      REQUIRE(store->view()->resource_version() == before->resource_version());
      REQUIRE(text_of(*store, "a") == "1");
    }
    // While the disk fails on, so do further tries.
    if (reached && lasting) REQUIRE_FALSE(store->record(step_plan(2), test_cause(), at(1)));
    disk.heal();
    // The next tries go through: at most one of them opens the file anew.
    auto again = store->record(step_plan(3), test_cause(), at(2));
    if (!again) again = store->record(step_plan(3), test_cause(), at(2));
    REQUIRE(again.has_value());
    REQUIRE(text_of(*store, "a") == "3");
    REQUIRE(text_of(*store, "b") == "3");
    REQUIRE(store->verify_audit().has_value());
    store.reset();
    store = open_store(on_disk(directory, disk));
    REQUIRE(text_of(*store, "a") == "3");
    REQUIRE(store->verify_audit().has_value());
    if (!reached) return;
  }
  FAIL("the commit never got through");
}

TEST_CASE("a full disk keeps what was acknowledged and goes on when there is room") {
  fail_every_step(FaultDisk::Fault::full, GENERATE(true, false));
}

TEST_CASE("a failing disk is not trusted again before the file was opened anew") {
  fail_every_step(FaultDisk::Fault::io_error, GENERATE(true, false));
}

TEST_CASE("while the disk stays full nothing is published, and readers go on") {
  const TestDirectory directory;
  FaultDisk disk;
  auto store = open_store(on_disk(directory, disk));
  record(*store, step_plan(1));
  disk.fail_at(0, FaultDisk::Fault::full, true);
  for (int i = 0; i < 5; ++i) {
    const auto outcome = store->record(step_plan(2 + i), test_cause(), at(i));
    REQUIRE(outcome.error().reason == "StoreFull");
    REQUIRE_FALSE(outcome.error().fix.empty());
  }
  REQUIRE(store->changes_since(nullptr, 0, 10)->size() == 2);
  disk.heal();
  REQUIRE(record(*store, step_plan(9)).resource_version == 4);
}

Plan reduce_for_test(const Fact& fact, const PlanContext&, const ReduceOptions&) {
  Plan plan;
  plan.operators.push_back(std::get<OperatorActed>(fact));
  return plan;
}

TEST_CASE("facts wait while the store does not take them and are taken in their order") {
  const TestDirectory directory;
  FaultDisk disk;
  auto store = open_store(on_disk(directory, disk));
  Inbox inbox;
  SeededRandom random(1);
  LoopOptions options;
  options.relook.reset();
  options.compact.reset();
  Loop loop(*store, inbox, {}, &reduce_for_test, random, options);
  for (const char* subject : {"one", "two", "three"}) {
    inbox.post(OperatorActed{"sync", subject, 0, "moorctl[1]", "done"}, test_cause());
  }
  disk.fail_at(0, FaultDisk::Fault::full, true);
  const auto due = loop.step(at(0));
  REQUIRE(due == at(1).mono);
  REQUIRE(inbox.size() == 3);
  REQUIRE(loop.step(at(0)) == at(1).mono);
  inbox.post(OperatorActed{"sync", "four", 0, "moorctl[1]", "done"}, test_cause());
  REQUIRE(loop.step(at(1)) == at(3).mono);
  REQUIRE(inbox.size() == 4);
  disk.heal();
  REQUIRE_FALSE(loop.step(at(3)).has_value());
  REQUIRE(inbox.size() == 0);
  const auto rows = store->read_audit("", 10);
  REQUIRE(rows->size() == 4);
  const std::vector<std::string> order = {"four", "three", "two", "one"};
  for (std::size_t i = 0; i < order.size(); ++i) {
    REQUIRE(rows->at(i).canonical_json.find("\"" + order[i] + "\"") != std::string::npos);
  }
}

// Cuts in the short form: each place once or more. MOORED_POWER_CUTS asks for more of them.
std::size_t count_cuts(std::size_t places) {
  const char* wanted = std::getenv("MOORED_POWER_CUTS");
  const std::size_t count = wanted == nullptr ? 0 : std::strtoul(wanted, nullptr, 10);
  return std::max(count, 2 * places);
}

TEST_CASE("no power cut loses what was acknowledged") {
  constexpr std::int64_t kCommits = 12;
  const TestDirectory directory;
  std::vector<DiskStep> steps;
  {
    FaultDisk disk;
    disk.start_recording();
    auto store = open_store(on_disk(directory, disk));
    for (std::int64_t step = 1; step <= kCommits; ++step) {
      disk.acknowledge(record(*store, step_plan(step)).resource_version);
    }
    store.reset();
    steps = disk.steps();
  }
  const auto first = std::find_if(steps.begin(), steps.end(), [](const DiskStep& step) {
    return step.type == DiskStep::Type::acknowledge;
  });
  const auto begin = static_cast<std::size_t>(first - steps.begin());
  REQUIRE(steps.size() > begin + 40);
  const std::size_t places = steps.size() - begin + 1;
  const std::size_t cuts = count_cuts(places);
  std::size_t unacknowledged = 0;
  for (std::size_t n = 0; n < cuts; ++n) {
    const std::size_t cut = begin + n % places;
    std::int64_t acknowledged = 0;
    for (std::size_t i = 0; i < cut; ++i) {
      if (steps[i].type == DiskStep::Type::acknowledge) acknowledged = steps[i].offset;
    }
    INFO("cut " << n << " behind call " << cut << " of " << steps.size());
    const TestDirectory after;
    for (const auto& [name, bytes] : cut_power(steps, cut, n)) {
      REQUIRE(write_file(after.file(name), bytes, true));
    }
    std::filesystem::copy_file(directory.file("seal.key"), after.file("seal.key"));
    auto store = open_store(store_options(after));
    const std::int64_t found = store->view()->resource_version();
    REQUIRE(found >= acknowledged);
    REQUIRE(found % 2 == 0);
    REQUIRE(text_of(*store, "a") == std::to_string(found / 2));
    REQUIRE(text_of(*store, "a") == text_of(*store, "b"));
    REQUIRE(store->verify_audit()->rows == found / 2);
    REQUIRE(record(*store, step_plan(99)).resource_version == found + 2);
    unacknowledged += found > acknowledged ? 1 : 0;
  }
  // Every cut loses something now and then, or the disk of this test would lose nothing at all.
  REQUIRE(unacknowledged < cuts);
  if (cuts > 2 * places) {
    WARN(cuts << " power cuts at " << places << " places, nothing acknowledged was lost; "
              << unacknowledged << " kept a commit that was not acknowledged yet");
  }
}

TEST_CASE("after a failed sync the log is written out anew before it is believed") {
  const TestDirectory directory;
  FaultDisk disk;
  auto store = open_store(on_disk(directory, disk));
  record(*store, step_plan(1));
  disk.fail_sync();
  REQUIRE(store->record(step_plan(2), test_cause(), at(1)).error().reason == "StoreSync");
  REQUIRE(store->view()->resource_version() == 2);
  disk.heal();
  disk.start_recording();
  // The next try opens the file anew: all of it goes into the database, which is synced, before the
  // log is written again.
  REQUIRE_FALSE(store->record(step_plan(3), test_cause(), at(2)));
  bool synced = false;
  for (const DiskStep& step : disk.steps()) {
    const bool database = step.file == "moored.db";
    if (database && step.type == DiskStep::Type::sync) synced = true;
    if (!database && step.type == DiskStep::Type::write) {
      INFO("a write to " << step.file << " before the database was synced");
      REQUIRE(synced);
    }
  }
  REQUIRE(synced);
  REQUIRE(store->record(step_plan(3), test_cause(), at(3)));
  REQUIRE(text_of(*store, "a") == "3");
}

// The child records without end and tells each version after it was acknowledged.
[[noreturn]] void record_until_killed(const StoreOptions& options, int out) {
  auto store = Store::open(options);
  if (!store) ::_exit(3);
  for (;;) {
    const std::int64_t next = (*store)->view()->resource_version() / 2 + 1;
    const auto recorded = (*store)->record(step_plan(next), test_cause(), at(next));
    if (!recorded) ::_exit(4);
    const std::int64_t version = recorded->resource_version;
    if (::write(out, &version, sizeof version) != sizeof version) ::_exit(5);
  }
}

TEST_CASE("a killed daemon loses nothing that it acknowledged") {
  const TestDirectory directory;
  SeededRandom random(4);
  std::int64_t acknowledged = 0;
  for (int round = 0; round < 15; ++round) {
    int pipe_ends[2];
    REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
    const UniqueFd in(pipe_ends[0]);
    UniqueFd out(pipe_ends[1]);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) record_until_killed(store_options(directory), out.get());
    out.reset();
    std::int64_t version = 0;
    const auto wanted = 1 + random.below(60);
    for (std::uint64_t heard = 0; heard < wanted; ++heard) {
      if (::read(in.get(), &version, sizeof version) != sizeof version) break;
      acknowledged = version;
    }
    REQUIRE(::kill(child, SIGKILL) == 0);
    while (::read(in.get(), &version, sizeof version) == sizeof version)
      acknowledged = version;
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    auto store = open_store(store_options(directory));
    const std::int64_t found = store->view()->resource_version();
    REQUIRE(found >= acknowledged);
    REQUIRE(text_of(*store, "a") == std::to_string(found / 2));
    REQUIRE(text_of(*store, "b") == std::to_string(found / 2));
    REQUIRE(store->verify_audit()->rows == found / 2);
    acknowledged = found;
  }
}

TEST_CASE("a store that another program locks says so and goes on afterwards") {
  const TestDirectory directory;
  StoreOptions impatient = store_options(directory);
  impatient.busy_wait = std::chrono::milliseconds(1);
  auto store = open_store(impatient);
  store::Connection::Options options;
  options.path = directory.file("moored.db");
  options.writable = true;
  auto other = store::Connection::open(options);
  REQUIRE(other.has_value());
  const Status held = other->transact([&]() -> Status {
    const auto outcome = store->record(step_plan(1), test_cause(), at(0));
    REQUIRE(outcome.error().reason == "StoreBusy");
    return {};
  });
  REQUIRE(held.has_value());
  REQUIRE(record(*store, step_plan(1)).resource_version == 2);
}

}  // namespace
}  // namespace moored::test
