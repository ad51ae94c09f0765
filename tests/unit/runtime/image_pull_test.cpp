// Pulling, from a registry in memory: what is fetched, shared, refused, taken up again, given up.
#include <catch2/catch.hpp>
#include <utime.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "runtime/image/image_keeper.hpp"
#include "runtime/image/pulling_store.hpp"
#include "schema/model/pod.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"
#include "tests/unit/runtime/image_archive.hpp"

using namespace moored;
using namespace moored::image;
using moored::test::digest_of;
using moored::test::FakeClock;
using moored::test::FakeStore;
using moored::test::InlineUnpacker;
using moored::test::LayoutBuilder;
using moored::test::make_tar;
using moored::test::tar_file;
namespace fs = std::filesystem;

namespace {

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";

// What a registry has, and what it does wrong. Guarded by its mutex.
struct Registry {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::pair<std::string, std::string>> documents;  // type, content
  std::map<std::string, std::string> blobs;
  std::vector<std::string> asked;
  std::map<std::string, std::size_t> cut_after;  // bytes of a blob, each time anew
  bool starts_over = false;                      // knows no ranges
  bool shut = false;                             // answers nothing until opened
  std::optional<Error> failure;                  // of every ask
  std::vector<RegistryAccess> accesses;

  void open() {
    const std::lock_guard lock(mutex);
    shut = false;
    changed.notify_all();
  }
  std::size_t count(const std::string& part) {
    const std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::count_if(
        asked.begin(), asked.end(), [&](const auto& line) { return line.find(part) == 0; }));
  }
};

class FakeLink final : public RegistryLink {
 public:
  explicit FakeLink(Registry& registry) : registry_(registry) {}

  Status ask(const RegistryAsk& ask, const RegistrySink& sink) override {
    std::unique_lock lock(registry_.mutex);
    const bool manifest = ask.kind == RegistryAsk::Kind::manifest;
    registry_.asked.push_back((manifest ? "manifest " : "blob ") + ask.reference + ' ' +
                              std::to_string(ask.offset));
    registry_.changed.notify_all();
    registry_.changed.wait(lock, [&] { return !registry_.shut; });
    if (registry_.failure) return Unexpected(*registry_.failure);
    return manifest ? send_document(ask, sink) : send_blob(ask, sink);
  }

 private:
  Status send_document(const RegistryAsk& ask, const RegistrySink& sink) {
    const auto found = registry_.documents.find(ask.reference);
    if (found == registry_.documents.end()) {
      return Unexpected(Error{Code::not_found, "not found", "ManifestUnknown", {}, {}});
    }
    MOORED_CHECK(sink.head({found->second.first, {}, 0}));
    return sink.piece(found->second.second);
  }
  Status send_blob(const RegistryAsk& ask, const RegistrySink& sink) {
    const auto found = registry_.blobs.find(ask.reference);
    if (found == registry_.blobs.end()) {
      return Unexpected(Error{Code::not_found, "not found", "BlobUnknown", {}, {}});
    }
    const auto start = registry_.starts_over ? 0 : static_cast<std::size_t>(ask.offset);
    auto bytes = found->second.substr(start);
    const auto cut = registry_.cut_after.find(ask.reference);
    const bool breaks = cut != registry_.cut_after.end() && bytes.size() > cut->second;
    if (breaks) bytes.resize(cut->second);
    MOORED_CHECK(sink.head({"application/octet-stream", {}, static_cast<std::int64_t>(start)}));
    if (!bytes.empty()) MOORED_CHECK(sink.piece(bytes));
    if (!breaks) return {};
    return Unexpected(Error{Code::unavailable, "cut", "ConnectionLost", {}, {}});
  }

  Registry& registry_;
};

class FakeConnector final : public RegistryConnector {
 public:
  explicit FakeConnector(Registry& registry) : registry_(registry) {}
  Result<std::unique_ptr<RegistryLink>> connect(const RegistryAccess& access) override {
    const std::lock_guard lock(registry_.mutex);
    registry_.accesses.push_back(access);
    if (access.base == "https://down.example") return fail(Code::unavailable, "down");
    return std::unique_ptr<RegistryLink>(std::make_unique<FakeLink>(registry_));
  }
  void stop() override { registry_.open(); }

 private:
  Registry& registry_;
};

const std::string kBase = make_tar({tar_file("bin/run", std::string(3000, 'b'), 0755)});
const std::string kTop = make_tar({tar_file("app", "top")});

// A store that pulls from a registry in memory.
struct Bench {
  explicit Bench(PullingStoreOptions options = {}) {
    auto opened = ContentStore::open({scratch / "images", {}}, std::make_unique<InlineUnpacker>());
    REQUIRE(opened);
    store = *std::move(opened);
    pulls = std::make_unique<PullingStore>(options, *store,
                                           std::make_unique<FakeConnector>(registry), clock);
    pulls->on_settled([this](const std::string& reference) {
      const std::lock_guard lock(mutex);
      settled.push_back(reference);
      ended.notify_all();
    });
  }

  // An image of some layers under a tag; the digest of its manifest.
  std::string publish(const std::string& tag, const std::vector<std::string>& tars,
                      const std::string& config = R"({"Cmd":["x"]})") {
    LayoutBuilder layout(scratch / ("layout-" + std::to_string(++layouts)));
    const auto digest = layout.add_image(tars, "any", config);
    for (const auto& row : fs::directory_iterator(layout.path() + "/blobs/sha256")) {
      const auto content = moored::test::read(row.path().string());
      registry.blobs[digest_of(content)] = content;
    }
    const auto manifest = registry.blobs[digest];
    registry.documents[digest] = registry.documents[tag] = {kManifestType, manifest};
    return digest;
  }
  std::string blob_of(const std::string& tar) { return digest_of(moored::test::gzip(tar)); }

  Result<ObtainedImage> ask(const std::string& reference, const std::string& policy,
                            const std::string& who = "pod/main/0") {
    return pulls->obtain({reference, policy, who, {}});
  }
  // Asks, waits for the end of the pull, and asks again.
  Result<ObtainedImage> obtain(const std::string& reference,
                               const std::string& policy = "IfNotPresent",
                               const std::string& who = "pod/main/0") {
    std::size_t before = 0;
    {
      const std::lock_guard lock(mutex);
      before = settled.size();
    }
    auto first = ask(reference, policy, who);
    if (first || first.error().reason != kPullingReason) return first;
    wait_for(before + 1);
    return ask(reference, policy, who);
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return settled.size() >= count; });
  }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& row : fs::recursive_directory_iterator(scratch / "images")) {
      count += row.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  moored::test::ImageScratch scratch;
  FakeClock clock;
  Registry registry;
  std::unique_ptr<ContentStore> store;
  std::mutex mutex;
  std::condition_variable ended;
  std::vector<std::string> settled;
  int layouts = 0;
  std::unique_ptr<PullingStore> pulls;  // last: its threads use the rest
};

}  // namespace

TEST_CASE("an image is pulled, and found the next time", "[image][pull]") {
  Bench bench;
  const auto digest = bench.publish("1", {kBase, kTop});
  CHECK(bench.ask("r.example/web:1", "Never").error().code == Code::not_found);
  CHECK(bench.registry.asked.empty());
  const auto pulled = bench.obtain("r.example/web:1");
  REQUIRE(pulled);
  CHECK(pulled->fetched);
  CHECK(pulled->image.digest == digest);
  CHECK(pulled->image.name == "r.example/web:1");
  CHECK(pulled->image.layers.size() == 2);
  CHECK(bench.settled == std::vector<std::string>{"r.example/web:1"});
  const auto again = bench.obtain("r.example/web:1");
  REQUIRE(again);
  CHECK_FALSE(again->fetched);
  CHECK(bench.registry.count("manifest") == 1);
  CHECK(bench.registry.count("blob") == 3);
  CHECK(bench.ask("r.example/web:1", "Never"));
}

TEST_CASE("an image by digest is pulled by digest and keeps that name", "[image][pull]") {
  Bench bench;
  const auto digest = bench.publish("1", {kBase});
  const auto reference = "r.example/web@" + digest;
  const auto pulled = bench.obtain(reference);
  REQUIRE(pulled);
  CHECK(pulled->image.name == reference);
  CHECK(bench.registry.count("manifest " + digest) == 1);
  CHECK_FALSE(bench.obtain(reference)->fetched);
}

TEST_CASE("layers that are here are not fetched again", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase, kTop});
  bench.publish("2", {kBase});
  REQUIRE(bench.obtain("r.example/web:1"));
  REQUIRE(bench.obtain("r.example/web:2"));
  CHECK(bench.registry.count("blob " + bench.blob_of(kBase)) == 1);
  CHECK(bench.registry.count("blob") == 4);  // two configurations, two layers
}

TEST_CASE("many containers that want one image share one pull", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase});
  bench.registry.shut = true;
  for (int i = 0; i < 100; ++i) {
    CHECK(bench.ask("r.example/web:1", "IfNotPresent", std::to_string(i)).error().reason ==
          kPullingReason);
  }
  bench.registry.open();
  bench.wait_for(1);
  for (int i = 0; i < 100; ++i) {
    CHECK(bench.ask("r.example/web:1", "IfNotPresent", std::to_string(i))->fetched);
  }
  CHECK(bench.registry.count("blob") == 2);
  CHECK(bench.registry.count("manifest") == 1);
}

TEST_CASE("two images at once fetch a shared layer once", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase, kTop});
  bench.publish("2", {kBase});
  bench.registry.shut = true;
  CHECK_FALSE(bench.ask("r.example/web:1", "IfNotPresent", "a"));
  CHECK_FALSE(bench.ask("r.example/web:2", "IfNotPresent", "b"));
  bench.registry.open();
  bench.wait_for(2);
  CHECK(bench.ask("r.example/web:1", "IfNotPresent", "a"));
  CHECK(bench.ask("r.example/web:2", "IfNotPresent", "b"));
  CHECK(bench.registry.count("blob " + bench.blob_of(kBase)) == 1);
}

TEST_CASE("Always asks what the tag means now", "[image][pull]") {
  Bench bench;
  const auto first = bench.publish("1", {kBase});
  REQUIRE(bench.obtain("r.example/web:1", "Always"));
  const auto same = bench.obtain("r.example/web:1", "Always");
  REQUIRE(same);
  CHECK(same->fetched);
  CHECK(bench.registry.count("manifest") == 2);
  CHECK(bench.registry.count("blob") == 2);
  const auto second = bench.publish("1", {kTop});
  CHECK(bench.obtain("r.example/web:1", "Always")->image.digest == second);
  // What ran before is still known by its digest.
  CHECK(bench.store->find("r.example/web@" + first)->digest == first);
  bench.registry.failure = Error{Code::unavailable, "down", {}, {}, {}};
  CHECK(bench.obtain("r.example/web:1", "Always").error().reason == "ErrImagePull");
  CHECK(bench.obtain("r.example/web:1", "IfNotPresent")->image.digest == second);
}

TEST_CASE("an answer is given once to each that asked", "[image][pull]") {
  Bench bench;
  const auto missing = bench.obtain("r.example/none:1");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().reason == "ErrImagePull");
  CHECK(missing.error().message ==
        "failed to pull image \"r.example/none:1\": ManifestUnknown: not found");
  // The next try is another pull.
  CHECK(bench.ask("r.example/none:1", "IfNotPresent").error().reason == kPullingReason);
  bench.wait_for(2);
  CHECK(bench.registry.count("manifest") == 2);
}

TEST_CASE("the entry for this machine is chosen from an index", "[image][pull]") {
  Bench bench;
  const auto digest = bench.publish("plain", {kBase});
  const auto size = std::to_string(bench.registry.blobs[digest].size());
  const auto entry = [&](const std::string& architecture, const std::string& target) {
    return R"({"mediaType":")" + std::string(kManifestType) + R"(","digest":")" + target +
           R"(","size":)" + size + R"(,"platform":{"os":"linux","architecture":")" + architecture +
           "\"}}";
  };
  const auto other = "sha256:" + std::string(64, '0');
  const auto own = std::string(get_architecture());
  const auto put = [&](const std::string& tag, const std::string& entries) {
    bench.registry.documents[tag] = {
        kIndexType, R"({"schemaVersion":2,"manifests":[)" + entries + "]}"};
  };
  put("1", entry("pdp11", other) + "," + entry(own, digest));
  CHECK(bench.obtain("r.example/web:1")->image.digest == digest);
  put("2", entry("pdp11", other));
  const auto none = bench.obtain("r.example/web:2");
  REQUIRE_FALSE(none);
  CHECK(none.error().message.find("PlatformMismatch") != std::string::npos);
  CHECK(none.error().message.find("pdp11") != std::string::npos);
}

TEST_CASE("an index that never ends is refused", "[image][pull]") {
  Bench bench;
  std::string inner = bench.publish("plain", {kBase});
  std::string type = kManifestType;
  std::size_t size = bench.registry.blobs[inner].size();
  for (int i = 0; i < 50; ++i) {
    const std::string text = R"({"schemaVersion":2,"manifests":[{"mediaType":")" + type +
                             R"(","digest":")" + inner + R"(","size":)" + std::to_string(size) +
                             "}]}";
    inner = digest_of(text);
    type = kIndexType;
    size = text.size();
    bench.registry.documents[inner] = bench.registry.documents["chain"] = {kIndexType, text};
  }
  const auto pulled = bench.obtain("r.example/web:chain");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().message.find("ManifestInvalid") != std::string::npos);
  CHECK(bench.registry.count("manifest") == kMaxIndexDepth);
  CHECK(bench.files() == 0);
}

TEST_CASE("what is not what it is called is refused, and nothing stays", "[image][pull]") {
  struct Row {
    const char* what;
    std::function<void(Bench&, const std::string& digest)> spoil;
    const char* reason;
  };
  const std::vector<Row> rows{
      {"another layer",
       [](Bench& b, const std::string&) {
         auto& blob = b.registry.blobs[b.blob_of(kTop)];
         blob.back() = static_cast<char>(blob.back() ^ 1);
       },
       "DigestMismatch"},
      {"a longer layer",
       [](Bench& b, const std::string&) { b.registry.blobs[b.blob_of(kTop)] += "x"; },
       "DigestMismatch"},
      {"a shorter layer",
       [](Bench& b, const std::string&) { b.registry.blobs[b.blob_of(kTop)].pop_back(); },
       "DigestMismatch"},
      {"no layer",
       [](Bench& b, const std::string&) { b.registry.blobs.erase(b.blob_of(kTop)); },
       "DigestMismatch"},
      {"a manifest of another type",
       [](Bench& b, const std::string&) { b.registry.documents["1"].first = kIndexType; },
       "ManifestInvalid"},
      {"a manifest of an older schema",
       [](Bench& b, const std::string&) {
         b.registry.documents["1"].first = "application/vnd.docker.distribution.manifest.v1+json";
       },
       "ManifestInvalid"},
      {"an index and a manifest at once",
       [](Bench& b, const std::string&) {
         auto& text = b.registry.documents["1"].second;
         text.insert(1, R"("manifests":[],)");
       },
       "ManifestInvalid"}};
  for (const auto& row : rows) {
    INFO(row.what);
    Bench bench;
    const auto digest = bench.publish("1", {kBase, kTop});
    row.spoil(bench, digest);
    const auto pulled = bench.obtain("r.example/web:1");
    REQUIRE_FALSE(pulled);
    CHECK(pulled.error().message.find(std::string(row.reason) + ": ") != std::string::npos);
    CHECK(bench.files() == 0);
    CHECK_FALSE(bench.store->find("r.example/web:1"));
  }
}

TEST_CASE("a hostile configuration is refused before a layer is asked for", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase}, R"({"User":"root:../../","Env":["A=b\nc"]})");
  const auto pulled = bench.obtain("r.example/web:1");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().message.find("ConfigInvalid") != std::string::npos);
  CHECK(bench.registry.count("blob") == 1);
  CHECK(bench.files() == 0);
}

TEST_CASE("an image that is too large is refused by its own words", "[image][pull]") {
  PullingStoreOptions options;
  options.image_bytes = 1000;
  Bench bench(options);
  std::string noise;
  for (unsigned i = 0, x = 7; i < 4000; ++i) {
    x = x * 1664525U + 1013904223U;
    noise += static_cast<char>(x >> 24U);
  }
  bench.publish("1", {make_tar({tar_file("noise", noise)})});
  const auto pulled = bench.obtain("r.example/web:1");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().message.find("LayerLimit") != std::string::npos);
  CHECK(bench.registry.count("blob") == 0);
}

TEST_CASE("a broken connection is taken up where it broke", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase});
  const auto layer = bench.blob_of(kBase);
  const auto size = bench.registry.blobs[layer].size();
  bench.registry.cut_after[layer] = (size + 2) / 3;
  REQUIRE(bench.obtain("r.example/web:1"));
  CHECK(bench.registry.count("blob " + layer) == 3);
  CHECK(bench.registry.count("blob " + layer + " 0") == 1);
}

TEST_CASE("a server without ranges starts over, and does not do so for ever", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase});
  const auto layer = bench.blob_of(kBase);
  bench.registry.starts_over = true;
  bench.registry.cut_after[layer] = 10;
  const auto pulled = bench.obtain("r.example/web:1");
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().message.find("ConnectionLost") != std::string::npos);
  CHECK(bench.registry.count("blob " + layer) < 25);
  // What arrived whole stays for the next try.
  bench.registry.cut_after.clear();
  REQUIRE(bench.obtain("r.example/web:1"));
  CHECK(bench.registry.count("blob") - bench.registry.count("blob " + layer) == 1);
}

TEST_CASE("a mirror that fails is passed over", "[image][pull]") {
  PullingStoreOptions options;
  options.registries.registries.push_back(
      {"r.example", false, {}, {"https://empty.example", "https://m.example"}, {}});
  Bench bench(options);
  bench.publish("1", {kBase});
  REQUIRE(bench.obtain("r.example/web:1"));
  CHECK(bench.registry.accesses.size() == 1);
  CHECK(bench.registry.accesses[0].base == "https://empty.example");
  CHECK_FALSE(bench.obtain("r.example/web:none"));
  REQUIRE(bench.registry.accesses.size() == 4);
  CHECK(bench.registry.accesses[3].base == "https://r.example");
}

TEST_CASE("credentials of another pod make another pull", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase});
  bench.registry.shut = true;
  const std::string secret = R"({"auths":{"r.example":{"username":"ada","password":"x"}}})";
  CHECK_FALSE(bench.pulls->obtain({"r.example/web:1", "Always", "a", {secret, "not json"}}));
  CHECK_FALSE(bench.pulls->obtain({"r.example/web:1", "Always", "b", {}}));
  bench.registry.open();
  bench.wait_for(2);
  REQUIRE(bench.registry.accesses.size() == 2);
  const bool first = !bench.registry.accesses[0].logins.empty();
  CHECK(bench.registry.accesses[first ? 0 : 1].logins ==
        std::vector<RegistryLogin>{{"ada", "x", ""}});
  CHECK(bench.registry.accesses[first ? 1 : 0].logins.empty());
}

TEST_CASE("an answer is for the image that was asked for", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase});
  CHECK_FALSE(bench.ask("r.example/web:1", "IfNotPresent"));
  bench.wait_for(1);
  // The same container, with another image since: what is ready is not for it.
  const auto other = bench.ask("r.example/none:1", "Never");
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Code::not_found);
  const auto own = bench.ask("r.example/web:1", "IfNotPresent");
  REQUIRE(own);
  CHECK(own->fetched);
}

TEST_CASE("stopping ends what is under way", "[image][pull]") {
  Bench bench;
  bench.publish("1", {kBase});
  bench.registry.shut = true;
  CHECK_FALSE(bench.ask("r.example/web:1", "IfNotPresent"));
  bench.pulls->stop();
  bench.pulls->stop();
  const auto refused = bench.ask("r.example/none:1", "Never");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::not_found);
}

// ---- room ----

namespace {

void set_last_use(const Bench& bench, const std::string& name, std::time_t when) {
  const auto path =
      bench.scratch / ("images/names/" + sha256_hex(name).substr(0, 32) + ".json");
  const utimbuf times{when, when};
  REQUIRE(utime(path.c_str(), &times) == 0);
}

}  // namespace

TEST_CASE("room is planned from the high mark down to the low one", "[image][pull]") {
  const GarbageSettings settings;
  CHECK(plan_room({1000, 200}, settings) == 0);
  CHECK(plan_room({1000, 160}, settings) == 0);
  CHECK(plan_room({1000, 150}, settings) == 50);
  CHECK(plan_room({1000, 0}, settings) == 200);
  CHECK(plan_room({0, 0}, settings) == 0);
  CHECK(read_disk_space("/")->total > 0);
  CHECK_FALSE(read_disk_space("/nosuch/directory"));
}

TEST_CASE("the longest unused images are given up first, and no more than needed",
          "[image][pull]") {
  Bench bench;
  for (const std::string tag : {"1", "2", "3", "4"}) {
    bench.publish(tag, {make_tar({tar_file("of", "tag " + tag)})});
    REQUIRE(bench.obtain("r.example/web:" + tag));
  }
  LayoutBuilder layout(bench.scratch / "own");
  layout.add_image({kTop}, "own:1");
  REQUIRE(bench.store->import({layout.path(), "own:1", {}}));
  set_last_use(bench, "docker.io/library/own:1", 1000);
  set_last_use(bench, "r.example/web:1", 2000);
  set_last_use(bench, "r.example/web:2", 4000);
  set_last_use(bench, "r.example/web:3", 3000);
  set_last_use(bench, "r.example/web:4", 9000);
  ContentStore::RoomRequest request;
  request.in_use = {"r.example/web:1", "nosuch:1"};
  request.bytes = 1;
  request.unused_since = Time(std::chrono::seconds(5000));
  const auto room = bench.store->make_room(request);
  REQUIRE(room);
  CHECK(room->given_up == std::vector<std::string>{"r.example/web:3"});
  CHECK(room->bytes > 1);
  request.bytes = 1'000'000'000;
  // The imported one, the one in use and the one that was used just now stay.
  CHECK(bench.store->make_room(request)->given_up ==
        std::vector<std::string>{"r.example/web:2"});
  CHECK(bench.store->list()->size() == 3);
  request.in_use.clear();
  CHECK(bench.store->make_room(request)->given_up ==
        std::vector<std::string>{"r.example/web:1"});
}

TEST_CASE("an image whose tag moved stays while a container runs from it", "[image][pull]") {
  Bench bench;
  const auto old = bench.publish("1", {kBase});
  const auto before = bench.obtain("r.example/web:1");
  REQUIRE(before);
  bench.publish("1", {kTop});
  REQUIRE(bench.obtain("r.example/web:1", "Always"));
  ContentStore::RoomRequest request;
  request.in_use = {old};
  request.bytes = 1'000'000'000;
  request.unused_since = Time(std::chrono::seconds(4'000'000'000));
  CHECK(bench.store->make_room(request)->given_up == std::vector<std::string>{"r.example/web:1"});
  CHECK(fs::exists(before->image.layers.front() + "/bin/run"));
  request.in_use.clear();
  REQUIRE(bench.store->make_room(request));
  CHECK_FALSE(fs::exists(before->image.layers.front() + "/bin/run"));
  CHECK(bench.files() == 0);
}

TEST_CASE("the keeper knows what pods name and what containers run from", "[image][pull]") {
  Bench bench;
  const auto digest = bench.publish("1", {kBase});
  REQUIRE(bench.obtain("r.example/web:1"));
  set_last_use(bench, "r.example/web:1", 1000);
  FakeStore state;
  Pod pod = moored::test::make_pod("p");
  pod.spec.containers[0].image = "r.example/other:1";
  ContainerStatus status;
  status.image_id = "r.example/web@" + digest;
  pod.status.container_statuses.push_back(status);
  state.put(make_object(pod));
  CHECK(list_images_in_use(state) ==
        std::vector<std::string>{"r.example/other:1", digest});
  DiskSpace space{1000, 500};
  ImageKeeper keeper({}, *bench.store, state, bench.clock, [&] { return space; });
  CHECK(keeper.look()->given_up.empty());
  space.available = 10;
  CHECK(keeper.look()->given_up.empty());
  state.remove(key_of<Pod>("default", "p"));
  CHECK(keeper.look()->given_up == std::vector<std::string>{"r.example/web:1"});
  CHECK(bench.files() == 0);
}
