// The follower with its real worker on a real repository: from a push to the facts.
#include <catch2/catch.hpp>

#include <thread>

#include "fakes.hpp"
#include "git_fixture.hpp"
#include "gitsync/follow/follower.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "schema/base/log.hpp"
#include "schema/model/core.hpp"

using namespace moored;
using namespace moored::git;

namespace {

using Lines = std::vector<std::string>;

std::string config_map(const std::string& name) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n";
}

// Follows one repository until the end of the test.
class Following {
 public:
  Following() : remote(directory / "shop.git"), reader(options()) {
    set_log_level(LogLevel::error);
    state.put(repository_named("shop", remote.path()));
    state.put(unit_named("app", "shop"));
    GitFollowerOptions wanted;
    wanted.allow_local = true;
    follower.emplace(GitFollower::Ports{reader, state, state, sink, clock, random}, wanted);
  }
  ~Following() {
    stop.request_stop();
    reader.stop();
    if (runner.joinable()) runner.join();
  }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  void start() {
    runner = std::thread([this] { follower->run(stop.get_token()); });
  }
  // The error of a look that is made now, or nothing.
  std::string sync() {
    const auto reports = follower->sync_now("flux/shop", std::chrono::seconds(60));
    if (!reports) return reports.error().text();
    return reports->at(0).error ? reports->at(0).error->reason : "";
  }

  TempDirectory directory;
  TestRepository remote;
  WorkerReader reader;
  FakeState state;
  FakeSink sink;
  SystemClock clock;
  SystemRandom random;
  std::optional<GitFollower> follower;
  std::stop_source stop;
  std::thread runner;

 private:
  WorkerReader::Options options() const {
    WorkerReader::Options wanted;
    wanted.program = std::string(MOORED_BIN_DIR) + "/moored-git";
    wanted.mirror_root = directory / "mirrors";
    return wanted;
  }
};

}  // namespace

TEST_CASE("a push becomes facts, good or refused", "[follow]") {
  Following world;
  world.start();
  CHECK(world.sync() == "RefNotFound");
  CHECK(world.sink.take() == Lines{"source shop error RefNotFound"});
  const std::string first = world.remote.push({{"app/a.yaml", config_map("one")}});
  CHECK(world.sync().empty());
  CHECK(world.sink.take() ==
        Lines{"source shop main@sha1:" + first, "tree app main@sha1:" + first + " complete"});
  const TreeLoaded tree = world.sink.last_tree();
  REQUIRE(tree.objects.size() == 1);
  CHECK(tree.objects[0].provenance() ==
        Provenance{"flux/shop", "", "", "app/a.yaml", 1});
  CHECK(tree.validated_at >= tree.rendered_at);
  const std::string typo = world.remote.push({{"app/a.yaml", config_map("one") + "dota: {}\n"}});
  CHECK(world.sync().empty());
  CHECK(world.sink.take() ==
        Lines{"source shop main@sha1:" + typo, "tree app main@sha1:" + typo + " refused"});
  CHECK(world.sink.last_tree().diagnostics.errors().at(0).reason == "UnknownField");
  CHECK(world.sink.last_tree().objects.empty());
}

TEST_CASE("one repository feeds several units", "[follow]") {
  Following world;
  world.state.put(unit_named("other", "shop"));
  const std::string sha = world.remote.push(
      {{"app/a.yaml", config_map("one")}, {"other/b.yaml", config_map("two")}});
  world.start();
  CHECK(world.sync().empty());
  const Lines facts = world.sink.take();
  CHECK(facts == Lines{"source shop main@sha1:" + sha, "tree app main@sha1:" + sha + " complete",
                       "tree other main@sha1:" + sha + " complete"});
}

TEST_CASE("a branch that goes away keeps what runs", "[follow]") {
  Following world;
  const std::string sha = world.remote.push({{"app/a.yaml", config_map("one")}});
  world.start();
  CHECK(world.sync().empty());
  world.sink.take();
  world.remote.git({"update-ref", "-d", "refs/heads/main"});
  CHECK(world.sync() == "RefNotFound");
  // An error of the source and no tree: nothing can be deleted because of it.
  CHECK(world.sink.take() == Lines{"source shop error RefNotFound"});
  world.remote.set_ref("refs/heads/main", sha);
  CHECK(world.sync().empty());
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + sha});
}

TEST_CASE("history written anew is followed and said", "[follow]") {
  Following world;
  const std::string first = world.remote.push({{"app/a.yaml", config_map("one")}});
  const std::string second = world.remote.push({{"app/a.yaml", config_map("two")}});
  world.start();
  CHECK(world.sync().empty());
  world.sink.take();
  world.remote.set_ref("refs/heads/main", first);
  CHECK(world.sync().empty());
  CHECK(world.sink.take() == Lines{"source shop main@sha1:" + first + " rewritten",
                                   "tree app main@sha1:" + first + " complete"});
}

TEST_CASE("a unit without its directory is refused, not emptied", "[follow]") {
  Following world;
  const std::string sha = world.remote.push({{"elsewhere/a.yaml", config_map("one")}});
  world.start();
  CHECK(world.sync().empty());
  CHECK(world.sink.take().back() == "tree app main@sha1:" + sha + " refused");
  CHECK(world.sink.last_tree().diagnostics.errors().at(0).reason == "PathNotFound");
}
