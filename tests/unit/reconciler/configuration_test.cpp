// Flags over moored.yaml over defaults, and what is said about mistakes in them.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <map>
#include <regex>
#include <sstream>

#include "reconciler/daemon/configuration.hpp"
#include "reconciler/daemon/identity.hpp"
#include "schema/host/file.hpp"

using namespace moored;

namespace {

struct TemporaryDirectory {
  TemporaryDirectory() {
    char pattern[] = "/tmp/moored-configuration-XXXXXX";
    const char* made = mkdtemp(pattern);
    REQUIRE(made != nullptr);
    path = made;
  }
  ~TemporaryDirectory() {
    const auto removed = remove_tree(path);
    static_cast<void>(removed);
  }
  std::string path;
};

}  // namespace

TEST_CASE("an empty file gives the defaults") {
  for (const auto* text : {"", "# nothing\n", "---\n"}) {
    const auto file = read_configuration_file(text, "moored.yaml");
    REQUIRE(file);
    const auto merged = merge_configuration(*file, {});
    REQUIRE(merged);
    CHECK(merged->state_dir == "/var/lib/moored");
    CHECK(merged->listen_address == "127.0.0.1");
    CHECK(merged->listen_port == 6446);
    CHECK(merged->git_url.empty());
    CHECK(merged->policy.default_level == AdmissionPolicy::Level::baseline);
    CHECK_FALSE(merged->allow_local_sources);
    CHECK(merged->drift == DriftMode::correct);
  }
}

TEST_CASE("drift is treated as the flag says, then as the file says") {
  const auto file = read_configuration_file("drift: report\n", "moored.yaml");
  REQUIRE(file);
  CHECK(merge_configuration(*file, {})->drift == DriftMode::report);
  ConfigurationFlags flags;
  flags.drift = "off";
  CHECK(merge_configuration(*file, flags)->drift == DriftMode::off);
  flags.drift = "Off";
  CHECK_FALSE(merge_configuration(*file, flags));
}

TEST_CASE("flags win over the file, the file over defaults") {
  const auto file = read_configuration_file(
      "source: {url: https://git.example.org/a.git, branch: prod, interval: 1m}\n"
      "sources: {allowLocal: true}\nlisten: 127.0.0.1:7000\nstateDir: /srv/state/\n"
      "policy: {default: restricted, namespaces: {lab: privileged}, "
      "sources: {moored-system/default: baseline, team/shop.git: restricted}}\nnodeName: edge-7\n",
      "moored.yaml");
  REQUIRE(file);
  ConfigurationFlags flags;
  flags.branch = "main";
  flags.listen = "127.0.0.2:0";
  flags.pod_security = "baseline";
  const auto merged = merge_configuration(*file, flags);
  REQUIRE(merged);
  CHECK(merged->git_url == "https://git.example.org/a.git");
  CHECK(merged->git_branch == "main");
  CHECK(merged->git_interval == "1m");
  CHECK(merged->listen_address == "127.0.0.2");
  CHECK(merged->listen_port == 0);
  CHECK(merged->state_dir == "/srv/state");
  CHECK(merged->node_name == "edge-7");
  CHECK(merged->allow_local_sources);
  CHECK(merged->policy.default_level == AdmissionPolicy::Level::restricted);
  CHECK(merged->policy.namespace_levels.at("lab") == AdmissionPolicy::Level::privileged);
  CHECK(merged->policy.namespace_levels.at("default") == AdmissionPolicy::Level::baseline);
  CHECK(merged->source_floors.at("moored-system/default") == AdmissionPolicy::Level::baseline);
  CHECK(merged->source_floors.at("team/shop.git") == AdmissionPolicy::Level::restricted);
}

TEST_CASE("a relative path of a repository is meant from here") {
  ConfigurationFlags flags;
  flags.git = "some/where";
  const auto merged = merge_configuration({}, flags);
  REQUIRE(merged);
  CHECK(merged->git_url.front() == '/');
  flags.git = "git@example.org:team/shop.git";
  const auto scp = merge_configuration({}, flags);
  REQUIRE(scp);
  CHECK(scp->git_url == "git@example.org:team/shop.git");
}

TEST_CASE("mistakes in the file are named with their place") {
  struct Row {
    const char* text;
    const char* part;
  };
  const Row rows[] = {{"listn: x\n", "moored.yaml:1:1: listn"},
                      {"source: {}\n", "source.url"},
                      {"stateDir: relative\n", "must be absolute"},
                      {"policy: {default: strict}\n", "privileged, baseline or restricted"},
                      {"policy: {namespaces: {a: strict}}\n", "privileged, baseline or restricted"},
                      {"drift: sometimes\n", "off, report or correct"},
                      {"policy: {sources: {a/b: strict}}\n", "privileged, baseline or restricted"},
                      {"policy: {sources: {a: baseline}}\n", "not written as namespace/name"},
                      {"policy: {sources: {A/b: baseline}}\n", "policy.sources"},
                      {"a: 1\na: 2\n", "moored.yaml:2:1"},
                      {"listen: 1\n---\nlisten: 2\n", "more than one document"},
                      {"stateDir: [\n", "moored.yaml"}};
  for (const auto& row : rows) {
    const auto file = read_configuration_file(row.text, "moored.yaml");
    REQUIRE(!file);
    INFO(row.text << " gave " << file.error().text());
    CHECK(file.error().reason == "ConfigInvalid");
    CHECK(file.error().text().find(row.part) != std::string::npos);
  }
}

TEST_CASE("other machines reach the API by certificate and token alone") {
  const auto merged = [](auto change) {
    ConfigurationFlags flags;
    change(flags);
    return merge_configuration({}, flags);
  };
  using Flags = ConfigurationFlags;
  for (const auto* open : {"0.0.0.0:6446", "192.0.2.1:1", "[::]:6446", "[2001:db8::1]:1"}) {
    INFO(open);
    const auto bare = merged([&](Flags& f) { f.listen = open; });
    REQUIRE(!bare);
    CHECK(bare.error().text().find("--listen") != std::string::npos);
    CHECK(bare.error().fix.find("--token-file") != std::string::npos);
    const auto no_token = merged([&](Flags& f) {
      f.listen = open;
      f.tls_cert = "/c";
      f.tls_key = "/k";
    });
    CHECK(!no_token);
    const auto whole = merged([&](Flags& f) {
      f.listen = open;
      f.tls_cert = "/c";
      f.tls_key = "/k";
      f.token_file = "/t";
    });
    CHECK(whole);
  }
  for (const auto* local : {"127.0.0.1:6446", "127.1.2.3:0", "[::1]:6446"}) {
    INFO(local);
    CHECK(merged([&](Flags& f) { f.listen = local; }));
  }
  CHECK(merged([](Flags& f) { f.listen = "[::1]:7"; })->listen_address == "::1");
  CHECK_FALSE(merged([](Flags& f) { f.tls_cert = "/c"; }));
  CHECK_FALSE(merged([](Flags& f) { f.tls_key = "/k"; }));
  CHECK_FALSE(merged([](Flags& f) { f.token_file = "/t"; }));
  CHECK_FALSE(merged([](Flags& f) { f.client_ca = "/a"; }));
  const auto file = read_configuration_file(
      "listen: 0.0.0.0:6446\ntokenFile: /t\n"
      "tls: {certificateFile: /c, keyFile: /k, clientCAFile: /a}\n",
      "moored.yaml");
  REQUIRE(file);
  const auto read = merge_configuration(*file, {});
  REQUIRE(read);
  CHECK(read->tls_certificate == "/c");
  CHECK(read->tls_key == "/k");
  CHECK(read->client_ca == "/a");
  CHECK(read->token_file == "/t");
  CHECK_FALSE(read_configuration_file("tls: {certificateFile: /c}\n", "moored.yaml"));
}

TEST_CASE("mistakes in flags are named with the flag") {
  const auto error_of = [](auto change) {
    ConfigurationFlags flags;
    change(flags);
    const auto merged = merge_configuration({}, flags);
    REQUIRE(!merged);
    return merged.error().text();
  };
  using Flags = ConfigurationFlags;
  for (const auto* listen : {"6446", ":6446", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"}) {
    INFO(listen);
    CHECK(error_of([&](Flags& f) { f.listen = listen; }).find("--listen") != std::string::npos);
  }
  CHECK(error_of([](Flags& f) { f.interval = "soon"; }).find("--interval") != std::string::npos);
  CHECK(error_of([](Flags& f) { f.state_dir = ""; }).find("--state-dir") != std::string::npos);
  CHECK(error_of([](Flags& f) { f.node_name = "Bad_Name"; }).find("--node-name") !=
        std::string::npos);
  CHECK(error_of([](Flags& f) { f.pod_security = "none"; }).find("--pod-security") !=
        std::string::npos);
}

TEST_CASE("a named file must exist, the default one need not") {
  ConfigurationFlags flags;
  flags.config = "/nonexistent/moored.yaml";
  CHECK(!load_configuration(flags));
}

TEST_CASE("a state directory has one owner and one instance") {
  const TemporaryDirectory directory;
  SeededRandom random(7);
  auto first = claim_state(directory.path, random);
  REQUIRE(first);
  CHECK(first->instance.size() == 6);
  const auto second = claim_state(directory.path, random);
  REQUIRE(!second);
  CHECK(second.error().code == Code::conflict);
  const auto instance = first->instance;
  first->lock.reset();
  const auto again = claim_state(directory.path, random);
  REQUIRE(again);
  CHECK(again->instance == instance);
}

TEST_CASE("a broken instance file is refused") {
  const TemporaryDirectory directory;
  SeededRandom random(7);
  REQUIRE(write_file(directory.path + "/instance", "../../x\n", true));
  const auto claimed = claim_state(directory.path, random);
  REQUIRE(!claimed);
  CHECK(claimed.error().code == Code::corrupt);
}

TEST_CASE("ranges are remembered, and flags win over them") {
  const TemporaryDirectory directory;
  Configuration configuration;
  configuration.state_dir = directory.path;
  const auto none = read_ranges(configuration);
  REQUIRE(none);
  CHECK(!none->has_value());
  const auto third = candidate_ranges(2);
  REQUIRE(third);
  CHECK(net::format(third->pods) == "10.213.0.0/16");
  CHECK(net::format(third->services) == "10.214.0.0/16");
  REQUIRE(write_ranges(directory.path, *third));
  const auto kept = read_ranges(configuration);
  REQUIRE(kept);
  CHECK((*kept)->pods == third->pods);
  configuration.pod_cidr = "10.99.0.0/16";
  const auto flagged = read_ranges(configuration);
  REQUIRE(flagged);
  CHECK(net::format((*flagged)->pods) == "10.99.0.0/16");
  CHECK((*flagged)->services == third->services);
  configuration.pod_cidr = "10.99.0.1";
  CHECK(!read_ranges(configuration));
  CHECK(!candidate_ranges(1000));
}

namespace {

// A group of a v2 hierarchy as the kernel shows it, below a directory that stands for its mount.
void put_group(const std::string& unified, const std::string& group, const std::string& words) {
  REQUIRE(make_directories(unified + group, 0755));
  REQUIRE(write_file(unified + group + "/cgroup.controllers", words, true));
}

}  // namespace

TEST_CASE("pods go below the holder's group where it can limit them") {
  struct Row {
    const char* what;
    std::string parent;
    std::string controllers;  // empty: no such group
    std::string root;
  };
  const Row rows[] = {
      {"no parent", "", "", "/moored-1a2b3c"},
      {"a holder", "/m.slice/m.service", "cpuset cpu io memory pids\n",
       "/m.slice/m.service/moored-1a2b3c"},
      {"no such group", "/m.slice/m.service", "", "/moored-1a2b3c"},
      {"bare v2 of a hybrid machine", "/m.slice/m.service", "hugetlb\n", "/moored-1a2b3c"},
      {"no pids", "/m.slice/m.service", "cpuset cpu memory\n", "/moored-1a2b3c"},
      {"cpuset is not cpu", "/m.slice/m.service", "cpuset memory pids\n", "/moored-1a2b3c"}};
  for (const auto& row : rows) {
    INFO(row.what);
    const TemporaryDirectory directory;
    const auto unified = directory.path + "/unified";
    if (!row.controllers.empty()) put_group(unified, row.parent, row.controllers);
    Configuration configuration;
    configuration.run_dir = directory.path;
    configuration.cgroup_parent = row.parent;
    const auto root = claim_cgroup_root(configuration, "1a2b3c", unified);
    REQUIRE(root);
    CHECK(*root == row.root);
  }
}

TEST_CASE("the cgroup of running pods is settled until their run directory goes") {
  const TemporaryDirectory directory;
  Configuration configuration;
  configuration.run_dir = directory.path;
  REQUIRE(claim_cgroup_root(configuration, "1a2b3c", {}).value_or("") == "/moored-1a2b3c");
  put_group(directory.path + "/unified", "/holder", "cpu memory pids\n");
  configuration.cgroup_parent = "/holder";
  const auto unified = directory.path + "/unified";
  CHECK(claim_cgroup_root(configuration, "1a2b3c", unified).value_or("") == "/moored-1a2b3c");
  const auto foreign = claim_cgroup_root(configuration, "ffffff", unified);
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().code == Code::corrupt);
  REQUIRE(remove_tree(directory.path + "/cgroup"));
  CHECK(claim_cgroup_root(configuration, "1a2b3c", unified).value_or("") ==
        "/holder/moored-1a2b3c");
  configuration.cgroup_root = "/mine";
  CHECK(claim_cgroup_root(configuration, "1a2b3c", unified).value_or("") == "/mine");
}

TEST_CASE("what sources may declare is read with its mistakes") {
  const auto file = read_configuration_file(
      "source: {url: \"https://git.test/a\", secret: git, proxySecret: proxy, ignore: ci/}\n"
      "sources:\n  history: fast-forward\n  secretsDir: /run/secrets\n  user: nobody\n"
      "  rights:\n    team/shop: {namespaces: [shop], kinds: [Deployment, Service]}\n"
      "    \"*\": {kinds: [ConfigMap]}\n",
      "moored.yaml");
  REQUIRE(file);
  const auto merged = merge_configuration(*file, {});
  REQUIRE(merged);
  CHECK(merged->git_secret == "git");
  CHECK(merged->git_proxy_secret == "proxy");
  CHECK(merged->git_ignore == "ci/");
  CHECK(merged->fast_forward_only);
  CHECK(merged->secrets_dir == "/run/secrets");
  CHECK(merged->source_rights.at("team/shop").namespaces == std::vector<std::string>{"shop"});
  CHECK(merged->source_rights.at("*").kinds == std::vector<std::string>{"ConfigMap"});
  for (const char* wrong :
       {"sources: {history: sometimes}\n", "sources: {secretsDir: relative}\n",
        "sources: {rights: {shop: {}}}\n", "sources: {rights: {a/b: {kinds: [Deploymnet]}}}\n",
        "sources: {rights: {a/b: {namespaces: [A_B]}}}\n",
        "source: {url: \"https://git.test/a\", secret: ../x}\n"}) {
    CAPTURE(wrong);
    const auto refused = read_configuration_file(wrong, "moored.yaml");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "ConfigInvalid");
  }
}

TEST_CASE("a password in the configured URL is refused and not repeated") {
  for (const char* url : {"https://me:CANARY@git.test/a", "ext::CANARY"}) {
    CAPTURE(url);
    ConfigurationFlags flags;
    flags.git = url;
    const auto refused = merge_configuration({}, flags);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "URLNotAllowed");
    CHECK(refused.error().text().find("CANARY") == std::string::npos);
  }
}

// Text of a size or time as docs/api.md writes it.
static std::string limit_text(std::uint64_t value) {
  constexpr std::uint64_t kKibi = 1024;
  if (value >= kKibi * kKibi && value % (kKibi * kKibi) == 0) {
    return std::to_string(value / (kKibi * kKibi)) + " MiB";
  }
  return std::to_string(value / kKibi) + " KiB";
}
static std::string limit_text(std::chrono::milliseconds time) {
  return std::to_string(time.count() / 1000) + " s";
}

// One row for each setting: | what | `setting` | default | beyond it |
static std::map<std::string, std::string> documented_limits() {
  const auto text = read_file(MOORED_SOURCE_DIR "/docs/api.md");
  REQUIRE(text);
  const std::regex row(R"(\| [^|]+ \| `([a-zA-Z]+)` \| ([^|]+) \| [^|]+ \|)");
  std::map<std::string, std::string> found;
  std::istringstream lines(*text);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("## ", 0) == 0) inside = line == "## The transport";
    std::smatch match;
    if (inside && std::regex_match(line, match, row)) found[match[1]] = match[2];
  }
  return found;
}

TEST_CASE("the limits of the API are those of docs/api.md, and moored.yaml(5) names each") {
  const net::api::TransportLimits limits;
  const std::map<std::string, std::string> defaults{
      {"requestLineBytes", limit_text(limits.head.request_line_bytes)},
      {"headerBytes", limit_text(limits.head.header_line_bytes)},
      {"headersBytes", limit_text(limits.head.total_bytes)},
      {"headers", std::to_string(limits.head.headers)},
      {"bodyBytes", limit_text(limits.body_bytes)},
      {"headerTime", limit_text(limits.header_time)},
      {"idleTime", limit_text(limits.idle_time)},
      {"bodyTime", limit_text(limits.body_time)},
      {"writeTime", limit_text(limits.write_time)},
      {"connections", std::to_string(limits.connections)},
      {"connectionsPerAddress", std::to_string(limits.per_address)},
      {"streams", std::to_string(limits.streams)},
      {"heldBytes", limit_text(limits.held_bytes)},
      {"streamBytes", limit_text(limits.pull_bytes)}};
  CHECK(documented_limits() == defaults);
  const auto manual = read_file(MOORED_SOURCE_DIR "/docs/package/moored.yaml.5");
  REQUIRE(manual);
  for (const auto& [name, value] : defaults) {
    INFO(name);
    CHECK(manual->find("\n.It Li " + name + "\n") != std::string::npos);
    // Each can be set, and nonsense is told with its place.
    const bool time = name.find("Time") != std::string::npos;
    const std::string start = "limits:\n  api:\n    " + name + ": ";
    const std::string good = time                  ? "30m"
                             : name == "headers"   ? "200"
                             : name == "heldBytes" ? "33554432"
                                                   : "65536";
    CHECK(read_configuration_file(start + good, "moored.yaml"));
    for (const auto* wrong : {"0", "-1", "99999999999999", "many", "[]", "0s", "2h"}) {
      INFO(wrong);
      const auto refused = read_configuration_file(start + wrong, "moored.yaml");
      REQUIRE_FALSE(refused);
      CHECK(refused.error().place.line == 3);
      CHECK(refused.error().place.field == "limits.api." + name);
    }
  }
}

TEST_CASE("limits of the file go over the defaults, and may not contradict each other") {
  const auto merged = [](const std::string& api) {
    const auto file = read_configuration_file("limits: {api: {" + api + "}}\n", "moored.yaml");
    REQUIRE(file);
    return merge_configuration(*file, {});
  };
  const auto changed = merged(
      "requestLineBytes: 4096, headerBytes: 2048, headersBytes: 16384, headers: 50, "
      "bodyBytes: 65536, heldBytes: 1048576, streamBytes: 65536, connections: 100, "
      "connectionsPerAddress: 10, streams: 5, headerTime: 5s, idleTime: 2m, bodyTime: 3s, "
      "writeTime: 1500ms");
  REQUIRE(changed);
  const auto& limits = changed->api_limits;
  CHECK(limits.head.request_line_bytes == 4096);
  CHECK(limits.head.header_line_bytes == 2048);
  CHECK(limits.head.total_bytes == 16384);
  CHECK(limits.head.headers == 50);
  CHECK(limits.body_bytes == 65536);
  CHECK(limits.held_bytes == 1048576);
  CHECK(limits.pull_bytes == 65536);
  CHECK(limits.connections == 100);
  CHECK(limits.per_address == 10);
  CHECK(limits.streams == 5);
  CHECK(limits.header_time == std::chrono::seconds(5));
  CHECK(limits.idle_time == std::chrono::minutes(2));
  CHECK(limits.body_time == std::chrono::seconds(3));
  CHECK(limits.write_time == std::chrono::milliseconds(1500));
  CHECK(merged("streams: 5")->api_limits.connections == 4096);
  CHECK(merged("headerBytes: 65536").error().reason == "ConfigInvalid");
  CHECK(merged("connectionsPerAddress: 5000").error().reason == "ConfigInvalid");
}
