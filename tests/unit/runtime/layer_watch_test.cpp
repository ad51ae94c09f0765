// Layers that were changed by hand: which are in use, what is told of them, and when it is over.
#include "runtime/watch/layer_watch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>
#include <thread>

#include "runtime/shim/order.hpp"
#include "schema/host/file.hpp"
#include "schema/model/cluster.hpp"

namespace moored::watch {
namespace {

namespace fs = std::filesystem;

struct Posted final : FactSink {
  std::vector<DriftRecord> records;
  void post(Fact fact, Cause) override { records.push_back(std::get<DriftObserved>(fact).record); }
};

timespec change_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_ctim;
}

// A state and a run directory with one layer, and a pod that stands on it.
class Machine {
 public:
  Machine() {
    char name[] = "/tmp/moored-layers-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
    fs::create_directories(layer() + "/bin");
    fs::create_directories(path_ + "/images/l");
    fs::create_symlink("../layers/0123abcd/diff", path_ + "/images/l/0123");
    REQUIRE(write_file(layer() + "/bin/tool", "tool", true));
    REQUIRE(write_file(layer() + "/top", "top", true));
    unpack();
    start("one", "main", 0, {path_ + "/images/l/0123"});
  }
  ~Machine() { fs::remove_all(path_); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  std::string layer() const { return path_ + "/images/layers/0123abcd/diff"; }
  std::string run_dir() const { return path_ + "/run"; }
  // Nothing in the layer is newer than its record.
  void unpack() const {
    const auto meta = path_ + "/images/layers/0123abcd/meta.json";
    REQUIRE(write_file(meta, "{}", true));
    timespec newest = change_of(layer());
    for (const auto& entry : fs::recursive_directory_iterator(layer())) {
      const auto change = change_of(entry.path());
      const bool later = change.tv_sec > newest.tv_sec ||
                         (change.tv_sec == newest.tv_sec && change.tv_nsec > newest.tv_nsec);
      if (later) newest = change;
    }
    newest.tv_nsec = newest.tv_nsec / 1000 * 1000;
    newest.tv_nsec += newest.tv_nsec < 999'999'000 ? 1000 : 0;
    const timespec times[2] = {newest, newest};
    REQUIRE(::utimensat(AT_FDCWD, meta.c_str(), times, 0) == 0);
  }
  // The clock of files moves in steps: what is done is done again until it shows.
  void change(const std::string& file, const std::function<void()>& by_hand) const {
    const auto before = *read_unpack_time(layer());
    do {
      by_hand();
    } while (*read_change_time(layer() + file) <= before);
  }
  void start(const std::string& pod, const std::string& name, int attempt,
             const std::vector<std::string>& lowers) const {
    shim::ContainerOrder order;
    order.name = name;
    order.attempt = attempt;
    order.directory = run_dir();
    shim::Step root;
    root.type = shim::StepType::overlay_root;
    root.list = lowers;
    order.steps.push_back(root);
    const auto at = run_dir() + "/pods/" + pod + "/c/" + name + "/" + std::to_string(attempt);
    fs::create_directories(at);
    REQUIRE(write_file(at + "/spec.json", to_text(order), true));
  }

 private:
  std::string path_;
};

TEST_CASE("the layers in use are those that containers were started from", "[layers]") {
  Machine machine;
  CHECK(read_layers_in_use(machine.run_dir()) == std::set<std::string>{machine.layer()});
  machine.start("one", "side", 3, {"/nowhere", machine.layer()});
  machine.start("two", "main", 0, {machine.run_dir()});
  CHECK(read_layers_in_use(machine.run_dir()) ==
        std::set<std::string>{machine.layer(), machine.run_dir()});
  REQUIRE(write_file(machine.run_dir() + "/pods/two/c/main/0/spec.json", "nonsense", true));
  CHECK(read_layers_in_use(machine.run_dir()) == std::set<std::string>{machine.layer()});
  CHECK(read_layers_in_use(machine.run_dir() + "/absent").empty());
}

TEST_CASE("a layer that nobody touched is not told, and what is no layer is passed by",
          "[layers]") {
  Machine machine;
  machine.start("two", "main", 0, {machine.run_dir()});
  Posted posted;
  SystemClock clock;
  LayerWatch watch({machine.run_dir(), "node"}, posted, clock, {});
  watch.look();
  CHECK(posted.records.empty());
}

TEST_CASE("a file of a layer that was changed by hand is told once, and over with its layer",
          "[layers]") {
  Machine machine;
  const LayerWatchOptions options{machine.run_dir(), "node"};
  machine.start("two", "main", 0, {machine.layer()});  // two containers, one layer
  machine.change("/bin/tool", [&] {
    REQUIRE(write_file(machine.layer() + "/bin/tool", "by hand", true));
  });
  Posted posted;
  SystemClock clock;
  LayerWatch watch(options, posted, clock, {});
  watch.look();
  watch.look();
  REQUIRE(posted.records.size() == 1);
  const auto& told = posted.records[0];
  CHECK(told.object == key_of<Node>({}, "node"));
  CHECK(told.field == "layer:0123abcd");
  CHECK(told.observed == "/bin/tool: 7 bytes, changed");
  CHECK_FALSE(told.corrected_at);
  // A daemon that is started again has it from the record.
  Posted again;
  LayerWatch next(options, again, clock, posted.records);
  next.look();
  CHECK(again.records.empty());
  fs::remove_all(fs::path(machine.layer()).parent_path());
  next.look();
  REQUIRE(again.records.size() == 1);
  CHECK(again.records[0].id == told.id);
  CHECK(again.records[0].corrected_at);
  LayerWatch last(options, again, clock, again.records);
  last.look();
  CHECK(again.records.size() == 1);
}

TEST_CASE("what is gone from a layer shows, however high it lay", "[layers]") {
  Machine machine;
  Posted posted;
  SystemClock clock;
  LayerWatch watch({machine.run_dir(), "node"}, posted, clock, {});
  machine.change("", [&] {
    REQUIRE(write_file(machine.layer() + "/top", "again", true));
    fs::remove(machine.layer() + "/top");
  });
  watch.look();
  REQUIRE(posted.records.size() == 1);
  CHECK(posted.records[0].observed == "/: a directory, changed");
  // Unpacked anew it is another layer: the first record is over, and there is nothing to tell.
  machine.unpack();
  watch.look();
  REQUIRE(posted.records.size() == 2);
  CHECK(posted.records[1].corrected_at);
}

TEST_CASE("many changed files are counted, the first are named, escaped", "[layers]") {
  Machine machine;
  machine.change("/last", [&] {
    for (const auto* name : {"a\nb", "b", "c", "d", "last"}) {
      REQUIRE(write_file(machine.layer() + "/" + name, "x", true));
    }
  });
  machine.change("/a\nb", [&] { REQUIRE(write_file(machine.layer() + "/a\nb", "x", true)); });
  Posted posted;
  SystemClock clock;
  LayerWatch watch({machine.run_dir(), "node"}, posted, clock, {});
  watch.look();
  REQUIRE(posted.records.size() == 1);
  const auto& observed = posted.records[0].observed;
  CHECK(observed.rfind("/a\\nb: 1 bytes, changed; ", 0) == 0);
  CHECK(observed.find('\n') == std::string::npos);
  CHECK(observed.find(" more") != std::string::npos);
}

TEST_CASE("the thread of the layers ends when it is told to", "[layers]") {
  Machine machine;
  Posted posted;
  SystemClock clock;
  LayerWatch watch({machine.run_dir(), "node"}, posted, clock, {});
  std::stop_source stop;
  std::jthread thread([&] { watch.run(stop.get_token()); });
  stop.request_stop();
  thread.join();
  CHECK(posted.records.empty());
}

}  // namespace
}  // namespace moored::watch
