#include "gitsync/follow/follower.hpp"

#include <catch2/catch.hpp>

#include <limits>

#include <condition_variable>
#include <thread>

#include "fakes.hpp"
#include "gitsync/follow/schedule.hpp"
#include "gitsync/follow/tracks.hpp"
#include "schema/base/log.hpp"
#include "schema/model/core.hpp"

using namespace moored;
using namespace moored::git;

namespace {

using Lines = std::vector<std::string>;

const std::string kA(40, 'a');
const std::string kB(40, 'b');
const std::string kUrl = "https://git.example.org/shop";

Error unavailable(const std::string& reason) {
  return Error{Code::unavailable, "no answer", reason, {}, {}};
}

// A follower over fakes, with one source "shop" and one unit "app".
struct World {
  World() {
    set_log_level(LogLevel::error);
    state.put(repository_named("shop", kUrl));
    state.put(unit_named("app", "shop"));
    at(kA);
    follower.emplace(GitFollower::Ports{reader, state, state, sink, clock, random},
                     GitFollowerOptions{});
  }
  // What the remote has from now on.
  void at(const std::string& sha, bool rewritten = false) {
    reader.on_fetch = [sha, rewritten](const SourceSpec&, const std::string& known) {
      SourceHead head;
      head.commit.sha = sha;
      head.commit.author = "tester <tester@example.test>";
      head.changed = known != sha;
      head.history_rewritten = rewritten && head.changed;
      return Result<SourceHead>(head);
    };
  }
  void broken(const Error& error) {
    reader.on_fetch = [error](const SourceSpec&, const std::string&) {
      return Result<SourceHead>(Unexpected(error));
    };
  }
  // Steps now, and gives the wait until the next look.
  Duration step() { return follower->step(clock.now()) - clock.now().mono; }
  // Lets time pass up to the next look.
  void step_later() {
    clock.advance(step());
    step();
  }

  FakeState state;
  FakeReader reader;
  FakeSink sink;
  FakeClock clock;
  SeededRandom random{7};
  std::optional<GitFollower> follower;
};

}  // namespace

TEST_CASE("the first look posts the source, then its trees", "[follower]") {
  World world;
  world.step();
  CHECK(world.reader.take() == Lines{"fetch " + kUrl + " refs/heads/main known=",
                                     "load aaaa ./app"});
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + kA,
                                   "tree app main@sha1:" + kA + " complete"});
  CHECK(world.sink.last_cause().actor == Cause::Actor::commit);
  CHECK(world.sink.last_cause().name == "tester <tester@example.test>");
  CHECK(world.sink.last_cause().reason == "main@sha1:" + kA);
}

TEST_CASE("a look is made at the interval and not before", "[follower]") {
  World world;
  const Duration wait = world.step();
  CHECK(wait >= std::chrono::seconds(9));
  CHECK(wait <= std::chrono::seconds(11));
  world.reader.take();
  world.clock.advance(wait - Duration(1));
  CHECK(world.step() == Duration(1));
  CHECK(world.reader.take().empty());
  world.clock.advance(Duration(1));
  world.step();
  CHECK(world.reader.take() == Lines{"fetch " + kUrl + " refs/heads/main known=aaaa"});
}

TEST_CASE("the same news is never posted twice", "[follower]") {
  World world;
  world.step();
  world.sink.take();
  for (int i = 0; i < 3; ++i) world.step_later();
  CHECK(world.sink.take().empty());
  world.at(kB, true);
  world.step_later();
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + kB + " rewritten",
                                   "tree app main@sha1:" + kB + " complete"});
}

TEST_CASE("an error is said once, backed off from, and taken back", "[follower]") {
  World world;
  world.step();
  world.sink.take();
  world.broken(unavailable("FetchHTTP"));
  world.step_later();
  CHECK(world.sink.take() == Lines{"source shop error FetchHTTP"});
  Duration last{};
  for (int i = 0; i < 12; ++i) {
    const Duration wait = world.step();
    if (i < 4) CHECK(wait > last);
    CHECK(wait <= kLongestBackoff * 5 / 4);
    last = wait;
    world.clock.advance(wait);
    world.step();
  }
  CHECK(last >= kLongestBackoff);
  CHECK(world.sink.take().empty());
  world.broken(unavailable("FetchFailed"));
  world.clock.advance(last * 2);
  world.step();
  CHECK(world.sink.take() == Lines{"source shop error FetchFailed"});
  world.at(kA);
  world.step_later();
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + kA});
}

TEST_CASE("a unit is loaded again when it changes, without a fetch", "[follower]") {
  World world;
  world.step();
  world.reader.take();
  world.sink.take();
  Kustomization unit = unit_named("app", "shop");
  unit.metadata.generation = 2;
  unit.spec.target_namespace = "team";
  world.state.put(unit);
  world.step();
  CHECK(world.reader.take() == Lines{"load aaaa ./app in team"});
  CHECK(world.sink.take() == Lines{"tree app main@sha1:" + kA + " complete"});
  world.state.put(unit_named("other", "shop"));
  world.state.put(unit_named("foreign", "elsewhere"));
  world.step();
  CHECK(world.reader.take() == Lines{"load aaaa ./other"});
}

TEST_CASE("a source that changes is looked at afresh", "[follower]") {
  World world;
  world.step();
  world.reader.take();
  GitRepository repository = repository_named("shop", kUrl);
  repository.metadata.generation = 2;
  repository.spec.ref = GitRepositoryRef{{}, "v1", {}, {}};
  world.state.put(repository);
  world.step();
  // Another reference: what was known is no measure for rewritten history.
  CHECK(world.reader.take() == Lines{"fetch " + kUrl + " refs/tags/v1 known=",
                                     "load aaaa ./app"});
  CHECK(world.sink.take().back() == "tree app v1@sha1:" + kA + " complete");
}

TEST_CASE("what the store knows after a restart is taken up", "[follower]") {
  World world;
  GitRepository repository = repository_named("shop", kUrl);
  repository.status.artifact = SourceArtifact{"main@sha1:" + kA, {}};
  world.state.put(repository);
  world.step();
  CHECK(world.reader.take() == Lines{"fetch " + kUrl + " refs/heads/main known=aaaa",
                                     "load aaaa ./app"});
}

TEST_CASE("suspended sources and units rest", "[follower]") {
  World world;
  GitRepository repository = repository_named("shop", kUrl);
  repository.spec.suspend = true;
  world.state.put(repository);
  world.step();
  CHECK(world.reader.take().empty());
  repository.spec.suspend = false;
  world.state.put(repository);
  Kustomization unit = unit_named("app", "shop");
  unit.spec.suspend = true;
  world.state.put(unit);
  world.step();
  CHECK(world.reader.take() == Lines{"fetch " + kUrl + " refs/heads/main known="});
}

TEST_CASE("a refused tree is not loaded again until something changes", "[follower]") {
  World world;
  world.reader.on_load = [](const SourceSpec&, const LoadRequest&) {
    LoadedTree tree;
    tree.diagnostics.add_error(Error{Code::invalid, "no", "UnknownField", {}, {}});
    return Result<LoadedTree>(std::move(tree));
  };
  world.step();
  CHECK(world.sink.take().back() == "tree app main@sha1:" + kA + " refused");
  CHECK(world.sink.last_tree().diagnostics.error_count() == 1);
  world.reader.take();
  world.step_later();
  CHECK(world.reader.take().size() == 1);
  // A person who asks gets an answer of today.
  world.follower->request_look("flux/shop");
  world.step();
  CHECK(world.reader.take().size() == 2);
}

TEST_CASE("broken objects are an error of the source, tried again", "[follower]") {
  World world;
  world.step();
  world.sink.take();
  world.at(kB);
  const auto good = world.reader.on_load;
  world.reader.on_load = [](const SourceSpec&, const LoadRequest&) {
    return Result<LoadedTree>(Unexpected(
        Error{Code::corrupt, "the object 2222222 is missing", "ObjectMissing", {}, {}}));
  };
  world.step_later();
  CHECK(world.sink.take() == Lines{"source shop error ObjectMissing",
                                   "tree app main@sha1:" + kB + " refused"});
  world.reader.take();
  world.step_later();
  CHECK(world.reader.take().size() == 2);
  CHECK(world.sink.take().empty());
  world.reader.on_load = good;
  world.step_later();
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + kB,
                                   "tree app main@sha1:" + kB + " complete"});
}

TEST_CASE("a tree that came beside an error of the source is said again", "[follower]") {
  World world;
  world.state.put(unit_named("other", "shop"));
  world.step();
  world.sink.take();
  world.at(kB);
  const auto good = world.reader.on_load;
  world.reader.on_load = [&](const SourceSpec& source, const LoadRequest& request) {
    if (request.path == "./app") return good(source, request);
    return Result<LoadedTree>(Unexpected(unavailable("WorkerLost")));
  };
  world.step_later();
  CHECK(world.sink.take() == Lines{"source shop error WorkerLost",
                                   "tree app main@sha1:" + kB + " complete",
                                   "tree other main@sha1:" + kB + " refused"});
  world.reader.on_load = good;
  world.step_later();
  // The core was told the revision only now: the first tree was left out there.
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + kB,
                                   "tree app main@sha1:" + kB + " complete",
                                   "tree other main@sha1:" + kB + " complete"});
  world.step_later();
  CHECK(world.sink.take().empty());
}

TEST_CASE("a URL that is not allowed reaches no reader", "[follower]") {
  World world;
  GitRepository repository = repository_named("shop", "/srv/git/shop.git");
  repository.metadata.generation = 2;
  world.state.put(repository);
  world.step();
  CHECK(world.reader.take().empty());
  CHECK(world.sink.take() == Lines{"source shop error URLNotAllowed"});
  GitFollowerOptions options;
  options.allowed_urls = {"/srv/git/shop.git"};
  GitFollower allowed({world.reader, world.state, world.state, world.sink, world.clock,
                       world.random}, options);
  allowed.step(world.clock.now());
  CHECK(world.reader.take().front() ==
        "fetch /srv/git/shop.git refs/heads/main known= local");
}

TEST_CASE("objects are passed on as they were read", "[follower]") {
  World world;
  world.reader.on_load = [](const SourceSpec&, const LoadRequest&) {
    LoadedTree tree;
    tree.complete = true;
    Provenance provenance;
    provenance.file = "app/a.yaml";
    provenance.line = 3;
    tree.objects.push_back(make_object(unit_named("x", "y"), provenance));
    return Result<LoadedTree>(std::move(tree));
  };
  world.step();
  const TreeLoaded tree = world.sink.last_tree();
  REQUIRE(tree.objects.size() == 1);
  CHECK(tree.objects[0].provenance() == Provenance{"", "", "", "app/a.yaml", 3});
  CHECK(tree.unit == key_of<Kustomization>("flux", "app"));
  CHECK(tree.revision == "main@sha1:" + kA);
}

TEST_CASE("a source that goes away is forgotten", "[follower]") {
  World world;
  world.step();
  world.state.remove(key_of<GitRepository>("flux", "shop"));
  world.clock.advance(std::chrono::minutes(1));
  world.reader.take();
  world.step();
  CHECK(world.reader.take() == std::vector<std::string>{"forget flux/shop"});
  world.step();
  CHECK(world.reader.take().empty());
  world.state.put(repository_named("shop", kUrl));
  world.step();
  CHECK(world.reader.take().size() == 2);
}

TEST_CASE("a view that was overtaken takes no source out", "[follower]") {
  FakeState state;
  const auto early = state.view();
  state.put(repository_named("late", kUrl));
  Tracks tracks(false, {});
  REQUIRE(tracks.refresh(*state.view()));
  CHECK(tracks.request("flux/late", 1).size() == 1);
  MonoTime next{};
  CHECK(tracks.plan(*early, {}, 4, next).empty());
  CHECK(next == MonoTime{});
  CHECK(tracks.take_vanished().empty());
  const auto looks = tracks.plan(*state.view(), {}, 4, next);
  REQUIRE(looks.size() == 1);
  CHECK(looks.front().ticket == 1);
}

TEST_CASE("a source that came back before it was forgotten is kept", "[follower]") {
  FakeState state;
  state.put(repository_named("shop", kUrl));
  Tracks tracks(false, {});
  tracks.refresh(*state.view());
  state.remove(key_of<GitRepository>("flux", "shop"));
  tracks.refresh(*state.view());
  state.put(repository_named("shop", kUrl));
  tracks.refresh(*state.view());
  CHECK(tracks.take_vanished().empty());
}

TEST_CASE("a source that goes away while others are looked at is forgotten", "[follower]") {
  World world;
  std::stop_source stop;
  std::thread runner([&] { world.follower->run(stop.get_token()); });
  REQUIRE(world.follower->sync_now("", std::chrono::seconds(60)));
  world.reader.take();
  world.state.remove(key_of<GitRepository>("flux", "shop"));
  world.follower->request_look();
  std::vector<std::string> asked;
  while (asked.empty()) {
    std::this_thread::yield();
    asked = world.reader.take();
  }
  stop.request_stop();
  runner.join();
  CHECK(asked == std::vector<std::string>{"forget flux/shop"});
}

TEST_CASE("a silent source delays no other, and sync waits for its look", "[follower]") {
  World world;
  world.state.put(repository_named("slow", "https://slow.example.org/x"));
  std::mutex mutex;
  std::condition_variable changed;
  bool released = false;
  const auto quick = world.reader.on_fetch;
  world.reader.on_fetch = [&](const SourceSpec& source, const std::string& known) {
    if (source.id == "flux/slow") {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return released; });
      return Result<SourceHead>(Unexpected(unavailable("FetchTimeout")));
    }
    return quick(source, known);
  };
  std::stop_source stop;
  std::thread runner([&] { world.follower->run(stop.get_token()); });
  const auto quick_look = world.follower->sync_now("flux/shop", std::chrono::seconds(60));
  const auto slow_look = world.follower->sync_now("flux/slow", std::chrono::milliseconds(1));
  {
    const std::lock_guard lock(mutex);
    released = true;
  }
  changed.notify_all();
  const auto all = world.follower->sync_now("", std::chrono::seconds(60));
  const auto unknown = world.follower->sync_now("flux/none", std::chrono::seconds(60));
  stop.request_stop();
  runner.join();
  REQUIRE(quick_look);
  REQUIRE(quick_look->size() == 1);
  CHECK(quick_look->front().revision == "main@sha1:" + kA);
  CHECK_FALSE(quick_look->front().error);
  REQUIRE_FALSE(slow_look);
  CHECK(slow_look.error().code == Code::timeout);
  REQUIRE(all);
  REQUIRE(all->size() == 2);
  REQUIRE(all->at(1).error);
  CHECK(all->at(1).error->reason == "FetchTimeout");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == Code::not_found);
}

TEST_CASE("a change in the store wakes the follower", "[follower]") {
  World world;
  std::stop_source stop;
  std::thread runner([&] { world.follower->run(stop.get_token()); });
  REQUIRE(world.follower->sync_now("", std::chrono::seconds(60)));
  world.state.put(repository_named("second", "https://git.example.org/second"));
  const auto reports = world.follower->sync_now("flux/second", std::chrono::seconds(60));
  stop.request_stop();
  runner.join();
  REQUIRE(reports);
  CHECK(reports->size() == 1);
}

TEST_CASE("the schedule is a function of values", "[schedule]") {
  SeededRandom random(1);
  const Duration interval = std::chrono::seconds(10);
  const Error overload{Code::unavailable, "status code 503, retry after 120 s", "FetchHTTP", {}, {}};
  const Error missing{Code::not_found, "no reference", "RefNotFound", {}, {}};
  for (int i = 0; i < 100; ++i) {
    const Duration usual = delay_after(interval, 0, nullptr, {}, random);
    CHECK(usual >= std::chrono::seconds(9));
    CHECK(usual <= std::chrono::milliseconds(11'000));
    // The words of an error decide nothing: what the server asked for comes beside them.
    CHECK(delay_after(interval, 1, &overload, {}, random) <= interval * 5 / 4);
    const auto after = [&](std::int64_t seconds) {
      return delay_after(interval, 1, &overload, std::chrono::seconds(seconds), random);
    };
    CHECK(after(0) >= std::chrono::seconds(30));
    CHECK(after(120) >= std::chrono::seconds(120));
    CHECK(after(std::numeric_limits<std::int64_t>::max()) <= kLongestBackoff * 5 / 4);
    CHECK(delay_after(interval, 50, &missing, {}, random) <= std::chrono::milliseconds(11'000));
    const Error down = unavailable("FetchFailed");
    CHECK(delay_after(interval, 50, &down, {}, random) >= kLongestBackoff);
    CHECK(delay_after(interval, 3, &down, {}, random) >= interval * 4);
    CHECK(delay_after(interval, 3, &down, {}, random) <= interval * 5);
  }
}

TEST_CASE("references and revisions are written as Flux writes them", "[schedule]") {
  struct Row {
    GitRepositoryRef ref;
    std::string reference;
    std::string revision;
  };
  const std::vector<Row> rows{
      {{"main", "", "", ""}, "refs/heads/main", "main@sha1:" + kA},
      {{"main", "v1", "", ""}, "refs/tags/v1", "v1@sha1:" + kA},
      {{"main", "v1", "", "refs/pull/1/head"}, "refs/pull/1/head",
       "refs/pull/1/head@sha1:" + kA},
      {{"main", "", kA, ""}, kA, "main@sha1:" + kA},
      {{"", "", kA, ""}, kA, "sha1:" + kA},
      {{"", "", "", ""}, "HEAD", "HEAD@sha1:" + kA},
  };
  for (const auto& row : rows) {
    GitRepositorySpec spec;
    spec.ref = row.ref;
    CHECK(reference_of(spec) == row.reference);
    CHECK(revision_of(spec, kA) == row.revision);
    CHECK(sha_of(row.revision) == kA);
  }
  CHECK(reference_of(GitRepositorySpec{}) == "HEAD");
  CHECK(sha_of("main").empty());
  CHECK(sha_of("main@sha1:abc").empty());
  GitRepositorySpec spec;
  CHECK(interval_of(spec) == kDefaultInterval);
  spec.interval = "1ms";
  CHECK(interval_of(spec) == kShortestInterval);
  spec.interval = "5m";
  CHECK(interval_of(spec) == std::chrono::minutes(5));
}

TEST_CASE("rewritten history is taken or refused by the operator's word", "[follower]") {
  struct Row {
    bool fast_forward_only;
    std::string annotation;
    bool refused;
  };
  for (const auto& row : std::vector<Row>{{false, "", false},
                                          {true, "", true},
                                          {false, "fast-forward", true},
                                          {false, "follow", false},
                                          {false, "fast-foward", true}}) {
    CAPTURE(row.fast_forward_only, row.annotation);
    World world;
    GitFollowerOptions options;
    options.fast_forward_only = row.fast_forward_only;
    world.follower.emplace(GitFollower::Ports{world.reader, world.state, world.state, world.sink,
                                              world.clock, world.random}, options);
    GitRepository repository = repository_named("shop", kUrl);
    if (!row.annotation.empty()) {
      repository.metadata.annotations[std::string(kHistoryAnnotation)] = row.annotation;
    }
    world.state.put(repository);
    world.step();
    world.sink.take();
    world.at(kB, true);
    world.step_later();
    const Lines said = world.sink.take();
    REQUIRE_FALSE(said.empty());
    CHECK((said[0].find("HistoryRewritten") != std::string::npos) == row.refused);
    // The measure stays the commit that was taken.
    if (row.refused) CHECK(said.size() == 1);
    world.reader.take();
    world.step_later();
    CHECK(world.reader.take()[0] == "fetch " + kUrl + " refs/heads/main known=" +
                                        (row.refused ? "aaaa" : "bbbb"));
  }
}

TEST_CASE("a Secret of the store goes with the look", "[follower]") {
  World world;
  GitRepository repository = repository_named("shop", kUrl);
  repository.spec.secret_ref = LocalObjectReference{"deploy"};
  repository.spec.ignore = "ci/";
  world.state.put(repository);
  std::optional<SourceSpec> seen;
  world.reader.on_fetch = [&](const SourceSpec& source, const std::string&) {
    seen = source;
    return Result<SourceHead>(Unexpected(unavailable("x")));
  };
  world.step();
  REQUIRE(seen);
  REQUIRE(seen->secret);
  CHECK(seen->secret->name == "deploy");
  CHECK_FALSE(seen->secret->values);
  CHECK_FALSE(seen->proxy_secret);
  CHECK(seen->ignore == "ci/");
  Secret secret;
  secret.metadata.name = "deploy";
  secret.metadata.namespace_name = "flux";
  secret.data["password"] = "pw";
  world.state.put(secret);
  world.step_later();
  REQUIRE(seen->secret->values);
  CHECK(seen->secret->values->at("password") == "pw");
}

TEST_CASE("nothing is loaded for a reference that was never found", "[follower]") {
  World world;
  world.step();
  world.sink.take();
  world.reader.take();
  GitRepository repository = repository_named("shop", kUrl);
  repository.metadata.generation = 2;
  repository.spec.ref = GitRepositoryRef{"missing", {}, {}, {}};
  world.state.put(repository);
  world.broken(Error{Code::not_found, "no reference", "RefNotFound", {}, {}});
  // Twice at one moment: the second plan finds units that were not tried at the new reference.
  world.step();
  world.step();
  CHECK(world.sink.take() == Lines{"source shop error RefNotFound"});
  for (const auto& asked : world.reader.take()) CHECK(asked.find("load") == std::string::npos);
}
