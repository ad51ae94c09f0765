// Volumes on disk: atomic content, modes, groups, host paths, sub paths, and the /etc files.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include "runtime/agent/atomic_writer.hpp"
#include "runtime/agent/container_mounts.hpp"
#include "runtime/agent/environment.hpp"
#include "runtime/agent/nested_mounts.hpp"
#include "runtime/agent/pod_files.hpp"
#include "runtime/agent/volumes.hpp"
#include "schema/host/file.hpp"
#include "schema/model/core.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;
namespace fs = std::filesystem;

namespace {

const Time kNow = *parse_time("2026-01-02T03:04:05Z");

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::string text_of(const std::string& path) { return read_file(path).value_or("(absent)"); }

std::vector<std::string> names_in(const std::string& path) {
  return list_directory(path).value_or(std::vector<std::string>{});
}

FieldContext make_context(const Pod& pod) {
  return {pod, "10.209.0.2", "192.0.2.1", {4000}, {8LL << 30}};
}

Object make_config(const std::string& name, std::map<std::string, std::string> data) {
  ConfigMap map;
  map.metadata.name = name;
  map.metadata.namespace_name = "default";
  map.data = std::move(data);
  return make_object(std::move(map));
}

Volume make_config_volume(const std::string& name, const std::string& map) {
  Volume volume;
  volume.name = name;
  volume.config_map = ConfigMapVolume{};
  volume.config_map->name = map;
  return volume;
}

bool is_root() { return ::geteuid() == 0; }

}  // namespace

TEST_CASE("B40 a volume is replaced as a whole", "[agent][volumes]") {
  ScratchDirectory scratch;
  const std::string volume = scratch.path() + "/volume";
  REQUIRE(write_volume(volume, {{"a", "one", 0644}, {"b", "two", 0600}}, {}, kNow).value_or(false));
  CHECK(text_of(volume + "/a") == "one");
  CHECK(fs::is_symlink(volume + "/..data"));
  CHECK(fs::read_symlink(volume + "/a") == "..data/a");
  CHECK(mode_of(volume + "/b") == 0600);
  const auto before = fs::read_symlink(volume + "/..data");

  SECTION("the same content changes nothing") {
    const auto again = write_volume(volume, {{"a", "one", 0644}, {"b", "two", 0600}}, {}, kNow);
    REQUIRE(again);
    CHECK_FALSE(*again);
    CHECK(fs::read_symlink(volume + "/..data") == before);
  }
  SECTION("new content, new mode, a file less and a file more") {
    REQUIRE(*write_volume(volume, {{"a", "uno", 0400}, {"c/d", "deep", 0644}}, {}, kNow));
    CHECK(text_of(volume + "/a") == "uno");
    CHECK(mode_of(volume + "/a") == 0400);
    CHECK(text_of(volume + "/c/d") == "deep");
    CHECK_FALSE(fs::exists(fs::symlink_status(volume + "/b")));
    CHECK(names_in(volume).size() == 4);  // the dated directory, ..data, a, c: no old version
  }
  SECTION("what a crash left behind goes away") {
    fs::create_directory(volume + "/..2025_01_01_00_00_00.1");
    fs::create_symlink("..2025_01_01_00_00_00.1", volume + "/..data_tmp");
    REQUIRE(*write_volume(volume, {{"a", "new", 0644}}, {}, kNow));
    CHECK(text_of(volume + "/a") == "new");
    CHECK(names_in(volume).size() == 3);
  }
  SECTION("a lost visible link is made again") {
    fs::remove(volume + "/a");
    REQUIRE(write_volume(volume, {{"a", "one", 0644}, {"b", "two", 0600}}, {}, kNow));
    CHECK(text_of(volume + "/a") == "one");
  }
}

TEST_CASE("B40 a reader never sees a mix of old and new", "[agent][volumes]") {
  ScratchDirectory scratch;
  const std::string volume = scratch.path() + "/volume";
  REQUIRE(write_volume(volume, {{"a", "0", 0644}, {"b", "0", 0644}}, {}, kNow));
  std::atomic<bool> stop{false};
  std::atomic<int> mixed{0};
  std::atomic<int> reads{0};
  std::thread reader([&] {
    while (!stop) {
      // One resolution of ..data gives one version of both files.
      std::error_code failed;
      const auto version = fs::read_symlink(volume + "/..data", failed);
      if (failed) continue;
      const auto a = read_file(volume + "/" + version.string() + "/a");
      const auto b = read_file(volume + "/" + version.string() + "/b");
      if (a && b && *a != *b) ++mixed;
      ++reads;
    }
  });
  for (int i = 1; i <= 200 || reads < 100; ++i) {
    const std::string text = std::to_string(i);
    if (!write_volume(volume, {{"a", text, 0644}, {"b", text, 0644}}, {}, kNow)) break;
    CHECK(text_of(volume + "/a") == text);
  }
  stop = true;
  reader.join();
  CHECK(mixed == 0);
}

TEST_CASE("B47 files belong to the pod's group", "[agent][volumes]") {
  if (!is_root()) {
    WARN("skipped: only root can give files away");
    return;
  }
  ScratchDirectory scratch;
  const std::string volume = scratch.path() + "/volume";
  REQUIRE(write_volume(volume, {{"d/a", "x", 0400}}, 1234U, kNow));
  struct stat status {};
  REQUIRE(::stat((volume + "/d/a").c_str(), &status) == 0);
  CHECK(status.st_gid == 1234);
  CHECK((status.st_mode & 07777U) == 0440);
  CHECK((mode_of(volume) & 02000U) != 0);

  const std::string empty = scratch.path() + "/empty";
  fs::create_directories(empty + "/sub");
  std::ofstream(empty + "/sub/file") << "x";
  fs::create_symlink("/etc/hostname", empty + "/link");
  REQUIRE(give_to_group(empty, 1234));
  REQUIRE(::stat((empty + "/sub/file").c_str(), &status) == 0);
  CHECK(status.st_gid == 1234);
  CHECK((status.st_mode & 0660U) == 0660U);
  CHECK((mode_of(empty + "/sub") & 02770U) == 02770U);
}

TEST_CASE("which paths a volume takes", "[agent][volumes]") {
  struct Row {
    std::string path;
    bool clean;
  };
  const Row rows[] = {{"a", true},      {"a/b", true},     {".hidden", true}, {"a..b", true},
                      {"", false},      {"/a", false},     {"a//b", false},   {"a/", false},
                      {"..", false},    {"../a", false},   {"a/..", false},   {"..data", false},
                      {"a/./b", false}, {std::string(300, 'x'), false}};
  for (const auto& row : rows) {
    INFO(row.path);
    CHECK(is_clean_volume_path(row.path) == row.clean);
  }
}

TEST_CASE("B41 B43 what goes into a volume", "[agent][volumes]") {
  FakeStore store;
  store.put(make_config("cfg", {{"a", "1"}, {"b", "2"}}));
  Secret secret;
  secret.metadata.name = "sec";
  secret.metadata.namespace_name = "default";
  secret.data = {{"key", "s"}};
  store.put(make_object(secret));
  Pod pod = make_pod("app");
  pod.metadata.labels = {{"tier", "web"}};
  const auto make = [&](const Volume& volume) {
    return make_volume_files(make_context(pod), volume, *store.view());
  };
  SECTION("all keys with the default mode") {
    const auto files = make(make_config_volume("v", "cfg"));
    REQUIRE(files);
    CHECK(*files == std::vector<VolumeFile>{{"a", "1", 0644}, {"b", "2", 0644}});
  }
  SECTION("items with path and mode") {
    Volume volume = make_config_volume("v", "cfg");
    volume.config_map->items = {{"a", "x/y", 0400}};
    CHECK(*make(volume) == std::vector<VolumeFile>{{"x/y", "1", 0400}});
  }
  SECTION("a missing key") {
    Volume volume = make_config_volume("v", "cfg");
    volume.config_map->items = {{"none", "x", {}}};
    CHECK(make(volume).error().reason == "FailedMount");
    CHECK(make(volume).error().message ==
          "MountVolume.SetUp failed for volume \"v\" : references non-existent config key: none");
    volume.config_map->optional = true;
    CHECK(make(volume)->empty());
  }
  SECTION("a missing object") {
    Volume volume = make_config_volume("v", "none");
    CHECK(make(volume).error().message ==
          "MountVolume.SetUp failed for volume \"v\" : configmap \"none\" not found");
    volume.config_map->optional = true;
    CHECK(make(volume)->empty());
  }
  SECTION("a path that leaves the volume") {
    Volume volume = make_config_volume("v", "cfg");
    volume.config_map->items = {{"a", "../x", {}}};
    CHECK(make(volume).error().code == Code::invalid);
  }
  SECTION("a projection of everything") {
    Volume volume;
    volume.name = "all";
    volume.projected = ProjectedVolume{};
    volume.projected->default_mode = 0440;
    VolumeProjection from_map;
    from_map.config_map = KeysProjection{"cfg", {{"a", "cm/a", {}}}, false};
    VolumeProjection from_secret;
    from_secret.secret = KeysProjection{"sec", {}, false};
    VolumeProjection from_pod;
    from_pod.downward_api = DownwardApiProjection{};
    DownwardApiFile file;
    file.path = "labels";
    file.field_ref = ObjectFieldSelector{"v1", "metadata.labels"};
    from_pod.downward_api->items = {file};
    volume.projected->sources = {from_map, from_secret, from_pod};
    const std::vector<VolumeFile> expected = {
        {"cm/a", "1", 0440}, {"key", "s", 0440}, {"labels", "tier=\"web\"", 0440}};
    CHECK(*make(volume) == expected);
    CHECK(is_secret_volume(volume));
    CHECK(refers_to(volume, kind_of<Secret>(), "sec"));
    CHECK(refers_to(volume, kind_of<ConfigMap>(), "cfg"));
    CHECK_FALSE(refers_to(volume, kind_of<ConfigMap>(), "sec"));
  }
}

TEST_CASE("B40 B43 B45 volumes of a pod from its first to its last moment", "[agent][volumes]") {
  AgentBench bench;
  bench.store.put(make_config("cfg", {{"file", "old"}}));
  Pod pod = make_pod("app");
  Volume empty;
  empty.name = "scratch";
  empty.empty_dir = EmptyDirVolume{};
  Volume later = make_config_volume("later", "none");
  later.config_map->optional = true;
  pod.spec.volumes = {make_config_volume("config", "cfg"), empty, later};
  pod.spec.containers[0].volume_mounts = {{"config", "/etc/app", "", "", false, ""},
                                          {"scratch", "/scratch", "", "", false, ""}};
  bench.store.put(make_object(pod));
  bench.settle();
  const std::string volumes = bench.scratch.path() + "/state/pods/uid-app/volumes";
  CHECK(text_of(volumes + "/config/file") == "old");
  CHECK(mode_of(volumes + "/scratch") == 0777);
  std::ofstream(volumes + "/scratch/kept") << "mine";

  const auto& spec = bench.sandbox.pods["uid-app"].specs.begin()->second;
  REQUIRE(spec.mounts.size() == 6);
  CHECK(spec.mounts[5].destination == "/dev/termination-log");
  CHECK(spec.mounts[5].source == spec.termination_message_path);
  CHECK(mode_of(spec.termination_message_path) == 0666);
  CHECK(spec.mounts[0].destination == "/scratch");
  CHECK_FALSE(spec.mounts[0].read_only);
  CHECK(spec.mounts[1].destination == "/etc/app");
  CHECK(spec.mounts[1].read_only);

  bench.store.put(make_config("cfg", {{"file", "new"}}));
  bench.store.put(make_config("none", {{"late", "here"}}));
  bench.settle();
  CHECK(text_of(volumes + "/config/file") == "new");
  CHECK(text_of(volumes + "/later/late") == "here");

  bench.sandbox.end("uid-app", "main", 1);
  bench.settle();
  CHECK(bench.sandbox.count("start main 1") == 1);
  CHECK(text_of(volumes + "/scratch/kept") == "mine");

  bench.store.remove(key_of<ConfigMap>("default", "cfg"));
  bench.settle();
  CHECK(text_of(volumes + "/config/file") == "new");
  bench.store.remove(key_of<Pod>("default", "app"));
  bench.run_for(std::chrono::seconds(1));
  CHECK_FALSE(fs::exists(bench.scratch.path() + "/state/pods/uid-app"));
}

TEST_CASE("a volume nobody can write to has places for what is mounted in it", "[agent][volumes]") {
  AgentBench bench;
  bench.store.put(make_config("cfg", {{"file", "old"}}));
  bench.store.put(make_config("extra", {{"extra.conf", "x"}}));
  Pod pod = make_pod("app");
  Volume empty;
  empty.name = "scratch";
  empty.empty_dir = EmptyDirVolume{};
  pod.spec.volumes = {make_config_volume("config", "cfg"), empty,
                      make_config_volume("more", "extra")};
  pod.spec.containers[0].volume_mounts = {
      {"config", "/etc/app", "", "", false, ""},
      {"scratch", "/etc/app/cache/deep/", "", "", false, ""},
      {"scratch", "/etc/app/cache/deep/deeper", "a", "", false, ""},
      {"more", "/etc/app/extra.conf", "extra.conf", "", false, ""},
      {"more", "/etc/apparently", "", "", false, ""}};
  bench.store.put(make_object(pod));
  bench.settle();
  CHECK(bench.store.pod("app").status.phase == "Running");
  const std::string config = bench.scratch.path() + "/state/pods/uid-app/volumes/config";
  CHECK(mode_of(config + "/cache") == 0755);
  CHECK(fs::is_directory(config + "/cache/deep"));
  CHECK_FALSE(fs::exists(config + "/cache/deep/deeper"));
  CHECK(fs::is_regular_file(fs::symlink_status(config + "/extra.conf")));
  bench.store.put(make_config("cfg", {{"other", "new"}}));
  bench.settle();
  CHECK(text_of(config + "/other") == "new");
  CHECK_FALSE(fs::exists(fs::symlink_status(config + "/file")));
  CHECK(fs::is_directory(config + "/cache/deep"));
  CHECK(fs::is_regular_file(fs::symlink_status(config + "/extra.conf")));
}

TEST_CASE("which mounts lie in a volume", "[agent][volumes]") {
  Pod pod = make_pod("app");
  auto& mounts = pod.spec.containers[0].volume_mounts;
  const auto nested = [&] {
    std::vector<std::string> paths;
    for (const auto& row : find_nested_mounts(pod, "v")) paths.push_back(row.path);
    return paths;
  };
  using Paths = std::vector<std::string>;
  CHECK(nested().empty());
  mounts = {{"v", "/a", "", "", false, ""}, {"w", "/b", "", "", false, ""}};
  CHECK(nested().empty());
  mounts = {{"w", "/a//b/./c/", "", "", false, ""}, {"v", "/a/", "", "", false, ""}};
  CHECK(nested() == Paths{"b/c"});
  mounts.push_back({"x", "/a/b", "", "", false, ""});
  CHECK(nested() == Paths{"b"});
  mounts = {{"v", "/a", "part", "", false, ""}, {"w", "/a/b", "", "", false, ""}};
  CHECK(nested().empty());
  mounts = {{"v", "/a", "", "", false, ""}, {"v", "/a/again", "", "", false, ""}};
  CHECK(nested() == Paths{"again"});
  pod.spec.init_containers = {pod.spec.containers[0]};
  CHECK(nested() == Paths{"again", "again"});
}

TEST_CASE("a missing ConfigMap holds the pod until it comes", "[agent][volumes]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  pod.spec.volumes = {make_config_volume("config", "cfg")};
  bench.store.put(make_object(pod));
  bench.run_for(std::chrono::minutes(5));
  pod = bench.store.pod("app");
  CHECK(pod.status.phase == "Pending");
  CHECK(pod.status.container_statuses[0].state.waiting->reason == "ContainerCreating");
  CHECK(bench.store.event_text("FailedMount") ==
        "MountVolume.SetUp failed for volume \"config\" : configmap \"cfg\" not found");
  bench.store.put(make_config("cfg", {{"a", "1"}}));
  bench.settle();
  CHECK(bench.store.pod("app").status.phase == "Running");
}

TEST_CASE("B38 a missing secret for a variable holds the container until it comes", "[agent]") {
  AgentBench bench;
  Pod pod = make_pod("app");
  EnvVar variable;
  variable.name = "PASSWORD";
  variable.value_from = EnvVarSource{};
  variable.value_from->secret_key_ref = KeySelector{"sec", "password", false};
  pod.spec.containers[0].env = {variable};
  bench.store.put(make_object(pod));
  bench.settle();
  const auto waiting = bench.store.pod("app").status.container_statuses[0].state.waiting;
  REQUIRE(waiting);
  CHECK(waiting->reason == "CreateContainerConfigError");
  CHECK(waiting->message == "secret \"sec\" not found");
  Secret secret;
  secret.metadata.name = "sec";
  secret.metadata.namespace_name = "default";
  secret.data = {{"password", "x"}};
  bench.store.put(make_object(secret));
  bench.settle();
  CHECK(bench.store.pod("app").status.phase == "Running");
  CHECK(bench.sandbox.count("create_pod app") == 1);
}

TEST_CASE("B48 host paths by type", "[agent][volumes]") {
  ScratchDirectory scratch;
  const std::string base = scratch.path();
  std::ofstream(base + "/file") << "x";
  fs::create_directory(base + "/dir");
  struct Row {
    const char* name;
    const char* type;
    bool good;
  };
  const Row rows[] = {
      {"dir", "", true},           {"dir", "Directory", true},      {"file", "Directory", false},
      {"none", "Directory", false}, {"made", "DirectoryOrCreate", true}, {"file", "File", true},
      {"dir", "File", false},      {"new", "FileOrCreate", true},   {"file", "Socket", false},
      {"file", "CharDevice", false}, {"file", "BlockDevice", false}, {"dir", "Nonsense", false},
  };
  for (const auto& row : rows) {
    INFO(row.name << " " << row.type);
    const auto checked = check_host_path("v", {base + "/" + row.name, row.type});
    CHECK(checked.has_value() == row.good);
    if (!checked) CHECK(checked.error().reason == "FailedMount");
  }
  CHECK(check_host_path("v", {"/dev/null", "CharDevice"}));
  CHECK(mode_of(base + "/new") == 0644);
  CHECK(mode_of(base + "/made") == 0755);
}

TEST_CASE("B49 T31 sub paths stay in their volume", "[agent][volumes]") {
  ScratchDirectory scratch;
  const std::string volume = scratch.path() + "/volume";
  fs::create_directory(volume);
  fs::create_directory_symlink("/tmp", volume + "/out");
  fs::create_directory(volume + "/real");
  fs::create_directory_symlink("real", volume + "/in");
  struct Row {
    const char* path;
    bool good;
  };
  const Row rows[] = {{"a", true},      {"a/b/c", true},   {"real", true},   {"in", true},
                      {"in/new", true}, {"../x", false},   {"a/../b", false}, {"/etc", false},
                      {"out", false},   {"out/new", false}};
  for (const auto& row : rows) {
    INFO(row.path);
    const auto made = make_sub_path(volume, row.path);
    CHECK(made.has_value() == row.good);
    if (!made) CHECK(made.error().reason == "CreateContainerConfigError");
  }
  CHECK(fs::is_directory(volume + "/a/b/c"));
  CHECK(fs::is_directory(volume + "/real/new"));
  CHECK_FALSE(fs::exists("/tmp/new"));
}

TEST_CASE("mounts of a container", "[agent][volumes]") {
  ScratchDirectory scratch;
  fs::create_directory(scratch.path() + "/data");
  Pod pod = make_pod("app");
  Volume empty;
  empty.name = "data";
  empty.empty_dir = EmptyDirVolume{};
  pod.spec.volumes = {empty};
  const VolumePlaces places = {{"data", scratch.path() + "/data"}};
  Container container;
  container.volume_mounts = {{"data", "/a/deep/place/", "", "$(NAME)", false, ""},
                             {"data", "/a", "", "", true, ""},
                             {"data", "/etc/hosts", "hosts-file", "", false, ""}};
  const auto mounts = make_mounts(pod, container, places, "/etc-files", {{"NAME", "web-0"}});
  REQUIRE(mounts);
  REQUIRE(mounts->size() == 5);
  CHECK(mounts->front().destination == "/a");
  CHECK(mounts->front().read_only);
  CHECK(mounts->back().destination == "/a/deep/place");
  CHECK(mounts->back().sub_path == "web-0");
  int hosts = 0;
  for (const auto& mount : *mounts) hosts += mount.destination == "/etc/hosts" ? 1 : 0;
  CHECK(hosts == 1);  // the container's own beats the generated file

  CHECK(make_mounts(pod, container, places, "/etc-files", {}).error().reason ==
        "CreateContainerConfigError");
  container.volume_mounts = {{"none", "/x", "", "", false, ""}};
  CHECK_FALSE(make_mounts(pod, container, places, "/etc-files", {}));
}

TEST_CASE("B50 the hosts file", "[agent][files]") {
  Pod pod = make_pod("web-0");
  pod.spec.host_aliases = {{"10.1.2.3", {"db", "db.local"}}};
  SECTION("generated") {
    pod.spec.subdomain = "web";
    const auto text = make_hosts_file(pod, "10.209.0.2", "web-0", "ignored");
    CHECK(text.find("127.0.0.1\tlocalhost\n") != std::string::npos);
    CHECK(text.find("10.209.0.2\tweb-0.web.default.svc.cluster.local\tweb-0\n") !=
          std::string::npos);
    CHECK(text.find("10.1.2.3\tdb\tdb.local\n") != std::string::npos);
    CHECK(text.find("ignored") == std::string::npos);
  }
  SECTION("hostNetwork") {
    pod.spec.host_network = true;
    const auto text = make_hosts_file(pod, "192.0.2.1", "node-1", "192.0.2.1 node-1");
    CHECK(text.find("192.0.2.1 node-1\n") != std::string::npos);
    CHECK(text.find("10.1.2.3\tdb") != std::string::npos);
  }
}

TEST_CASE("host names", "[agent][files]") {
  Pod pod = make_pod("web-0");
  CHECK(get_hostname(pod, "node-1") == "web-0");
  pod.spec.hostname = "other";
  CHECK(get_hostname(pod, "node-1") == "other");
  pod.spec.hostname = std::string(62, 'x') + "-y";
  CHECK(get_hostname(pod, "node-1") == std::string(62, 'x'));
  pod.spec.host_network = true;
  CHECK(get_hostname(pod, "node-1") == "node-1");
}

TEST_CASE("resolver configuration by policy", "[agent][files]") {
  const std::string node =
      "# comment\nnameserver 192.0.2.53\nsearch example.org\noptions ndots:1 rotate\n";
  struct Row {
    const char* policy;
    bool host_network;
    std::string text;
    bool fell_back;
  };
  const std::string own = "nameserver 192.0.2.53\nsearch example.org\noptions ndots:1 rotate\n";
  const Row rows[] = {{"Default", false, own, false},
                      {"ClusterFirst", false, own, true},
                      {"ClusterFirst", true, own, false},
                      {"ClusterFirstWithHostNet", true, own, true},
                      {"None", false, "", false}};
  for (const auto& row : rows) {
    INFO(row.policy);
    Pod pod;
    pod.spec.dns_policy = row.policy;
    pod.spec.host_network = row.host_network;
    const auto file = make_resolver_file(pod, node);
    CHECK(file.text == row.text);
    CHECK(file.fell_back == row.fell_back);
    CHECK(file.cut.empty());
  }
}

TEST_CASE("dnsConfig is added, doubles are left out, options are replaced", "[agent][files]") {
  Pod pod;
  pod.spec.dns_policy = "Default";
  pod.spec.dns_config = PodDnsConfig{};
  pod.spec.dns_config->nameservers = {"192.0.2.53", "192.0.2.54", "192.0.2.55", "192.0.2.56"};
  pod.spec.dns_config->searches = {"example.org", "svc"};
  pod.spec.dns_config->options = {{"ndots", "5"}, {"edns0", std::nullopt}};
  const auto file = make_resolver_file(
      pod, "nameserver 192.0.2.53\nsearch example.org\noptions ndots:1\n");
  CHECK(file.text ==
        "nameserver 192.0.2.53\nnameserver 192.0.2.54\nnameserver 192.0.2.55\n"
        "search example.org svc\noptions ndots:5 edns0\n");
  CHECK(file.cut.size() == 1);
}

TEST_CASE("T32 a pod that fills the files moored makes for it is evicted", "[agent][volumes]") {
  AgentBench bench;
  bench.store.put(make_object(make_pod("full")));
  bench.run_for(std::chrono::seconds(31));
  const std::string own = bench.scratch.path() + "/state/pods/uid-full";
  std::string file;
  SECTION("in /etc") { file = own + "/etc/hosts"; }
  SECTION("the last words") { file = own + "/messages/main-0"; }
  REQUIRE(fs::exists(file));
  std::ofstream(file, std::ios::app) << std::string(9U << 20U, 'x');
  bench.run_for(std::chrono::seconds(40));
  CHECK(bench.store.pod("full").status.phase == "Running");
  std::ofstream(file, std::ios::app) << std::string(2U << 20U, 'x');
  bench.run_for(std::chrono::seconds(40));
  CHECK(bench.store.pod("full").status.phase == "Failed");
  CHECK(bench.store.pod("full").status.reason == "Evicted");
  CHECK(bench.store.event_text("Evicted").find("more than 10Mi") != std::string::npos);
  CHECK_FALSE(fs::exists(own));
}

TEST_CASE("B46 a volume that holds too much costs the pod its place", "[agent][volumes]") {
  AgentBench bench;
  Pod pod = make_pod("full");
  Volume volume;
  volume.name = "scratch";
  volume.empty_dir = EmptyDirVolume{};
  volume.empty_dir->size_limit = *Quantity::parse("1Mi");
  pod.spec.volumes = {volume};
  bench.store.put(make_object(pod));
  bench.run_for(std::chrono::seconds(31));
  CHECK(bench.store.pod("full").status.phase == "Running");
  const std::string place = bench.scratch.path() + "/state/pods/uid-full/volumes/scratch";
  std::ofstream(place + "/big") << std::string(2U << 20U, 'x');
  bench.run_for(std::chrono::seconds(40));
  pod = bench.store.pod("full");
  CHECK(pod.status.phase == "Failed");
  CHECK(pod.status.reason == "Evicted");
  CHECK(pod.status.message == "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\".");
  CHECK(bench.store.count_events("Evicted") == 1);
  CHECK_FALSE(fs::exists(place));
}
